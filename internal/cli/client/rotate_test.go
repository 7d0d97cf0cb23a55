package client

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"rekey/internal/fault"
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

// breaking is a proxy that breaks the connection instead of an answer to the rotation
// of a key, before the server has heard of it or after.
func breaking(t *testing.T, server string, after bool, downThen *atomic.Bool) string {
	t.Helper()
	target, err := url.Parse(server)
	check(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	var down atomic.Bool
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rotation := strings.HasSuffix(r.URL.Path, "/api_key")
		if down.Load() || rotation && !after {
			panic(http.ErrAbortHandler)
		}
		if rotation {
			forward.ServeHTTP(httptest.NewRecorder(), r)
			down.Store(downThen.Load())
			panic(http.ErrAbortHandler)
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestWhenTheAnswerIsLostTheTruthIsFoundOut(t *testing.T) {
	for _, c := range []struct {
		name        string
		after, down bool
		want        string
		advice      string
	}{
		{"the server never heard of it", false, false, "the key is not changed", "try again"},
		{"the answer was lost", true, false, "the new one is lost", "`rekey user rotate-api-key -i admin`"},
		{"the server is gone", true, true, "may or may not have been changed", "`rekey authenticate`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, key := serve(t)
			var down atomic.Bool
			down.Store(c.down)
			t.Setenv("CONJUR_APPLIANCE_URL", breaking(t, server, c.after, &down))
			logInAs(t, "admin", key)
			before, err := os.ReadFile(netrcPath())
			check(t, err)

			got, _, err := RotateOwnKey(t.Context(), Options{}, "user")
			if got.Len() != 0 || !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), c.want) || !strings.Contains(advice(err), c.advice) {
				t.Errorf("%v; %s", err, advice(err))
			}
			if strings.Contains(err.Error(), key) {
				t.Error("the key is in the error")
			}
			after, err := os.ReadFile(netrcPath())
			check(t, err)
			if string(after) != string(before) {
				t.Error("the stored key has changed")
			}
			if entries, err := os.ReadDir(os.Getenv("HOME")); err != nil || len(entries) != 1 {
				t.Errorf("beside the netrc file there are %v, %v", entries, err)
			}
		})
	}
}

func TestARotatedKeyWorksAtOnce(t *testing.T) {
	_, key := serve(t)
	logInAs(t, "admin", key)
	for range 3 {
		next, where, err := RotateOwnKey(t.Context(), Options{}, "user")
		check(t, err)
		if where != netrcPath() || next.RevealString() == key {
			t.Fatalf("stored in %q", where)
		}
		s, err := Open(t.Context(), Options{})
		check(t, err)
		if s.Who != "admin" || s.Source != netrcPath() {
			t.Errorf("%s from %s", s.Who, s.Source)
		}
		key = next.RevealString()
	}
}

func netrcPath() string { return filepath.Join(os.Getenv("HOME"), ".netrc") }

func advice(err error) string {
	if known, ok := err.(*fault.Error); ok {
		return known.Advice
	}
	return ""
}
