package bench

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Bare servers: the least that a Go server can do for each kind of operation.
const (
	barePlain   = "plain"   // writes the body
	bareSign    = "sign"    // signs 256 bytes with Ed25519, puts the signature into the body, writes it
	bareDurable = "durable" // appends 4 KiB to a file, waits for an fdatasync that all waiting requests share, writes the body
)

// BareCommand is the first argument that makes the benchmark's own program serve as a bare server (see ServeBare).
const BareCommand = "bare"

// bare is a bare server's description.
type bare struct {
	kind   string
	status int
	body   []byte
}

// startBare starts this program again as a bare server on the servers' core.
func (e *Env) startBare(ctx context.Context, b bare) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(e.Dir, "bare-")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, BareCommand, "-listen", address, "-kind", b.kind,
		"-status", strconv.Itoa(b.status), "-journal", filepath.Join(dir, "journal"))
	cmd.Stdin = bytes.NewReader(b.body)
	server, err := e.startServer(cmd, address, filepath.Join(dir, "log"), e.Cores.Serve)
	if err != nil {
		return nil, err
	}
	return server, server.poll(ctx, 10*time.Second, server.listening)
}

// ServeBare is the bare server: it reads the body to answer with from stdin, and serves until it is killed.
func ServeBare(args []string, stdin io.Reader) error {
	flags := flag.NewFlagSet(BareCommand, flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address")
	kind := flags.String("kind", barePlain, "plain, sign or durable")
	status := flags.Int("status", http.StatusOK, "status to answer with")
	journalFile := flags.String("journal", "", "file that the durable kind appends to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	body, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	var act func(answer []byte) error
	switch *kind {
	case barePlain:
		act = func([]byte) error { return nil }
	case bareSign:
		act, err = signer()
	case bareDurable:
		act, err = journal(*journalFile)
	default:
		err = fmt.Errorf("-kind %s: want plain, sign or durable", *kind)
	}
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	return http.Serve(listener, bareHandler(*status, body, act))
}

// bareHandler reads the request's body, acts, and writes the answer. It names the type and length of the answer, which
// spares net/http from sniffing and chunking.
func bareHandler(status int, body []byte, act func(answer []byte) error) http.HandlerFunc {
	length := strconv.Itoa(len(body))
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer := bytes.Clone(body)
		if err := act(answer); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if status != http.StatusNoContent {
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Content-Length", length)
		}
		w.WriteHeader(status)
		_, _ = w.Write(answer) // a client that has gone needs no answer, and a 204 takes no body
	}
}

// signer returns an act that signs a message of an access token's size and writes the signature into the answer's end.
func signer() (func(answer []byte) error, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	message := make([]byte, 256)
	size := base64.URLEncoding.EncodedLen(ed25519.SignatureSize)
	return func(answer []byte) error {
		if len(answer) < size {
			return fmt.Errorf("an answer of %d bytes has no room for a signature", len(answer))
		}
		base64.URLEncoding.Encode(answer[len(answer)-size:], ed25519.Sign(key, message))
		return nil
	}, nil
}

// journal returns an act that returns once 4 KiB of its own are durable at the end of the file. One goroutine writes
// the blocks of all that wait, calls fdatasync once, and lets them go; meanwhile the next ones gather.
func journal(file string) (func(answer []byte) error, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	const block = 4 << 10
	waiting := make(chan chan error, 256)
	go func() {
		blocks := make([]byte, block*cap(waiting))
		for first := range waiting {
			group := []chan error{first}
			for more := true; more && len(group) < cap(waiting); {
				select {
				case next := <-waiting:
					group = append(group, next)
				default:
					more = false
				}
			}
			_, err := f.Write(blocks[:block*len(group)])
			err = errors.Join(err, unix.Fdatasync(int(f.Fd())))
			for _, done := range group {
				done <- err
			}
		}
	}()
	return func([]byte) error {
		done := make(chan error, 1)
		waiting <- done
		return <-done
	}, nil
}
