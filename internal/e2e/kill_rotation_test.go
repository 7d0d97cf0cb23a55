package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/ident"
	"rekey/internal/rotation"
	"rekey/internal/row"
)

// REKEY_ROTATION_KILLS is how often TestKillDuringRotation kills servers in all.
const (
	rotationKillsVariable = "REKEY_ROTATION_KILLS"

	defaultRotationKills = 300
	rotatingWorlds       = 3
)

// TestKillDuringRotation kills servers at random moments while they rotate the passwords of
// roles of a real PostgreSQL server. Whenever one is dead, the published password works, or
// the target may have got a newer one that is kept and works; at the end the published one
// does, in every case. No reader gets a password that is dead for another reason than that
// its successor is about to be published.
//
// The long form: REKEY_ROTATION_KILLS=10000 go test -run KillDuringRotation -timeout 2h
func TestKillDuringRotation(t *testing.T) {
	t.Parallel()
	kills := int(setting(t, rotationKillsVariable, defaultRotationKills))
	seed := setting(t, seedVariable, uint64(time.Now().UnixNano()))
	t.Logf("%s=%d %s=%d repeats the choices of this run", rotationKillsVariable, kills, seedVariable, seed)
	began, target := time.Now(), newPostgres(t)
	if err := target.exec("boss", bossPassword, "CREATE ROLE dba LOGIN CREATEROLE PASSWORD 'dba-Password-1'"); err != nil {
		t.Fatal(err)
	}
	var tally tally
	t.Cleanup(func() {
		t.Logf("%v in %v; 0 lost: %v", &tally, time.Since(began).Round(time.Second), !t.Failed())
		for _, what := range []string{"kills", "rotations", "killed in " + rotation.Applying, "target has the candidate", "reads"} {
			if tally.count[what] == 0 && !t.Failed() {
				t.Errorf("no %s: %v", what, &tally)
			}
		}
	})
	for i := range rotatingWorlds {
		t.Run(fmt.Sprintf("world-%d", i), func(t *testing.T) {
			t.Parallel()
			w := newRotatingWorld(t, i, rand.New(rand.NewPCG(seed, uint64(i))), target, &tally)
			for w.kills < (kills+rotatingWorlds-1)/rotatingWorlds && !t.Failed() {
				w.round()
				if w.rounds%25 == 0 {
					w.rest()
				}
			}
			w.rest()
			for _, v := range w.variables {
				tally.add("rotations", v.rotations)
			}
		})
	}
}

// rotatingWorld is one data directory, and the roles whose passwords its servers rotate.
type rotatingWorld struct {
	world
	target    postgres
	variables []*rotated
}

// rotated is a variable whose password is rotated.
type rotated struct {
	name      string   // of its folder
	mode      string   // self, admin or turns
	users     []string // two if they take turns
	dead      []string // passwords that were read and did not work
	stopped   bool     // in quarantine, because of the kills
	rotations int
}

func (v *rotated) id(name string) ident.ID {
	return ident.New(account, "variable", v.name+"/"+name)
}

func (v *rotated) path() string { return url.PathEscape(v.name + "/password") }

func newRotatingWorld(t *testing.T, number int, rng *rand.Rand, target postgres, y *tally) *rotatingWorld {
	w := &rotatingWorld{world: world{t: t, name: fmt.Sprintf("world-%d", number), rng: rng, tally: y, dir: newDir(t)}, target: target}
	w.audit = filepath.Join(t.TempDir(), "audit.log")
	policy := "- !policy { id: dba, body: [ !variable username, !variable password ] }\n"
	for i, mode := range []string{"self", "self", "admin", "admin", "turns"} {
		v := &rotated{name: fmt.Sprintf("%s-%d", mode, i), mode: mode}
		v.users = []string{fmt.Sprintf("w%d-%s", number, v.name)}
		if mode == "turns" {
			v.users = append(v.users, v.users[0]+"-b")
		}
		for _, user := range v.users {
			if err := target.exec("dba", "dba-Password-1", fmt.Sprintf(`CREATE ROLE "%s" LOGIN PASSWORD 'first-Password-1'`, user)); err != nil {
				t.Fatal(err)
			}
		}
		policy += v.policy()
		w.variables = append(w.variables, v)
	}
	w.start()
	t.Cleanup(func() { w.server.kill() })
	w.adminKey = w.server.adminKey(t)
	w.connect()
	w.admin.load(t, "POST", "root", policy)
	w.set("dba/username", "dba")
	w.set("dba/password", "dba-Password-1")
	for _, v := range w.variables {
		w.set(v.name+"/url", fmt.Sprintf("127.0.0.1:%d/postgres?sslmode=disable", target.port))
		w.set(v.name+"/username", v.users[0])
		w.set(v.name+"/password", "first-Password-1")
	}
	return w
}

