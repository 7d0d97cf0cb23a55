package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"rekey/internal/config"
	"rekey/internal/fault"
)

// certificate is a pair of files and what was last read from them.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
	seen              atomic.Pointer[string] // stamp of the files when they were last read, for better or worse
}

// openCertificate reads the certificate that the configuration asks for, and makes
// the self-signed one if there is none yet. It is nil for plain HTTP.
func openCertificate(cfg *config.Config) (*certificate, error) {
	if !cfg.TLS() {
		return nil, nil
	}
	c := &certificate{certFile: cfg.TLSCertificate, keyFile: cfg.TLSKey}
	if cfg.TLSSelfSigned {
		var err error
		if c.certFile, c.keyFile, err = selfSigned(cfg.DataDir, cfg.Listen, cfg.TLSNames); err != nil {
			return nil, err
		}
	}
	return c, c.load()
}

// load reads the files; on an error the previous certificate stays.
func (c *certificate) load() error {
	stamp := c.stamp() // before reading: a change meanwhile is one to notice
	c.seen.Store(&stamp)
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		e := fault.New(fault.Invalid, "the TLS certificate %s with the key %s cannot be used: %v", c.certFile, c.keyFile, err)
		e.Advice, e.Cause = "give the PEM files of a certificate and of its private key (tls_certificate, tls_key)", err
		return e
	}
	c.current.Store(&pair)
	return nil
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// fingerprint is written as openssl does: upper-case hexadecimal with colons.
func (c *certificate) fingerprint() string {
	sum := sha256.Sum256(c.current.Load().Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// stamp changes when one of the files does.
func (c *certificate) stamp() string {
	var text strings.Builder
	for _, path := range [...]string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			fmt.Fprintln(&text, err)
			continue
		}
		fmt.Fprintln(&text, info.ModTime(), info.Size())
	}
	return text.String()
}

// watch loads the files whenever they have changed, until ctx is done. Files are
// looked at instead of subscribed to, because mounted secrets change by symbolic
// links that move.
func (c *certificate) watch(ctx context.Context, interval time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if c.stamp() == *c.seen.Load() {
			continue
		}
		if err := c.load(); err != nil {
			log.Error("the TLS certificate has changed and cannot be used; the previous one stays", "error", err)
			continue
		}
		log.Info("the TLS certificate has changed", "certificate_sha256", c.fingerprint())
	}
}
