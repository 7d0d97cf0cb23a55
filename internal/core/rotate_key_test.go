package core_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// drill is a host whose key is rotated step by step. Keys have names in a script; the
// first one is "k0".
type drill struct {
	*world
	keys map[string]secret.Bytes
}

func newDrill(t *testing.T) *drill {
	w := newWorld(t)
	key := w.load(core.Add, "root", "- !host h\n- !user op\n- !permit {role: !user op, privileges: [update], resource: !host h}")
	d := &drill{w, map[string]secret.Bytes{"k0": key["acme:host:h"]}}
	w.cached = w.as("op", key["acme:user:op"])
	return d
}

// login is whether a key gets an access token.
func (d *drill) login(name string) int {
	_, err := d.AuthenticateKey(ctx, here, "acme", "host/h", d.keys[name])
	return status(err)
}

// self rotates by the key of a name; the answer gets another name.
func (d *drill) self(by, as string, how core.Rotation) int {
	caller, err := d.Basic(ctx, here, "acme", "host/h", d.keys[by])
	if err != nil {
		return status(err)
	}
	key, err := d.Rotate(ctx, caller, "acme", "", how)
	if err == nil {
		d.keys[as] = key
	}
	return status(err)
}

// other lets the operator rotate.
func (d *drill) other(as string, how core.Rotation) int {
	caller := d.cached
	caller.Origin = here
	key, err := d.Rotate(ctx, caller, "acme", "host:h", how)
	if err == nil {
		d.keys[as] = key
	}
	return status(err)
}

func (d *drill) same(a, b string) bool { return d.keys[a].Equal(d.keys[b]) }