func (w *rotatingWorld) set(variable, value string) {
	w.admin.must(w.t, http.StatusCreated, "POST", "/secrets/"+account+"/variable/"+url.PathEscape(variable), value)
}

func (v *rotated) policy() string {
	const own = "rotation/postgresql/password/"
	lines := []string{"rotation/rotator: postgresql/password", "rotation/ttl: PT1S"}
	if v.mode != "self" {
		lines = append(lines, own+"admin-username: /dba/username", own+"admin-password: /dba/password")
	}
	if v.mode == "turns" {
		lines = append(lines, "rotation/grace: PT0.9S", own+"users: "+strings.Join(v.users, ","))
	}
	return fmt.Sprintf(`
- !policy
  id: %[1]s
  body:
  - !variable url
  - !variable username
  - !variable
    id: password
    annotations:
      %[2]s
- !permit { role: !policy %[1]s, privileges: [ execute ], resource: !variable dba/username }
- !permit { role: !policy %[1]s, privileges: [ execute ], resource: !variable dba/password }
`, v.name, strings.Join(lines, "\n      "))
}

// round kills the server at some moment, looks at what it has left, and starts another one.
func (w *rotatingWorld) round() {
	w.rounds++
	window := time.Duration(w.rng.IntN(150)) * time.Millisecond
	if w.rng.IntN(8) == 0 {
		window = time.Duration(w.rng.IntN(1500)) * time.Millisecond
	}
	var group sync.WaitGroup
	group.Go(func() { w.hurry() })
	group.Go(func() { w.use() })
	time.Sleep(window)
	w.kill()
	group.Wait()
	w.look()
	for w.rng.IntN(4) == 0 { // while it starts and recovers
		s, err := spawnProgram(plain, w.dir, "--audit", "file:"+w.audit)
		if err != nil {
			w.t.Errorf("%s: %v", w.name, err)
			return
		}
		w.server = s
		time.Sleep(time.Duration(20+w.rng.IntN(80)) * time.Millisecond)
		w.kill()
		w.look()
	}
	w.start()
	w.connect()
	for _, v := range w.variables {
		if v.stopped {
			w.tally.add("recoveries killed five times in a row", 1)
			w.steer(v, "retry")
			v.stopped = false
		}
	}
}

func (w *rotatingWorld) steer(v *rotated, how string) {
	w.admin.must(w.t, http.StatusNoContent, "POST", "/rotations/"+account+"/variable/"+v.path()+"?"+how, "")
}

