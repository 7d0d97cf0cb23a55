package docs_test

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/exec"
	"rekey/internal/rotation/target/webhook"
	"rekey/internal/secret"
)

// python is the program on the page that has some words in it.
func python(t *testing.T, words string) string {
	t.Helper()
	for _, f := range fences(t, "rotation.md") {
		if f.info == "python" && strings.Contains(f.text, words) {
			return f.text
		}
	}
	t.Fatalf("rotation.md has no program with %q", words)
	return ""
}

func credential(value string) target.Credential {
	return target.Credential{target.Main: secret.FromString(value)}
}

// The program of the page rotates the password of a user, and of no other.
func TestTheProgramOfTheExampleRotates(t *testing.T) {
	dir := t.TempDir()
	program, users := filepath.Join(dir, "shop-users"), filepath.Join(dir, "users.json")
	const start = `{"ann": {"salt": "00", "digest": "-"}, "bob": {"salt": "00", "digest": "-"}}`
	if err := os.WriteFile(program, []byte(python(t, "scrypt")), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(users, []byte(start), 0o600); err != nil {
		t.Fatal(err)
	}
	kind := exec.Kind(map[string]exec.Program{"shop-users": {Path: program, Args: []string{users}}})
	bind := func(user string) target.Target {
		made, err := kind.Bind(target.Binding{
			Annotations: map[string]string{"rotation/exec/program": "shop-users", "rotation/exec/variables": "username"},
			Values:      map[string]secret.Bytes{"username": secret.FromString(user)}, Rand: rand.Reader,
		})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ann, current := bind("ann"), target.Credential(nil)
	for range 2 {
		next, err := ann.Candidate(current)
		if err != nil {
			t.Fatal(err)
		}
		if err := ann.Probe(ctx, next); target.ClassOf(err) != target.AuthFailed {
			t.Errorf("a password that was never set: %v", err)
		}
		for range 2 {
			if _, err := ann.Apply(ctx, current, next); err != nil {
				t.Fatal(err)
			}
		}
		if err := ann.Probe(ctx, next); err != nil {
			t.Error(err)
		}
		if err := ann.Retire(ctx, next, credential("old-Value-1")); err != nil {
			t.Error(err)
		}
		current = next
	}
	if err := bind("eve").Probe(ctx, current); target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("a user that is not there: %v", err)
	}
	if text, err := os.ReadFile(users); err != nil || !strings.Contains(string(text), `"bob": {"salt": "00", "digest": "-"}`) {
		t.Errorf("the file is %s (%v)", text, err)
	}
}

// The receiver of the page takes a request once, and no other that is like it.
func TestTheReceiverOfTheExampleKnowsWhoAsks(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	program := python(t, "def authentic") + `
import sys
headers, body = {"Rekey-Timestamp": sys.argv[1], "Rekey-Signature": sys.argv[2]}, sys.stdin.buffer.read()
seen = set()
print(authentic(headers, body, b"another key", seen), authentic(headers, body + b" ", KEY, seen),
      authentic(dict(headers, **{"Rekey-Timestamp": str(int(sys.argv[1]) - 1)}), body, KEY, seen),
      authentic(headers, body, KEY, seen), authentic(headers, body, KEY, seen))
`
	ask := func(clock func() time.Time) string {
		said := "nothing"
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			c := osexec.Command("python3", "-c", strings.ReplaceAll(program, "KEY", "b'"+key+"'"), r.Header.Get("Rekey-Timestamp"), r.Header.Get("Rekey-Signature"))
			c.Stdin = strings.NewReader(string(body))
			out, err := c.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			said = strings.TrimSpace(string(out))
		}))
		defer s.Close()
		var d net.Dialer
		made, err := webhook.Kind(clock).Bind(target.Binding{
			Annotations: map[string]string{"rotation/webhook/ca": "ca"}, Dial: d.DialContext, Rand: rand.Reader,
			Values: map[string]secret.Bytes{"url": secret.FromString(s.URL), "signing-key": secret.FromString(key),
				"ca": secret.New(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := made.Probe(ctx, credential("any-Value-1")); err != nil {
			t.Fatal(err)
		}
		return said
	}
	if got := ask(time.Now); got != "False False False True False" {
		t.Errorf("another key, another body, another time, the request, the request again: %s", got)
	}
	if got := ask(func() time.Time { return time.Now().Add(-10 * time.Minute) }); got != "False False False False False" {
		t.Errorf("an old request: %s", got)
	}
}
