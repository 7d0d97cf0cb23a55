package client

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rekey/internal/fault"
)

// counting is a proxy that counts the tokens that are bought, and refuses once those
// that are in refused.
func counting(t *testing.T, server string) (address string, bought *int, refused map[string]bool) {
	t.Helper()
	target, err := url.Parse(server)
	check(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	bought, refused = new(int), map[string]bool{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/authenticate") {
			*bought++
		}
		if token := r.Header.Get("Authorization"); refused[token] {
			delete(refused, token) // within a second, the next one is the same
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.URL, bought, refused
}

func tokenFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(tokenFolder(), "*"))
	check(t, err)
	return files
}

func TestATokenIsRememberedForTheNextCommand(t *testing.T) {
	server, key := serve(t)
	address, bought, refused := counting(t, server)
	t.Setenv("CONJUR_APPLIANCE_URL", address)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	logInAs(t, "admin", key)
	*bought = 0

	// Given one command, the next ones buy no token.
	var last *Session
	for range 3 {
		s, err := Open(t.Context(), Options{})
		check(t, err)
		_, err = s.API.WhoAmI()
		check(t, err)
		last = s
	}
	if *bought != 1 {
		t.Errorf("three commands bought %d tokens", *bought)
	}
	files := tokenFiles(t)
	if len(files) != 1 {
		t.Fatalf("remembered: %v", files)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(files[0])); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	// A token for others is a new one.
	token, err := last.Token()
	check(t, err)
	if *bought != 2 {
		t.Errorf("%d tokens were bought", *bought)
	}

	// If the server refuses what is remembered, the same command buys another one, and
	// sends its request again, body included.
	check(t, os.WriteFile(files[0], token.Reveal(), 0o600))
	s, err := Open(t.Context(), Options{})
	check(t, err)
	refused["Token token=\""+base64.StdEncoding.EncodeToString(token.Reveal())+"\""] = true
	if _, err := s.Load("load", "demo:policy:root", "- !variable v"); err != nil {
		t.Errorf("the first request: %v", err)
	}
	if _, err := s.API.WhoAmI(); err != nil {
		t.Errorf("the second request: %v", err)
	}
	if *bought != 3 {
		t.Errorf("%d tokens were bought", *bought)
	}

	// Whoever wants proof buys one; so does whoever has another key.
	if _, err := Open(t.Context(), Options{Fresh: true}); err != nil || *bought != 4 {
		t.Errorf("%v, %d tokens were bought", err, *bought)
	}
	cfg, err := Load(Options{})
	check(t, err)
	keep, err := OpenKeep(&cfg)
	check(t, err)
	stored, err := os.ReadFile(netrcPath())
	check(t, err)
	check(t, os.WriteFile(netrcPath(), []byte(strings.Replace(string(stored), key, "x"+key[1:], 1)), 0o600))
	if _, err := Open(t.Context(), Options{}); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("another key: %v", err)
	}

	// Nothing is left when it is forgotten.
	ForgetTokens(&cfg)
	check(t, keep.Forget())
	if files := tokenFiles(t); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

func TestTokensOfKeysThatAreNotStoredAreNot(t *testing.T) {
	_, key := serve(t)
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("CONJUR_AUTHN_LOGIN", "admin")
	t.Setenv("CONJUR_AUTHN_API_KEY", key)
	_, err := Open(t.Context(), Options{})
	check(t, err)
	if files := tokenFiles(t); len(files) != 0 {
		t.Errorf("remembered: %v", files)
	}
}
