package webhook

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

var ctx = context.Background()

const secretLine = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// world is a core on a real store, whose hooks are told by senders with a clock of the test.
type world struct {
	*testing.T
	*core.Core
	dir   string
	root  *seal.Root
	hooks []Hook
	store *sqlite.Store
	now   time.Time
	mu    sync.Mutex
	close func()
}

func newWorld(t *testing.T, hooks ...Hook) *world {
	text, err := seal.NewRootText(rand.Reader)
	must(t, err)
	root, err := seal.ParseRoot("the test", text)
	must(t, err)
	w := &world{T: t, dir: t.TempDir(), root: root, hooks: hooks, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	w.open()
	t.Cleanup(func() { w.close() })
	_, err = w.CreateAccount(ctx, core.Operator(), "acme", nil)
	must(t, err)
	return w
}

func (w *world) open() {
	var err error
	w.store, err = sqlite.Open(w.dir)
	must(w.T, err)
	var told []core.Hook
	for _, hook := range w.hooks {
		told = append(told, hook.Hook)
	}
	w.Core, err = core.Open(ctx, core.Options{Store: w.store, Audit: audit.To(io.Discard), RootKey: w.root, Config: core.Default(), Now: w.clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Hooks: told})
	must(w.T, err)
	opened, rows := w.Core, w.store
	w.close = func() {
		must(w.T, opened.Close())
		must(w.T, rows.Close())
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// happens makes something happen that hooks are told of.
func (w *world) happens() {
	w.Helper()
	_, err := w.RotateKey(ctx, w.admin(), "acme", "")
	must(w.T, err)
}

func (w *world) admin() core.Caller {
	w.Helper()
	key, err := w.RetrieveKey(ctx, core.Operator(), "acme:user:admin")
	must(w.T, err)
	caller, err := w.Basic(ctx, core.Origin{}, "acme", "admin", key)
	must(w.T, err)
	return caller
}

func (w *world) sender() *Sender {
	return &Sender{Core: w.Core, Hooks: w.hooks, Dial: (&net.Dialer{}).DialContext, Now: w.clock, Rand: func() float64 { return 0.5 }, Log: slog.New(slog.DiscardHandler)}
}

// newest is the newest delivery of a hook.
func (w *world) newest(hook string) row.Delivery {
	w.Helper()
	list, err := w.store.Deliveries(ctx, store.DeliveryFilter{Hook: hook, Limit: 1})
	must(w.T, err)
	if len(list) == 0 {
		w.Fatalf("nothing for %s", hook)
	}
	return list[0]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// receiver is somebody who is told.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []*http.Request
	bodies []string
	status int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: 204}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got, r.bodies = append(r.got, request), append(r.bodies, string(body))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// hook is one that goes to a URL.
func hook(t *testing.T, name, url string, events ...string) Hook {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(path, []byte(secretLine+"\n"), 0o600))
	return Hook{Hook: core.Hook{Name: name, Events: events}, URL: url, SecretFile: path}
}
