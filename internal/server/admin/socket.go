package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"rekey/internal/fault"
)

// SocketPath is where the server of a data directory listens.
func SocketPath(dataDir string) string { return filepath.Join(dataDir, "admin.sock") }

// maxSocketPath is what the smallest of the systems' sun_path holds, less the final
// NUL byte.
const maxSocketPath = 103

// Listen opens the socket with mode 0600. The caller holds the directory's lock, so
// that a socket which is there already is a dead server's.
func Listen(dataDir string) (net.Listener, error) {
	path := SocketPath(dataDir)
	if len(path) > maxSocketPath {
		e := fault.New(fault.Invalid, "the path of the data directory is too long for a socket in it: %s has %d bytes, at most %d will do", path, len(path), maxSocketPath)
		e.Advice = "use a shorter path for the data directory"
		return nil, e
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(err, "removing the socket of a server that is gone")
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fault.Wrap(err, "opening the socket for local commands")
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fault.Wrap(err, "protecting the socket for local commands"), listener.Close())
	}
	return listener, nil
}

// Dial makes a client of the server that runs on a data directory. It returns nil
// and no error if none runs.
func Dial(ctx context.Context, dataDir string) (*Client, error) {
	dial := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", SocketPath(dataDir))
	}
	conn, err := dial(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EINVAL):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, &fault.Error{Kind: fault.Forbidden, Message: fmt.Sprintf("you may not use %s", SocketPath(dataDir)), Cause: err,
			Advice: "run the command as the user whom the server runs as, or as root"}
	case err != nil:
		return nil, fault.Wrap(err, "asking whether a server runs on %s", dataDir)
	}
	if err := conn.Close(); err != nil {
		return nil, fault.Wrap(err, "asking whether a server runs on %s", dataDir)
	}
	return &Client{&http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	}}, nil
}

type peerKey struct{}

// WithPeer notes in a connection's context who is at the other end; it is the
// ConnContext of the server that uses OnlyOperator.
func WithPeer(ctx context.Context, conn net.Conn) context.Context {
	uid, err := peerUID(conn)
	if err != nil {
		return ctx // OnlyOperator refuses what it knows nothing of
	}
	return context.WithValue(ctx, peerKey{}, uid)
}

// OnlyOperator answers 403 unless root or the server's own user asks.
func OnlyOperator(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uid, known := r.Context().Value(peerKey{}).(int)
		if !known || uid != 0 && uid != os.Geteuid() {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintln(w, "only root and the user whom the server runs as may administer it")
			return
		}
		next.ServeHTTP(w, r)
	})
}
