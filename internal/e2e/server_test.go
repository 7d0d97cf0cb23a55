package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const account = "demo"

// output gathers what a process writes while it runs.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// server is one process of the program on a data directory.
type server struct {
	dir            string
	url            string // after it is ready
	cmd            *exec.Cmd
	stdout, stderr output
	exited         chan error // gets one error, then is closed
}

// newDir makes a data directory with a root key.
func newDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	rand.Read(key)
	if err := os.WriteFile(filepath.Join(dir, "root.key"), []byte(base64.StdEncoding.EncodeToString(key)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// spawn starts a server on a data directory and a free port, and does not wait.
func spawn(dir string, flags ...string) (*server, error) {
	return spawnProgram(binary, dir, flags...)
}

func spawnProgram(program, dir string, flags ...string) (*server, error) {
	return spawnIn(nil, program, dir, flags...)
}

// spawnIn starts a server in another place, on the address by which its clients reach it.
func spawnIn(p *place, program, dir string, flags ...string) (*server, error) {
	s := &server{dir: dir, exited: make(chan error, 1)}
	args := []string{"server", "--data-dir", dir, "--account", account, "--listen", p.address() + ":0"}
	if p != nil {
		args = append(args, "--tls-terminated-by-proxy") // it is no loopback address, but nobody else is there
	}
	s.cmd = exec.Command(program, append(args, flags...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := p.start(s.cmd); err != nil {
		return nil, err
	}
	go func() { s.exited <- s.cmd.Wait(); close(s.exited) }()
	return s, nil
}

// launch starts a server that ends with the test.
func launch(t testing.TB, dir string, flags ...string) *server {
	t.Helper()
	s, err := spawn(dir, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.kill()
		if defect := defects.FindString(s.stderr.String()); defect != "" {
			t.Errorf("the server's log has %q:\n%s", defect, s.stderr.String())
		}
	})
	return s
}

// defects are what a log never has: races, panics, and what the wire calls a defect.
var defects = regexp.MustCompile(`(?m)^WARNING: DATA RACE|^panic: |^fatal error: |^time=\S+ level=ERROR.*`)

// serve starts a server and waits until it is ready.
func serve(t testing.TB, dir string, flags ...string) *server {
	t.Helper()
	s := launch(t, dir, flags...)
	if err := s.ready(); err != nil {
		t.Fatal(err)
	}
	return s
}

// start serves a new data directory, and returns the API key of the account's admin.
func start(t testing.TB, flags ...string) (*server, string) {
	t.Helper()
	s := serve(t, newDir(t), flags...)
	return s, s.adminKey(t)
}

var readyLine = regexp.MustCompile(`rekey is ready.* address"?[=:]"?(https?://[^\s"]+)`)

// ready waits until the server says where it listens.
func (s *server) ready() error {
	match, err := s.await(&s.stderr, readyLine)
	if err == nil {
		s.url = match[1]
	}
	return err
}

// await waits until a stream of the process has matched, and returns the groups.
func (s *server) await(stream *output, pattern *regexp.Regexp) ([]string, error) {
	for range 6000 {
		if match := pattern.FindStringSubmatch(stream.String()); match != nil {
			return match, nil
		}
		select {
		case err, first := <-s.exited:
			if match := pattern.FindStringSubmatch(stream.String()); match != nil {
				return match, nil
			}
			return nil, fmt.Errorf("the server ended without %q (%v, %v):\n%s", pattern, err, first, s.stderr.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil, fmt.Errorf("no %q in 30 s:\n%s", pattern, s.stderr.String())
}

var keyLine = regexp.MustCompile(`API key for admin: (\S+)`)

// adminKey reads the key that a server with a new account has printed.
func (s *server) adminKey(t testing.TB) string {
	t.Helper()
	match, err := s.await(&s.stdout, keyLine)
	if err != nil {
		t.Fatal(err)
	}
	return match[1]
}

// kill ends the process as a power cut would, and waits until it is gone.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended before
	for range s.exited {
	}
}

// terminate asks the server to stop, and wants exit status 0.
func (s *server) terminate(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-s.exited; err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, s.stderr.String())
	}
}

// command runs a local command on the server's data directory.
func (s *server) command(args ...string) (string, error) {
	cmd := exec.Command(binary, append(args, "--data-dir", s.dir)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("rekey %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(stdout.String()), nil
}

func cutVariable(entry string) (name, value string, ok bool) { return strings.Cut(entry, "=") }

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
