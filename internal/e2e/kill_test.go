package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// REKEY_KILLS is how often TestKill kills servers in all, REKEY_SEED the seed of its
// random choices, to run a failure once more.
const (
	killsVariable = "REKEY_KILLS"
	seedVariable  = "REKEY_SEED"

	defaultKills = 200
	worlds       = 4 // servers at a time
)

func setting(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestKill kills servers at random moments while clients change things. After each
// start everything that was acknowledged is there, what was under way has happened
// completely or not at all, and nothing else has changed.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := int(setting(t, killsVariable, defaultKills))
	seed := setting(t, seedVariable, uint64(time.Now().UnixNano()))
	t.Logf("%s=%d %s=%d repeats the choices of this run", killsVariable, kills, seedVariable, seed)
	began := time.Now()
	var tally tally
	t.Cleanup(func() {
		t.Logf("%v in %v", &tally, time.Since(began).Round(time.Second))
		if !t.Failed() {
			tally.mustHaveTried(t)
		}
	})
	for i := range worlds {
		t.Run(fmt.Sprintf("world-%d", i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, i, rand.New(rand.NewPCG(seed, uint64(i))), &tally)
			for w.kills < (kills+worlds-1)/worlds && !t.Failed() {
				w.round()
			}
		})
	}
}

// tally counts what the kills have met, over all worlds.
type tally struct {
	mutex sync.Mutex
	count map[string]int
}

func (y *tally) add(what string, n int) {
	y.mutex.Lock()
	defer y.mutex.Unlock()
	if y.count == nil {
		y.count = map[string]int{}
	}
	y.count[what] += n
}

func (y *tally) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(y.count)) {
		parts = append(parts, fmt.Sprintf("%d %s", y.count[what], what))
	}
	return strings.Join(parts, ", ")
}

// mustHaveTried fails if the run was too tame to show anything.
func (y *tally) mustHaveTried(t *testing.T) {
	for _, what := range []string{"kills", "kills at the start", "acknowledged", "under way and kept", "under way and gone"} {
		if y.count[what] == 0 {
			t.Errorf("no %s: %v", what, y)
		}
	}
}

// world is one data directory whose servers are killed, and those who change it.
type world struct {
	t        *testing.T
	name     string
	rng      *rand.Rand
	tally    *tally
	dir      string
	audit    string
	adminKey string
	server   *server
	admin    *client // with a token, of the server that runs now
	actors   []actor
	base     []string // ids of resources that nobody changes
	rounds   int
	kills    int
}

// actor changes some things that nobody else changes, and knows what they must be.
type actor interface {
	// act sends changes until the server dies.
	act(s *session)
	// verify compares what is there with what was acknowledged and, if its fate is
	// open, with what was under way; and takes note of what has become of that.
	verify(s *session)
	// owns lists the ids of the resources that are there because of the actor.
	owns() []string
}

const worldPolicy = `
- !variable still
- !host still
- !variable v0
- !variable v1
- !variable shared
- !host own-0
- !host own-1
- !host other-0
- !host other-1
- !user pat
- !policy branch-0
- !policy branch-1
- !permit {role: !host still, privileges: [read, execute], resource: !variable still}
`

func newWorld(t *testing.T, number int, rng *rand.Rand, y *tally) *world {
	w := &world{t: t, name: fmt.Sprintf("world-%d", number), rng: rng, tally: y, dir: newDir(t)}
	w.audit = filepath.Join(t.TempDir(), "audit.log")
	w.start()
	t.Cleanup(func() { w.server.kill() })
	w.adminKey = w.server.adminKey(t)
	w.connect()
	keys := w.admin.load(t, "POST", "root", worldPolicy)
	w.admin.must(t, http.StatusCreated, "POST", "/secrets/demo/variable/still", "never changed")
	for _, id := range []string{"variable:still", "host:still", "user:admin", "policy:root"} {
		w.base = append(w.base, account+":"+id)
	}
	w.actors = []actor{
		&reader{key: keys["host/still"]},
		&variable{id: "v0"}, &variable{id: "v1"},
		&crowd{id: "shared", writers: 3},
		&ownKey{role: role{name: "own-0", key: keys["host/own-0"]}},
		&ownKey{role: role{name: "own-1", key: keys["host/own-1"]}},
		&othersKey{role: role{name: "other-0", key: keys["host/other-0"]}},
		&othersKey{role: role{name: "other-1", key: keys["host/other-1"]}},
		&branch{id: "branch-0"}, &branch{id: "branch-1"},
		&passwords{login: "pat", key: keys["pat"], password: ""},
	}
	return w
}

