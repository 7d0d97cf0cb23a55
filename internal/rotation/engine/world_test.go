package engine_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rotation"
	"rekey/internal/rotation/engine"
	"rekey/internal/rotation/target"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store"
	"rekey/internal/store/sqlite"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is an engine on a real core on a real store, with account acme. Its operator does
// what people do.
type world struct {
	*core.Core
	testing.TB
	model   *model
	kinds   map[string]target.Kind // by name
	dir     string
	root    *seal.Root
	limits  rotation.Limits
	options engine.Options
	wrap    func(store.Store) store.Store
	keep    func() (store.Store, error) // opens the store
	audit   *trail
	log     *slog.Logger
	rows    store.Store

	latest  map[ident.ID]int // versions of variables, when somebody looked the last time
	clock   sync.Mutex
	ahead   time.Duration
	starts  int
	stop    func()
	close   func()
	running bool
}

type trail struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *trail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *trail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	text, err := seal.NewRootText(rand.Reader)
	must(t, err)
	root, err := seal.ParseRoot("TEST_KEY", text)
	must(t, err)
	w := &world{TB: t, model: newModel(), dir: t.TempDir(), root: root, limits: rotation.DefaultLimits(), audit: &trail{}, latest: map[ident.ID]int{},
		log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
		options: engine.Default(slog.New(slog.NewTextHandler(io.Discard, nil)))}
	w.kinds = map[string]target.Kind{w.model.Name(): w.model}
	w.keep = func() (store.Store, error) { return sqlite.Open(w.dir) }
	w.limits.BackoffBase, w.limits.Lease = 20*time.Millisecond, 300*time.Millisecond
	w.options.Pause = 10 * time.Millisecond
	w.options.StepTime, w.options.Rate = 100*time.Millisecond, 100_000
	w.open()
	t.Cleanup(func() { w.close() })
	_, err = w.CreateAccount(ctx, core.Operator(), "acme", nil)
	must(t, err)
	return w
}

// patient gives a call of a target more time, and a lease by which it may use it.
func (w *world) patient(step time.Duration) {
	w.Helper()
	w.options.StepTime, w.limits.Lease = step, 3*step
	w.close()
	w.open()
}

func (w *world) now() time.Time {
	w.clock.Lock()
	defer w.clock.Unlock()
	return time.Now().Add(w.ahead)
}

func (w *world) later(d time.Duration) {
	w.clock.Lock()
	w.ahead += d
	w.clock.Unlock()
	w.RescheduleRotations()
}

func (w *world) open() {
	w.Helper()
	rows, err := w.keep()
	must(w, err)
	w.rows = rows
	var st store.Store = rows
	if w.wrap != nil {
		st = w.wrap(rows)
	}
	w.starts++
	w.Core, err = core.Open(ctx, core.Options{
		Store: st, Audit: audit.To(w.audit), RootKey: w.root, Config: core.Default(), Now: w.now, Rand: rand.Reader,
		Log:     w.log,
		Targets: &core.Targets{Kinds: w.kinds, Dial: (&net.Dialer{}).DialContext, Node: fmt.Sprintf("node-%d", w.starts), Limits: w.limits},
	})
	must(w, err)
	opened := w.Core
	w.close = sync.OnceFunc(func() {
		w.halt()
		must(w, opened.Close())
		must(w, rows.Close())
	})
}

// start runs the engine, halt ends it.
func (w *world) start() {
	running, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	e := engine.New(w.Core, w.options)
	go func() { e.Run(running); close(done) }()
	w.running = true
	w.stop = func() { cancel(); <-done }
}

func (w *world) halt() {
	if w.running {
		w.stop()
		w.running = false
	}
}

func variable(name string) ident.ID { return ident.New("acme", "variable", "db/"+name) }

// declare loads rotated variables, each with its annotations beside the rotator's.
func (w *world) declare(annotations map[string][]string) {
	w.Helper()
	_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Modify, []byte(declaration(annotations)))
	must(w, err)
}

