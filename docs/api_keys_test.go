package docs_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rotating is a directory with the key of a host, as the page has it.
type rotating struct {
	*world
	dir, url string
	script   string
	rest     []fence
}

func newRotating(t *testing.T) *rotating {
	w := newWorld(t)
	w.at = "api-keys.md"
	w.load("post root", `- !user operator
- !policy
  id: app
  body:
    - !host web
- !permit { role: !user operator, privileges: [ read, update ], resource: !host app/web }
`)
	w.expectResult("")
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	r := &rotating{world: w, dir: t.TempDir(), url: server.URL}
	for _, f := range fences(t, "api-keys.md") {
		if f.info == "sh rotate.sh" {
			r.script = f.text
		} else {
			r.rest = append(r.rest, f)
		}
	}
	r.write("rotate.sh", r.script)
	r.write("operator.key", w.keys["user:operator"])
	r.write("keys/key", w.keys["host:app/web"])
	return r
}

func (r *rotating) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *rotating) read(name string) string {
	content, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.Fatal(err)
	}
	return string(content)
}

func (r *rotating) run(script string) (string, error) {
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "REKEY="+r.url)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// accepted tells whether the server takes a key of the host.
func (r *rotating) accepted(key string) bool {
	return r.serve(httptest.NewRequest("POST", "/authn/acme/host%2Fapp%2Fweb/authenticate", strings.NewReader(key))).Code == 200
}

// The page does what it says, from its first line to its last.
func TestAPIKeyExamples(t *testing.T) {
	r := newRotating(t)
	ran := 0
	for _, f := range r.rest {
		r.at = fmt.Sprintf("api-keys.md:%d", f.line)
		before := r.read("keys/key")
		switch f.info {
		case "yaml":
			r.load("patch root", f.text)
			r.expectResult("")
			continue
		case "sh":
			ran++
		default:
			t.Fatalf("%s: a block of no known kind: %s", r.at, f.info)
		}
		out, err := r.run("set -euo pipefail\n" + f.text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", r.at, err, out)
		}
		key := r.read("keys/key")
		if !r.accepted(key) {
			t.Errorf("%s: the key is not accepted", r.at)
		}
		if strings.Contains(f.text, "rotate.sh") && key == before {
			t.Errorf("%s: the key is the same as before", r.at)
		}
		if strings.Contains(f.text, "handover") && (!r.accepted(r.read("handover")) || !r.accepted(before)) {
			t.Errorf("%s: not both keys are accepted", r.at)
		}
	}
	if ran < 5 {
		t.Errorf("only %d examples are run", ran)
	}
}

// Given the script is killed before any one of its commands, when it is run again, then
// the host has a key that is accepted, and the rotation comes to its end.
func TestTheScriptMayDieAnywhere(t *testing.T) {
	r := newRotating(t)
	deaths := 0
	for at := 1; ; at++ {
		before := r.read("keys/key")
		_, err := r.run(fmt.Sprintf(`export KEYS=keys LOGIN=host/app/web
set -o functrace
n=0
trap '(( ++n == %d )) && kill -9 $$' DEBUG
source ./rotate.sh`, at))
		if err == nil {
			break // it has fewer commands than that
		}
		deaths++
		if !r.accepted(r.read("keys/key")) && !r.accepted(r.read("keys/key.new")) {
			t.Fatalf("killed before command %d: no key is accepted", at)
		}
		if out, err := r.run("KEYS=keys LOGIN=host/app/web bash rotate.sh"); err != nil {
			t.Fatalf("run again after it was killed before command %d: %v\n%s", at, err, out)
		}
		if key := r.read("keys/key"); !r.accepted(key) || key == before {
			t.Fatalf("killed before command %d and run again: the key is accepted: %v, is another one: %v", at, r.accepted(key), key != before)
		}
	}
	if deaths < 10 {
		t.Errorf("only %d deaths", deaths)
	}
}
