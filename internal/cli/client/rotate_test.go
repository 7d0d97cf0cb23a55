package client

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// logInAs keeps the credentials as `rekey login` does.
func logInAs(t *testing.T, login, key string) {
	t.Helper()
	s, err := Anonymous(t.Context(), Options{})
	check(t, err)
	got, err := s.LogIn(login, secret.FromString(key), true)
	check(t, err)
	cfg, err := Load(Options{})
	check(t, err)
	keep, err := OpenKeep(&cfg)
	check(t, err)
	check(t, Store(keep, login, got))
}

// between is a proxy that does something when a key is to be rotated: it returns
// whether the server may hear of it and whether the answer may come back. It knows
// nothing of the paths in missing.
func between(t *testing.T, server string, rotation func(r *http.Request) (there, back bool), missing ...string) string {
	t.Helper()
	target, err := url.Parse(server)
	check(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there, back := true, true
		if slices.Contains(missing, r.URL.Path) {
			http.NotFound(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/api_key") {
			there, back = rotation(r)
		}
		if there && back {
			forward.ServeHTTP(w, r)
			return
		}
		if there {
			forward.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler) // breaks the connection
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// TestWhereverARotationStopsAKeyThatWorksIsLeft rotates the key of a user over lines
// that break, at servers that can stage keys and at one that cannot.
func TestWhereverARotationStopsAKeyThatWorksIsLeft(t *testing.T) {
	unstaged := func(r *http.Request) { r.URL.RawQuery = "" }
	for _, c := range []struct {
		name     string
		rotation func(try int, r *http.Request) (there, back bool)
		want     string // in the error; "" for success
		printed  bool
		locked   bool // no key that works is stored
	}{
		{"nothing breaks", func(int, *http.Request) (bool, bool) { return true, true }, "", true, false},
		{"the request is lost", func(try int, _ *http.Request) (bool, bool) { return try > 0, true }, "", true, false},
		{"the answer is lost", func(try int, _ *http.Request) (bool, bool) { return true, try > 0 }, "", true, false},
		{"all answers are lost", func(int, *http.Request) (bool, bool) { return true, false }, "the old one goes on", false, false},
		{"the disk breaks", func(int, *http.Request) (bool, bool) { takeAway(); return true, true }, "cannot be written", false, false},
		{"no staging", func(_ int, r *http.Request) (bool, bool) { unstaged(r); return true, true }, "", true, false},
		{"no staging, the request is lost", func(try int, r *http.Request) (bool, bool) { unstaged(r); return try > 0, true }, "", true, false},
		{"no staging, the answer is lost", func(try int, r *http.Request) (bool, bool) { unstaged(r); return true, try > 0 },
			"the new one is lost", false, true},
		{"no staging, the disk breaks", func(_ int, r *http.Request) (bool, bool) { unstaged(r); takeAway(); return true, true },
			"cannot be written", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, key := serve(t)
			try := -1
			t.Setenv("CONJUR_APPLIANCE_URL", between(t, server, func(r *http.Request) (bool, bool) {
				try++
				return c.rotation(try, r)
			}))
			logInAs(t, "admin", key)
			stored, err := os.ReadFile(netrcPath())
			check(t, err)

			var printed string
			err = RotateOwnKey(t.Context(), Options{}, "user", Rotation{}, func(_ ident.ID, key secret.Bytes, _ string) error {
				printed = key.RevealString()
				return nil
			})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v", err)
			}
			if err != nil && (strings.Contains(err.Error(), key) || printed != "" && strings.Contains(err.Error(), printed)) {
				t.Error("a key is in the error")
			}
			if (printed != "") != c.printed {
				t.Errorf("printed %q", printed)
			}
			if c.want == "" { // then the old key is dead
				s, err := Anonymous(t.Context(), Options{})
				check(t, err)
				if _, err := s.LogIn("admin", secret.FromString(key), true); !fault.Is(err, fault.Unauthenticated) {
					t.Errorf("the old key: %v", err)
				}
			}
			if strings.Contains(c.name, "disk") { // it is mended, with what was on it
				check(t, os.MkdirAll(os.Getenv("HOME"), 0o700))
				check(t, os.WriteFile(netrcPath(), stored, 0o600))
			}
			if _, err := Open(t.Context(), Options{Fresh: true}); (err != nil) != c.locked {
				t.Errorf("with what is stored: %v", err)
			}
			if entries, err := os.ReadDir(os.Getenv("HOME")); err != nil || len(entries) != 1 {
				t.Errorf("beside the netrc file there are %v, %v", entries, err)
			}
		})
	}
}

func takeAway() { _ = os.RemoveAll(os.Getenv("HOME")) } // the test looks at what is left

func netrcPath() string { return filepath.Join(os.Getenv("HOME"), ".netrc") }

func advice(err error) string {
	if known, ok := err.(*fault.Error); ok {
		return known.Advice
	}
	return ""
}
