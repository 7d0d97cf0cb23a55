package core_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// Given the audit cannot be written, whatever would hand out a secret fails, and hands
// out nothing.
func TestNoSecretLeavesWithoutItsRecord(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", app)
	web := keys["acme:host:app/web"]
	w.set(w.admin(), "app/password", "secret")
	admin, host := w.admin(), w.as("host/app/web", web)
	basic := w.basic("host/app/web", web)
	w.audit.mu.Lock()
	w.audit.fail = errors.New("no space left on device")
	w.audit.mu.Unlock()
	password := ident.ID("acme:variable:app/password")
	for what, ask := range map[string]func() (bool, error){
		"a value": func() (bool, error) {
			v, err := w.Secret(ctx, host, password, 0)
			return v.Value.Len() > 0, err
		},
		"values": func() (bool, error) {
			v, err := w.Secrets(ctx, host, []ident.ID{password}, nil)
			return len(v) > 0, err
		},
		"a token": func() (bool, error) {
			v, err := w.AuthenticateKey(ctx, here, "acme", "host/app/web", web)
			return len(v) > 0, err
		},
		"a login": func() (bool, error) {
			v, err := w.Basic(ctx, here, "acme", "host/app/web", web)
			return v.Role != "", err
		},
		"a rotated key": func() (bool, error) {
			v, err := w.RotateKey(ctx, admin, "acme", "host:app/web")
			return v.Len() > 0, err
		},
		"one's own rotated key": func() (bool, error) {
			v, err := w.RotateKey(ctx, basic, "acme", "")
			return v.Len() > 0, err
		},
		"a retrieved key": func() (bool, error) {
			v, err := w.RetrieveKey(ctx, core.Operator(), "acme:user:admin")
			return v.Len() > 0, err
		},
		"a reset key": func() (bool, error) {
			v, err := w.ResetPassword(ctx, core.Operator(), "acme:user:admin", secret.FromString(strong))
			return v.Len() > 0, err
		},
		"the key of an account": func() (bool, error) {
			v, err := w.CreateAccount(ctx, core.Operator(), "other", nil)
			return v.Len() > 0, err
		},
		"the keys of a load": func() (bool, error) {
			v, err := w.tryLoad(admin, core.Add, "root", "- !host another")
			return len(v.Created) > 0, err
		},
		"a permission check": func() (bool, error) {
			_, err := w.Check(ctx, host, password, "read", "")
			return false, err
		},
	} {
		if leaves, err := ask(); leaves || status(err) != 503 {
			t.Errorf("%s: leaves %v, %v", what, leaves, err)
		}
	}
}

// Each decision is recorded once, whichever way it went.
func TestEachDecisionHasOneRecord(t *testing.T) {
	w := newWorld(t)
	web := w.load(core.Add, "root", app)["acme:host:app/web"]
	host := w.as("host/app/web", web)
	v := func(name string) ident.ID { return ident.New("acme", "variable", "app/"+name) }
	for _, c := range []struct {
		what  string
		ask   func() error
		want  int
		holds []string // in the record
	}{
		{"check: allowed", func() error { _, err := w.Check(ctx, host, v("password"), "read", ""); return err }, 200, []string{" check [", `result="success"`}},
		{"check: denied", func() error { _, err := w.Check(ctx, host, v("seen"), "execute", ""); return err }, 200, []string{" check [", `result="failure"`}},
		{"check: hidden", func() error { _, err := w.Check(ctx, host, v("hidden"), "read", ""); return err }, 404, []string{" check [", `result="failure"`}},
		{"list", func() error { _, err := w.Resources(ctx, host, core.ResourceQuery{Account: "acme"}); return err }, 200, []string{" list [", `result="success"`}},
		{"show", func() error { _, err := w.Resource(ctx, host, v("seen")); return err }, 200, []string{" resource [", `result="success"`}},
		{"show: hidden", func() error { _, err := w.Resource(ctx, host, v("hidden")); return err }, 404, []string{" resource [", `result="failure"`}},
		{"whoami", func() error { return w.WhoAmI(ctx, host) }, 200, []string{" identity-check [", `operation="check"`}},
		{"members", func() error {
			_, err := w.Members(ctx, w.adminCaller(), "acme:policy:app", core.MemberQuery{})
			return err
		}, 200, []string{" members [", `result="success"`}},
		{"a failed load", func() error { _, err := w.tryLoad(w.adminCaller(), core.Add, "root", "- !nonsense x"); return err }, 422, []string{" policy [", `result="failure"`, "Unrecognized data type"}},
		{"a load", func() error {
			_, err := w.tryLoad(w.adminCaller(), core.Add, "root", "- !variable another")
			return err
		}, 200, []string{" policy [", `operation="add"`, "added resource acme:variable:another"}},
		{"a rejected key", func() error {
			_, err := w.AuthenticateKey(ctx, here, "acme", "host/app/web", secret.FromString("wrong"))
			return err
		}, 401, []string{" authn [", `operation="authenticate"`, `result="failure"`}},
		{"an unknown role", func() error {
			_, err := w.AuthenticateKey(ctx, here, "acme", "nobody", secret.FromString("wrong"))
			return err
		}, 401, []string{`user="not-found"`, `role="acme:user:nobody"`}},
		{"a new signing key", func() error { _, err := w.RotateSigningKey(ctx, core.Operator(), "acme"); return err }, 200, []string{`user="local"`}},
		{"an account", func() error { _, err := w.CreateAccount(ctx, core.Operator(), "other", nil); return err }, 200, []string{" account [", `user="local"`}},
	} {
		w.adminCaller()
		w.audit.take()
		err := c.ask()
		text := w.audit.take()
		if status(err) != c.want {
			t.Errorf("%s: %v", c.what, err)
		}
		if n := strings.Count(text, "\n"); n != 1 {
			t.Errorf("%s: %d records:\n%s", c.what, n, text)
		}
		for _, part := range c.holds {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %s in %s", c.what, part, text)
			}
		}
	}
}

// adminCaller authenticates the administrator once only.
func (w *world) adminCaller() core.Caller {
	if w.cached.Role == "" {
		w.cached = w.admin()
	}
	return w.cached
}

// filesIn is all that is written in a directory.
func filesIn(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		text.Write(content)
		return err
	}))
	if text.Len() == 0 {
		t.Fatal("nothing is written")
	}
	return text.String()
}