func (w *world) start() {
	s, err := spawnProgram(plain, w.dir, "--audit", "file:"+w.audit)
	if err == nil {
		w.server = s
		err = s.ready()
	}
	if err != nil {
		w.t.Fatalf("%s: %v", w.name, err)
	}
}

func (w *world) connect() { w.admin = newClient(w.server.url).as(w.t, "admin", w.adminKey) }

// round lets everybody act, kills the server at some moment, starts another one, and
// verifies.
func (w *world) round() {
	w.rounds++
	window := time.Duration(w.rng.IntN(120)) * time.Millisecond
	slow := w.rng.IntN(12) == 0 // passwords are hashed slowly on purpose
	if slow {
		window = time.Duration(w.rng.IntN(1500)) * time.Millisecond
	}
	sessions := make([]*session, len(w.actors))
	var group sync.WaitGroup
	for i, a := range w.actors {
		sessions[i] = w.session(i)
		if _, ok := a.(*passwords); ok && !slow {
			continue
		}
		group.Go(func() { a.act(sessions[i]) })
	}
	time.Sleep(window)
	w.kill()
	group.Wait()
	w.audited(sessions)

	for w.rng.IntN(5) == 0 { // a start may be killed, too
		s, err := spawnProgram(plain, w.dir, "--audit", "file:"+w.audit)
		if err != nil {
			w.t.Errorf("%s: %v", w.name, err)
			return
		}
		w.server = s
		time.Sleep(time.Duration(w.rng.IntN(40)) * time.Millisecond)
		w.kill()
		w.tally.add("kills at the start", 1)
	}
	w.start()
	w.connect()
	for i, a := range w.actors {
		a.verify(w.session(i))
	}
	w.complete()
}

func (w *world) kill() {
	w.server.kill()
	w.kills++
	w.tally.add("kills", 1)
	if defect := defects.FindString(w.server.stderr.String()); defect != "" {
		w.t.Errorf("%s: the log has %q:\n%s", w.name, defect, w.server.stderr.String())
	}
}

func (w *world) session(i int) *session {
	c := newClient(w.server.url)
	c.token = w.admin.token
	return &session{world: w, client: c, name: fmt.Sprintf("%s-%d-%d", w.name, w.rounds, i), rng: rand.New(rand.NewPCG(w.rng.Uint64(), 0))}
}

// audited wants an audit record of each request that was acknowledged: it was on the
// disk before the answer left.
func (w *world) audited(sessions []*session) {
	text, err := os.ReadFile(w.audit)
	if err != nil {
		w.t.Errorf("%s: %v", w.name, err)
	}
	records := string(text)
	for _, s := range sessions {
		for _, id := range s.acknowledged {
			if !strings.Contains(records, id) {
				w.t.Errorf("%s: request %s was answered, but the audit does not have it", w.name, id)
			}
		}
		w.tally.add("acknowledged", len(s.acknowledged))
	}
	if err := os.Remove(w.audit); err != nil {
		w.t.Errorf("%s: %v", w.name, err)
	}
}

// complete wants all resources that must be there, and no others.
func (w *world) complete() {
	want := slices.Clone(w.base)
	for _, a := range w.actors {
		want = append(want, a.owns()...)
	}
	slices.Sort(want)
	var got []string
	for _, r := range w.admin.resources(w.t) {
		got = append(got, r.ID)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s, round %d: there are\n%s\nwant\n%s", w.name, w.rounds, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