func declaration(annotations map[string][]string) string {
	var text strings.Builder
	text.WriteString("- !policy\n  id: db\n  body:\n  - !variable username\n")
	for name, lines := range annotations {
		fmt.Fprintf(&text, "  - !variable\n    id: %s\n    annotations:\n      rotation/rotator: model/password\n      rotation/model/account: %s\n", name, name)
		for _, line := range lines {
			text.WriteString("      " + line + "\n")
		}
	}
	return text.String()
}

// handOver writes a value that works.
func (w *world) handOver(name, value string) {
	w.Helper()
	w.model.set(name, value)
	must(w, w.SetSecret(ctx, core.Operator(), variable(name), secret.FromString(value)))
}

func (w *world) status(name string) core.RotationStatus {
	w.Helper()
	s, err := w.RotationStatus(ctx, core.Operator(), variable(name))
	must(w, err)
	return s
}

// value is the newest published value.
func (w *world) value(name string) string {
	w.Helper()
	_, err := w.LoadPolicy(ctx, core.Operator(), "acme:policy:root", policy.Add, []byte("- !permit {role: !user admin, privileges: [read, execute], resource: !variable db/"+name+"}"))
	must(w, err)
	return w.read(name)
}

// read is the same, once somebody may read it.
func (w *world) read(name string) string {
	w.Helper()
	v, err := w.Secret(ctx, w.admin(), variable(name), 0)
	must(w, err)
	return v.Value.RevealString()
}

func (w *world) admin() core.Caller {
	w.Helper()
	key, err := w.RetrieveKey(ctx, core.Operator(), "acme:user:admin")
	must(w, err)
	caller, err := w.Basic(ctx, core.Origin{}, "acme", "admin", key)
	must(w, err)
	return caller
}

// eventually waits, within a bound that only a broken engine needs.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	w.Fatalf("it did not come to pass that %s", what)
}

func (w *world) settles(name, state string, version int) {
	w.Helper()
	defer func() {
		if w.Failed() {
			events, err := w.RotationHistory(ctx, core.Operator(), variable(name))
			w.Logf("%+v\n%+v %v", w.status(name), events, err)
		}
	}()
	w.eventually(fmt.Sprintf("%s is %s at version %d", name, state, version), func() bool {
		s := w.status(name)
		return s.State == state && s.Rotation.Version == version && s.Holder == ""
	})
}

// opened decrypts what is sealed in the store, as somebody with the root key does.
func (w *world) opened(sealed []byte, by string) secret.Bytes {
	w.Helper()
	keys, err := w.rows.DataKeys(ctx)
	must(w, err)
	ring := &seal.Keyring{}
	for _, k := range keys {
		key, err := w.root.Unwrap(k.ID, k.Wrapped)
		must(w, err)
		must(w, ring.Add(key))
	}
	plain, err := ring.Open(sealed, by)
	must(w, err)
	return plain
}

// newest is the newest value of a variable; empty if it has none.
func (w *world) newest(id ident.ID) (value secret.Bytes) {
	w.Helper()
	for version := max(1, w.latest[id]); ; version++ {
		sealed, err := w.rows.Secret(ctx, id, version)
		if errors.Is(err, store.ErrNotFound) {
			return value
		}
		must(w, err)
		value, w.latest[id] = w.opened(sealed, fmt.Sprintf("secret\x00%s\x00%d", id, version)), version
	}
}

// slots are the credentials that are kept beside the published one.
func (w *world) slots(id ident.ID) (known []target.Credential) {
	w.Helper()
	for _, slot := range []row.Slot{row.Candidate, row.Previous, row.Discarded} {
		sealed, err := w.rows.Credential(ctx, id, slot)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		must(w, err)
		var values map[string][]byte
		must(w, json.Unmarshal(w.opened(sealed, "rotation\x00"+string(id)+"\x00"+string(slot)).Reveal(), &values))
		c := target.Credential{}
		for name, value := range values {
			c[name] = secret.New(value)
		}
		known = append(known, c)
	}
	return known
}

var errGone = errors.New("the node is gone")