func TestFormsOfRotation(t *testing.T) {
	staged := func(request string) core.Rotation { return core.Rotation{Staged: true, Request: request} }
	grace := func(request string) core.Rotation { return core.Rotation{OldKey: "PT15M", Request: request} }
	for _, c := range []struct {
		name   string
		script string
	}{
		{"at once: the old key is dead", "immediate k0 k1; 401 k0; 200 k1"},
		{"staged: both work, and the first use decides", "stage k0 k1; 200 k0; 200 k0; 200 k1; 401 k0; 200 k1"},
		{"staged and a restart before the first use", "stage k0 k1; restart; 200 k0; 200 k1; 401 k0; restart; 200 k1; 401 k0"},
		{"staged, and login is its first use", "stage k0 k1; shows k1 k1; 401 k0"},
		{"staged, and login by the old key shows the old key", "stage k0 k1; shows k0 k0; 200 k1"},
		{"staged and never used", "stage k0 k1; wait 61m; 401 k1; 200 k0; 401 k1; restart; 200 k0"},
		{"staged twice without name: the last one counts", "stage k0 k1; stage k0 k2; 401 k1; 200 k0; 200 k2; 401 k0"},
		{"staged twice by one name: it is the same key", "stage k0 k1 a; stage k0 k2 a; same k1 k2; 200 k0; 200 k2"},
		{"staged by one name, then by another", "stage k0 k1 a; stage k0 k2 b; differ k1 k2; 401 k1; 200 k2"},
		{"staged by one name after a restart", "stage k0 k1 a; restart; stage k0 k2 a; same k1 k2"},
		{"asked again by the new key: no further rotation", "stage k0 k1 a; 200 k1; stage k1 k2 a; same k1 k2; 200 k1"},
		{"asked again by the staged key itself", "stage k0 k1 a; stage k1 k2 a; same k1 k2; 401 k0; 200 k1"},
		{"asked again after it lapsed: another key", "stage k0 k1 a; wait 61m; stage k0 k2 a; differ k1 k2; 401 k1; 200 k2"},
		{"the next rotation has another name", "stage k0 k1 a; 200 k1; stage k1 k2 b; 200 k1; 200 k2; 401 k1; stage k2 k3 a; differ k3 k1; 200 k2; 200 k3"},
		{"an immediate rotation drops a staged key", "stage k0 k1; immediate k0 k2; 401 k1; 401 k0; 200 k2"},
		{"another's rotation drops a staged key", "stage k0 k1; other k2; 401 k1; 401 k0; 200 k2"},
		{"a lost key takes the staged one along", "stage k0 k1; keyless; 401 k0; 401 k1"},
		{"staged with grace: the old key goes on after the first use", "stagegrace k0 k1 a; 200 k0; 200 k1; 200 k0; stagegrace k0 k2 a; same k1 k2; wait 16m; 401 k0; 200 k1"},
		{"grace: both work until its end", "grace k1; 200 k0; 200 k1; wait 14m; 200 k0; wait 1m; 401 k0; 200 k1"},
		{"grace and a restart", "grace k1; restart; 200 k0; 200 k1; wait 15m; 401 k0"},
		{"grace: the old key logs in and is shown the new one", "grace k1; shows k0 k1; 200 k0"},
		{"grace: the old key rotates nothing", "grace k1; refused k0; 200 k1; 200 k0"},
		{"grace again: only the newest old key goes on", "grace k1; grace k2; 401 k0; 200 k1; 200 k2"},
		{"grace by one name: one rotation", "grace k1 a; grace k2 a; same k1 k2; 200 k0; 200 k1; wait 16m; 401 k0; grace k3 a; same k1 k3; grace k4 b; differ k1 k4; 200 k1; grace k5 a; differ k5 k1"},
		{"at once ends a grace", "grace k1; other k2; 401 k0; 401 k1; 200 k2"},
		{"at once by oneself ends a grace", "grace k1; immediate k1 k2; 401 k0; 401 k1; 200 k2"},
		{"staging leaves a grace, promotion ends it", "grace k1; stage k1 k2; 200 k0; 200 k2; 401 k0; 401 k1"},
		{"at once by another and one name", "other k1 a; other k2 a; same k1 k2; other k3; differ k1 k3; other k4 a; differ k4 k1; 200 k4"},
		{"a grace drops a staged key", "stage k0 k1; grace k2; 401 k1; 200 k0; 200 k2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrill(t)
			for step := range strings.SplitSeq(c.script, "; ") {
				w := append(strings.Fields(step), "", "", "")
				got, want := 200, 200
				ok := true
				switch w[0] {
				case "200":
					got = d.login(w[1])
				case "401":
					got, want = d.login(w[1]), 401
				case "immediate":
					got = d.self(w[1], w[2], core.Rotation{Request: w[3]})
				case "stage":
					got = d.self(w[1], w[2], staged(w[3]))
				case "stagegrace":
					got = d.self(w[1], w[2], core.Rotation{Staged: true, Request: w[3], OldKey: "PT15M"})
				case "refused":
					got, want = max(d.self(w[1], "none", core.Rotation{}), d.self(w[1], "none", staged(""))), 401
				case "grace":
					got = d.other(w[1], grace(w[2]))
				case "other":
					got = d.other(w[1], core.Rotation{Request: w[2]})
				case "shows":
					caller, err := d.Basic(ctx, here, "acme", "host/h", d.keys[w[1]])
					must(t, err)
					shown, err := d.APIKey(ctx, caller)
					must(t, err)
					ok = shown.Equal(d.keys[w[2]])
				case "same":
					ok = d.same(w[1], w[2])
				case "differ":
					ok = !d.same(w[1], w[2])
				case "wait":
					by, err := time.ParseDuration(w[1])
					must(t, err)
					d.now = d.now.Add(by)
				case "restart":
					d.reopen()
				case "keyless":
					d.load(core.Modify, "root", "- !host {id: h, annotations: {authn/api-key: false}}")
				default:
					t.Fatal("no such step:", step)
				}
				if got != want || !ok {
					t.Fatalf("%s: got %d", step, got)
				}
			}
		})
	}
}

