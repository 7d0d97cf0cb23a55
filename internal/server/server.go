// Package server is the wiring and the life cycle: it opens what a data directory
// holds (Open), serves it over HTTP and over the socket for local commands, starts,
// drains and stops (Server).
//
// It promises that a request which the server began to work on is finished before
// Serve returns, if it takes no longer than DrainLimit; and that nothing but
// loopback gets plain HTTP unless the configuration says that a proxy speaks TLS.
// The commands and the tests use the same type. It imports config, server/admin,
// httpapi, webhook, rotation/engine, all kinds of targets, core, backup, metrics, both
// engines of the store, audit, seal, rotation, fault and secret.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/server/admin"
)

// Limits of connections. Bodies may be large and clients slow, so that the limits
// on whole requests are wide; those on headers are not.
const (
	readHeaderTimeout = 20 * time.Second
	requestTimeout    = 10 * time.Minute
	idleTimeout       = 80 * time.Second
	maxHeaderBytes    = 112 << 10
	drainLimit        = 30 * time.Second
	watchInterval     = 2 * time.Second
)

// Server serves one data directory. Its fields are what it depends on; set them
// before Listen and leave them alone afterwards.
type Server struct {
	Config     config.Config
	Handler    http.Handler          // of the public address
	Admin      http.Handler          // of the socket in the data directory
	Rotate     func(context.Context) // runs beside the requests until its context ends; may be nil
	Notify     func(context.Context) // the same, for webhooks; may be nil
	Drain      func()                // when Serve is to stop: ends requests that wait for something to happen; may be nil
	Reopen     func() error          // on Reload: opens log files again; may be nil
	DrainLimit time.Duration         // for requests under way when Serve is to stop; 30 s if zero
	Log        *slog.Logger

	public      net.Listener
	local       net.Listener
	certificate *certificate // nil without TLS
}

// Listen opens the public address and the socket for local commands. After it
// failed nothing is open.
func (s *Server) Listen() (err error) {
	if s.certificate, err = openCertificate(&s.Config); err != nil {
		return err
	}
	if s.public, err = net.Listen("tcp", s.Config.Listen); err != nil {
		e := fault.New(fault.Unavailable, "cannot listen on %s: %v", s.Config.Listen, err)
		e.Advice, e.Cause = "stop what listens there, or choose another address with --listen or REKEY_LISTEN", err
		return e
	}
	if err := s.checkPlain(); err != nil {
		return errors.Join(err, s.public.Close())
	}
	if s.local, err = admin.Listen(s.Config.DataDir); err != nil {
		return errors.Join(err, s.public.Close())
	}
	return nil
}

// checkPlain looks at the address that was really taken: names resolve to anything.
func (s *Server) checkPlain() error {
	address, ok := s.public.Addr().(*net.TCPAddr)
	if s.certificate != nil || s.Config.TLSTerminatedByProxy || ok && address.IP.IsLoopback() {
		return nil
	}
	e := fault.New(fault.Invalid, "plain HTTP on %s would send secrets in the clear", s.public.Addr())
	e.Advice = "set up TLS, listen on 127.0.0.1, or say with --tls-terminated-by-proxy that a proxy in front speaks TLS"
	return e
}

// URL is the public address, after Listen. A wildcard address is shown as localhost.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.public.Addr().String())
	if err != nil {
		return s.public.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http://"
	if s.certificate != nil {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

// Fingerprint is the SHA-256 fingerprint of the TLS certificate, after Listen;
// empty without TLS.
func (s *Server) Fingerprint() string {
	if s.certificate == nil {
		return ""
	}
	return s.certificate.fingerprint()
}

// Run is Listen and Serve.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	return s.Serve(ctx)
}

// Serve says in the log that it is ready, and answers requests until ctx is done.
// Then it takes no new ones, lets those under way finish within DrainLimit, and
// returns nil; it is an error if some did not finish.
func (s *Server) Serve(ctx context.Context) error {
	ready := []any{"address", s.URL(), "data_dir", s.Config.DataDir}
	if s.certificate != nil {
		ready = append(ready, "certificate_sha256", s.certificate.fingerprint())
	}
	s.Log.Info("rekey is ready", ready...)
	if s.certificate != nil {
		if err := inForce(s.certificate.certFile, s.certificate.current.Load(), time.Now()); err != nil {
			s.Log.Warn("clients are going to refuse the TLS certificate", "error", err)
		}
	}

	errorLog := slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn)
	public := &http.Server{
		Handler: s.Handler, ErrorLog: errorLog,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	local := &http.Server{
		Handler: admin.OnlyOperator(s.Admin), ErrorLog: errorLog, ConnContext: admin.WithPeer,
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
	}
	listener := s.public
	group, ctx := errgroup.WithContext(ctx)
	if s.certificate != nil {
		// HTTP/2 is not offered: its server resets a stream whose body was not read
		// to the end, as when an unknown path refuses a POST, and clients lose the
		// answer with it. HTTP/1.1 closes the connection after the answer instead.
		listener = tls.NewListener(s.public, &tls.Config{
			MinVersion: tls.VersionTLS12, GetCertificate: s.certificate.get, NextProtos: []string{"http/1.1"},
		})
		group.Go(func() error { s.certificate.watch(ctx, watchInterval, s.Log); return nil })
	}
	group.Go(func() error { tuneCollector(ctx); return nil })
	if s.Rotate != nil {
		group.Go(func() error { s.Rotate(ctx); return nil })
	}
	if s.Notify != nil {
		group.Go(func() error { s.Notify(ctx); return nil })
	}
	group.Go(func() error { return served(public.Serve(listener)) })
	group.Go(func() error { return served(local.Serve(s.local)) })
	group.Go(func() error {
		<-ctx.Done()
		return s.drain(context.WithoutCancel(ctx), public, local)
	})
	err := group.Wait()
	if err == nil {
		s.Log.Info("stopped")
	}
	return err
}

func (s *Server) drain(ctx context.Context, servers ...*http.Server) error {
	limit := s.DrainLimit
	if limit == 0 {
		limit = drainLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	s.Log.Info("stopping: no new requests, those under way may finish", "limit", limit)
	if s.Drain != nil {
		s.Drain()
	}
	var group errgroup.Group
	for _, server := range servers {
		group.Go(func() error {
			err := server.Shutdown(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = errors.Join(fault.New(fault.Unavailable, "some requests did not finish within %v and were cut off", limit), server.Close())
			}
			return err
		})
	}
	return group.Wait()
}

// served takes the ordinary end of a server for no error.
func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fault.Wrap(err, "serving")
}

// Reload, after Listen, reads the TLS certificate again and opens log files again.
// What fails stays as it was.
func (s *Server) Reload() error {
	var errs []error
	if s.certificate != nil {
		errs = append(errs, s.certificate.load())
	}
	if s.Reopen != nil {
		errs = append(errs, s.Reopen())
	}
	return errors.Join(errs...)
}

// Close undoes Listen for a server that is not going to Serve.
func (s *Server) Close() error { return errors.Join(s.public.Close(), s.local.Close()) }
