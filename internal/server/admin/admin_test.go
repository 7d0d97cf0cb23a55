package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"rekey/internal/fault"
)

func TestOnlyRootAndTheServersUserAreServed(t *testing.T) {
	served := OnlyOperator(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, c := range []struct {
		name string
		ctx  context.Context
		want int
	}{
		{"the server's user", context.WithValue(context.Background(), peerKey{}, os.Geteuid()), http.StatusOK},
		{"root", context.WithValue(context.Background(), peerKey{}, 0), http.StatusOK},
		{"another user", context.WithValue(context.Background(), peerKey{}, 54321), http.StatusForbidden},
		{"a peer that the kernel does not tell of", context.Background(), http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			served.ServeHTTP(w, httptest.NewRequest("POST", pathListAccounts, nil).WithContext(c.ctx))
			if w.Code != c.want {
				t.Errorf("status %d, want %d", w.Code, c.want)
			}
		})
	}
}

// onSocket serves a handler on a socket and returns its client.
func onSocket(t *testing.T, handler http.Handler) *Client {
	t.Helper()
	dir := t.TempDir()
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: OnlyOperator(handler), ConnContext: WithPeer}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	client, err := Dial(t.Context(), dir)
	if err != nil || client == nil {
		t.Fatalf("Dial: %v, %v", client, err)
	}
	return client
}

// TestBothTransportsAreAlike: what a command sees does not depend on whether the
// server runs.
func TestBothTransportsAreAlike(t *testing.T) {
	handler := http.NewServeMux()
	handler.Handle("POST "+pathListAccounts, operation(func(context.Context, struct{}) (Accounts, error) {
		return Accounts{[]string{"demo"}}, nil
	}))
	handler.Handle("POST "+pathRetrieveKey, operation(func(_ context.Context, in Name) (Key, error) {
		e := fault.New(fault.NotFound, "no role %s", in.Name)
		e.Advice = "look again"
		return Key{}, fmt.Errorf("retrieving: %w", e)
	}))
	handler.HandleFunc("POST "+pathDeleteAccount, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "broken", http.StatusBadGateway)
	})
	for name, client := range map[string]*Client{"in process": {inProcess{handler}}, "socket": onSocket(t, handler)} {
		t.Run(name, func(t *testing.T) {
			if got, err := client.ListAccounts(t.Context()); err != nil || fmt.Sprint(got) != "[demo]" {
				t.Errorf("got %v, %v", got, err)
			}
			_, err := client.RetrieveKey(t.Context(), "demo:user:x")
			var refused *fault.Error
			if !errors.As(err, &refused) || refused.Kind != fault.NotFound || refused.Advice != "look again" || refused.Message != "retrieving: no role demo:user:x" {
				t.Errorf("got %#v", err)
			}
			if err := client.DeleteAccount(t.Context(), "demo"); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "broken") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestARefusedUserIsToldWhoMay(t *testing.T) {
	client := &Client{inProcess{OnlyOperator(http.NotFoundHandler())}}
	var refused *fault.Error
	if _, err := client.ListAccounts(t.Context()); !errors.As(err, &refused) || refused.Kind != fault.Forbidden || refused.Advice == "" {
		t.Errorf("got %#v", err)
	}
}

func TestDialFindsNoServer(t *testing.T) {
	dir := t.TempDir()
	if client, err := Dial(t.Context(), dir); client != nil || err != nil {
		t.Errorf("without a socket: %v, %v", client, err)
	}
	// A server that was killed leaves its socket behind.
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	listener.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if client, err := Dial(t.Context(), dir); client != nil || err != nil {
		t.Errorf("with a dead server's socket: %v, %v", client, err)
	}
	again, err := Listen(dir)
	if err != nil {
		t.Fatalf("the dead server's socket is in the way: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