func TestParametersOfRotation(t *testing.T) {
	for _, c := range []struct {
		name string
		how  core.Rotation
		self int
		says string // part of the message
		els  int    // for another role
	}{
		{"nothing", core.Rotation{}, 200, "", 200},
		{"lapse in seconds", core.Rotation{Staged: true, Lapse: "90"}, 200, "", 422},
		{"lapse as a duration", core.Rotation{Staged: true, Lapse: "P7D"}, 200, "", 422},
		{"lapse too long", core.Rotation{Staged: true, Lapse: "P7DT1S"}, 422, "lapse is longer than 7 days", 422},
		{"lapse of nothing", core.Rotation{Staged: true, Lapse: "PT0S"}, 422, "shorter than a second", 422},
		{"lapse of no form", core.Rotation{Staged: true, Lapse: "1h"}, 422, "lapse cannot be read: 1h", 422},
		{"lapse without staged", core.Rotation{Lapse: "PT1H"}, 422, "lapse belongs to staged keys", 422},
		{"grace", core.Rotation{OldKey: "P30D"}, 422, "only if the new one is staged", 200},
		{"grace until a moment", core.Rotation{OldKey: "2026-05-01T14:00:01+02:00"}, 422, "only if the new one is staged", 200},
		{"grace until now", core.Rotation{OldKey: "2026-05-01T12:00:00Z"}, 422, "", 422},
		{"grace of nothing", core.Rotation{OldKey: "PT0S"}, 422, "", 200},
		{"grace too long", core.Rotation{OldKey: "P31D"}, 422, "", 422},
		{"grace until too late", core.Rotation{OldKey: "2026-06-01T12:00:00Z"}, 422, "", 422},
		{"grace of no form", core.Rotation{OldKey: "tomorrow"}, 422, "", 422},
		{"staged with grace", core.Rotation{Staged: true, OldKey: "PT5M"}, 200, "", 422},
		{"staged with grace until a moment", core.Rotation{Staged: true, OldKey: "2026-05-01T13:00:00Z"}, 422, "old_key of a staged key is not a duration", 422},
		{"staged with grace too long", core.Rotation{Staged: true, OldKey: "P31D"}, 422, "old_key is longer than 30 days", 422},
		{"a name", core.Rotation{Request: "4f7a-!~"}, 200, "", 200},
		{"a name with a blank", core.Rotation{Request: "a b"}, 422, "visible ASCII", 422},
		{"a name that is too long", core.Rotation{Request: strings.Repeat("a", 129)}, 422, "visible ASCII", 422},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDrill(t)
			if got := d.other("k1", c.how); got != c.els {
				t.Errorf("another's: %d, want %d", got, c.els)
			}
			if d.keys["k1"].Len() == 0 {
				d.keys["k1"] = d.keys["k0"]
			}
			caller, err := d.Basic(ctx, here, "acme", "host/h", d.keys["k1"])
			must(t, err)
			key, err := d.Rotate(ctx, caller, "acme", "", c.how)
			if got := status(err); got != c.self || (err == nil) != (key.Len() > 0) {
				t.Fatalf("one's own: %d %v, want %d", got, err, c.self)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || err.(*fault.Error).Advice == "") {
				t.Errorf("%q (%q) does not say %q and how to mend it", err, err.(*fault.Error).Advice, c.says)
			}
			if err != nil && d.login("k1") != 200 {
				t.Error("a refused rotation has changed something")
			}
		})
	}
}

// A name of a request is worth nothing to another role, even to one that may rotate.
func TestTheNameOfARequestBelongsToWhoGaveIt(t *testing.T) {
	d := newDrill(t)
	if d.self("k0", "k1", core.Rotation{Staged: true, Request: "a"}) != 200 || d.login("k1") != 200 {
		t.Fatal("not rotated")
	}
	if d.other("k2", core.Rotation{Request: "a"}) != 200 || d.same("k1", "k2") || d.login("k1") != 401 {
		t.Error("an operator was given a key that the host had asked for, without a rotation")
	}
}

