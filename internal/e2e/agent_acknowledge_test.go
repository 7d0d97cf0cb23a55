package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Given a password that two hosts use, when it is rotated, then the agent of one tells the
// server of it by itself, once its file is written, and again if the server could not hear
// it; and the old one goes on until the other host has acknowledged it too. So it does when
// the server is killed meanwhile.
func TestAgentAcknowledges(t *testing.T) {
	t.Parallel()
	here := t.TempDir()
	program, config := filepath.Join(here, "anything"), filepath.Join(here, "rekey.yml")
	if err := os.WriteFile(program, []byte("#!/bin/sh\ncat >/dev/null\necho '{\"result\":\"ok\"}'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("rotation_programs:\n  - anything="+program+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--config", config}
	w := newWorkload(t, flags...)
	keys := w.admin.load(t, "POST", "root", `
- !host other
- !variable
  id: db/key
  annotations:
    rotation/rotator: exec
    rotation/exec/program: anything
    rotation/grace: PT0.05S
    rotation/consumers: host/web host/other
- !permit {role: !host web, privileges: [read, execute], resource: !variable db/key}
- !permit {role: !host other, privileges: [read, execute], resource: !variable db/key}
`)
	w.set("db/key", "first")

	const path, secret = "/rotations/" + account + "/variable/db%2Fkey", "/secrets/" + account + "/variable/db%2Fkey"

	target, err := url.Parse(w.server.url)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var refusals, early atomic.Int32
	forward.ErrorLog = log.New(io.Discard, "", 0) // the server is killed
	looker := newClient(w.server.url)
	looker.token = w.admin.token
	between := http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("acknowledge") {
			value, err := looker.send("GET", secret+"?version="+r.URL.Query().Get("version"), nil)
			if has, unread := os.ReadFile(w.path("key")); err != nil || unread != nil || string(has) != value.body {
				early.Add(1)
			}
			if refusals.Add(1) <= 2 {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		forward.ServeHTTP(rw, r)
	})}
	go between.Serve(listener)
	t.Cleanup(func() { between.Close() })
	address := "http://" + listener.Addr().String()
	w.write("identity", strings.ReplaceAll(read(t, w.identity), w.line.url(), address))
	p := w.agentAt(address, "--secret", "key=db/key", "--on-change", "HUP", "--", "sh", "-c", "trap 'echo told' HUP; echo up; while :; do sleep 0.05; done")
	w.says(p, &p.stdout, "up")

	rotates := func(version int) {
		t.Helper()
		w.admin.must(t, http.StatusNoContent, "POST", path+"?rotate", "")
		w.stands(path, fmt.Sprintf("published version %d", version), func(s consumed) bool { return s.Version == version })
		w.becomes("key", w.admin.must(t, http.StatusOK, "GET", secret, "").body)
	}
	rotates(2)
	s := w.stands(path, "acknowledged by the agent", func(s consumed) bool { return len(s.Unacknowledged) == 1 })
	if s.Unacknowledged[0] != account+":host:other" || s.State != "retiring" || refusals.Load() != 3 {
		t.Errorf("%+v after %d attempts", s, refusals.Load())
	}

	// The server dies; what was acknowledged is not lost, and the old value still waits.
	w.server.kill()
	w.server = serve(t, w.server.dir, append(flags, "--listen", target.Host)...)
	w.admin.url = w.server.url
	if s = w.stands(path, "the same", func(s consumed) bool { return s.State == "retiring" }); len(s.Unacknowledged) != 1 {
		t.Errorf("after a kill: %+v", s)
	}
	acknowledge := exec.Command(binary, "rotation", "acknowledge", "db/key", "--version", "2")
	acknowledge.Env = append(os.Environ(), "HOME="+here, "CONJUR_APPLIANCE_URL="+w.server.url, "CONJUR_ACCOUNT="+account, "CONJUR_AUTHN_LOGIN=host/other", "CONJUR_AUTHN_API_KEY="+keys["host/other"])
	if out, err := acknowledge.CombinedOutput(); err != nil || string(out) != "Acknowledged version 2\n" {
		t.Errorf("%v: %s", err, out)
	}
	w.stands(path, "ended", func(s consumed) bool { return s.State == "idle" && len(s.Unacknowledged) == 0 })

	rotates(3)
	w.stands(path, "acknowledged again", func(s consumed) bool { return len(s.Unacknowledged) == 1 })
	if early.Load() > 0 {
		t.Errorf("%d acknowledgements came before their value was in the file", early.Load())
	}
}

type consumed struct {
	State          string
	Version        int
	Unacknowledged []string
}

func (w *workload) stands(path, how string, is func(consumed) bool) (s consumed) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		s = consumed{}
		if err := json.Unmarshal([]byte(w.admin.must(w.t, http.StatusOK, "GET", path, "").body), &s); err != nil {
			w.t.Fatal(err)
		}
		if is(s) {
			return s
		}
	}
	w.t.Fatalf("it does not become %s: %+v", how, s)
	return s
}