// hurry asks for rotations until the server dies, so that there are some when it does. The
// users who take turns do so by their ttl.
func (w *rotatingWorld) hurry() {
	for {
		for _, v := range w.variables {
			if v.mode == "turns" {
				continue
			}
			if _, err := w.admin.send("POST", "/rotations/"+account+"/variable/"+v.path()+"?rotate", nil); err != nil {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// use is a program that reads passwords and logs in, until the server dies.
func (w *rotatingWorld) use() {
	for {
		for _, v := range w.variables {
			user, password, err := w.published(v)
			if err != nil {
				return
			}
			w.tally.add("reads", 1)
			if !w.target.accepts(w.t, user, password) {
				w.tally.add("reads of a password that was just replaced", 1)
				v.dead = append(v.dead, password)
			}
		}
	}
}

// published reads a user and the password together.
func (w *rotatingWorld) published(v *rotated) (user, password string, err error) {
	name, word := string(v.id("username")), string(v.id("password"))
	got, err := w.admin.send("GET", "/secrets?variable_ids="+url.QueryEscape(name+","+word), nil)
	if err != nil {
		return "", "", err
	}
	var read map[string]string
	if err := json.Unmarshal([]byte(got.body), &read); err != nil {
		w.t.Errorf("%v in %v", err, got)
	}
	return read[name], read[word], nil
}

// look looks at what a dead server has left.
func (w *rotatingWorld) look() {
	k := lookInto(w.t, w.dir)
	for _, v := range w.variables {
		id := v.id("password")
		r := k.rotations[id]
		w.tally.add("killed in "+cmp.Or(r.State, "nothing yet"), 1)
		// Each recovery may be killed after a login that was refused, as one with a candidate
		// is that has not arrived, and before the next that works. Five times in a row, and
		// somebody is asked to look before the account is locked; nothing is lost by it.
		v.stopped = r.State == rotation.Quarantined && r.AuthFailures >= 5
		if r.State == rotation.Suspended || r.State == rotation.Quarantined && !v.stopped {
			w.t.Errorf("%s of %s: %+v", v.name, w.name, r)
		}
		works := func(c values) bool {
			if c[""] == "" {
				return false
			}
			user := v.users[0]
			if v.mode == "turns" {
				user = c["username"]
			}
			return w.target.accepts(w.t, user, c[""])
		}
		published := values{"": k.published[id], "username": k.published[v.id("username")]}
		others := k.credentials[id]
		// What the dead server has sent may be done while we look.
		lost, dead := true, true
		for range 5 {
			now := works(published)
			candidate := r.Sent && works(others[row.Candidate])
			if candidate {
				w.tally.add("target has the candidate", 1)
			}
			dead = !now && (!candidate || v.mode == "turns")
			lost = !now && !candidate && !works(others[row.Previous]) && !works(others[row.Discarded])
			if !dead {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if lost {
			w.t.Errorf("%s of %s: the target accepts no credential that is kept: %+v", v.name, w.name, r)
		} else if dead {
			w.t.Errorf("%s of %s: the published password does not work, and no newer one is under way: %+v", v.name, w.name, r)
		}
	}
}

// rest lets everything come to rest, and wants each published password to work then, and
// to be none that a reader has found dead.
func (w *rotatingWorld) rest() {
	for _, v := range w.variables {
		w.steer(v, "pause")
	}
	for _, v := range w.variables {
		s := w.settled(v)
		v.rotations = s.Version - 1
		user, password, err := w.published(v)
		if err != nil || !w.target.accepts(w.t, user, password) {
			w.t.Errorf("%s of %s: at rest, the published password does not work: %v, %+v", v.name, w.name, err, s)
		}
		if slices.Contains(v.dead, password) {
			w.t.Errorf("%s of %s: a reader got the published password when it did not work: %+v", v.name, w.name, s)
		}
		v.dead = nil
		w.steer(v, "resume")
	}
}

type rotationStatus struct {
	State   string
	Version int
	Error   *struct{ Class, Message string }
}

func (w *rotatingWorld) settled(v *rotated) (s rotationStatus) {
	for range 3000 {
		got := w.admin.must(w.t, http.StatusOK, "GET", "/rotations/"+account+"/variable/"+v.path(), "")
		s = rotationStatus{}
		if err := json.Unmarshal([]byte(got.body), &s); err != nil {
			w.t.Fatalf("%v in %v", err, got)
		}
		switch s.State {
		case rotation.Idle, rotation.Planned: // of which the target has not heard: a paused one does not begin
			return s
		case rotation.Quarantined:
			w.tally.add("recoveries killed five times in a row", 1)
			w.steer(v, "resume")
			w.steer(v, "retry")
			time.Sleep(300 * time.Millisecond)
			w.steer(v, "pause")
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("%s of %s does not come to rest: %+v", v.name, w.name, s)
	return s
}