// A key that was staged is not promoted where its use is refused.
func TestAStagedKeyFromTheWrongNetworkStaysStaged(t *testing.T) {
	d := newDrill(t)
	d.load(core.Modify, "root", "- !host {id: h, restricted_to: 10.0.0.0/8}")
	d.self("k0", "k1", core.Rotation{Staged: true})
	if d.login("k1") != 401 {
		t.Fatal("accepted from elsewhere")
	}
	if d.self("k0", "k2", core.Rotation{Staged: true}) != 200 {
		t.Error("the key before it is not the key any more")
	}
}

func TestRotationsAreRecorded(t *testing.T) {
	d := newDrill(t)
	expect := func(what string, operations ...string) {
		t.Helper()
		trail := d.audit.take()
		var got []string
		for line := range strings.Lines(trail) {
			if strings.Contains(line, " api-key [") {
				_, rest, _ := strings.Cut(line, `operation="`)
				operation, _, _ := strings.Cut(rest, `"`)
				got = append(got, operation)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(operations) {
			t.Errorf("%s: %v, want %v", what, got, operations)
		}
		for name, key := range d.keys {
			if strings.Contains(trail, key.RevealString()) {
				t.Errorf("%s: the trail has the key %s", what, name)
			}
		}
	}
	d.audit.take()
	d.self("k0", "k1", core.Rotation{Staged: true, Request: "a"})
	expect("staged", "stage")
	d.self("k0", "k1", core.Rotation{Staged: true, Request: "a"})
	expect("staged again by its name", "stage")
	d.login("k1")
	expect("first use", "promote")
	d.login("k1")
	expect("second use")
	d.self("k1", "k2", core.Rotation{Staged: true, Request: "a"})
	expect("asked again", "repeat")
	d.self("k1", "k2", core.Rotation{Staged: true})
	d.now = d.now.Add(2 * time.Hour)
	d.audit.take()
	d.login("k2")
	expect("lapsed", "lapse")
	d.login("k2")
	expect("lapsed, once more")
	d.self("k1", "k3", core.Rotation{Staged: true})
	d.now = d.now.Add(2 * time.Hour)
	d.audit.take()
	d.self("k1", "k4", core.Rotation{Staged: true})
	expect("a lapsed key is replaced", "lapse", "stage")
	d.other("k5", core.Rotation{OldKey: "PT1H"})
	expect("with grace", "rotate")
}

// Given replicas that share a key and stage by the same name, all at once, then every
// one that is told that it has succeeded has the key.
func TestReplicasThatStageTogetherHaveOneKey(t *testing.T) {
	for _, grace := range []string{"", "PT1H"} {
		t.Run("grace "+grace, func(t *testing.T) {
			d := newDrill(t)
			const replicas = 16
			told := make([]secret.Bytes, replicas)
			var all sync.WaitGroup
			start := make(chan struct{})
			for i := range replicas {
				all.Go(func() {
					<-start
					caller, err := d.Basic(ctx, here, "acme", "host/h", d.keys["k0"])
					if err != nil {
						if grace != "" {
							t.Error(err)
						}
						return
					}
					key, err := d.Rotate(ctx, caller, "acme", "", core.Rotation{Staged: true, Request: "a", OldKey: grace})
					if err != nil {
						if grace != "" {
							t.Error(err)
						}
						return // another has used the new key just before: nothing was promised
					}
					told[i] = key
					if _, err := d.AuthenticateKey(ctx, here, "acme", "host/h", key); err != nil {
						t.Error(err)
					}
				})
			}
			d.audit.take()
			close(start)
			all.Wait()
			if n := strings.Count(d.audit.take(), `operation="promote"`); n != 1 {
				t.Errorf("%d promotions", n)
			}
			succeeded := 0
			for i, key := range told {
				if key.Len() == 0 {
					continue
				}
				succeeded++
				if _, err := d.AuthenticateKey(ctx, here, "acme", "host/h", key); err != nil {
					t.Errorf("replica %d was told success and has a dead key: %v", i, err)
				}
			}
			if succeeded == 0 || grace != "" && succeeded != replicas {
				t.Errorf("%d of %d succeeded", succeeded, replicas)
			}
		})
	}
}
