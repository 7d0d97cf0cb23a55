package core_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// app has a host that reads some variables, and what it must not.
const app = `
- !policy
  id: app
  body:
    - !host web
    - &readable [ !variable password, !variable {id: typed, mime_type: text/plain}, !variable empty ]
    - !variable seen
    - !variable hidden
    - !permit {role: !host web, privileges: [read, execute, update], resources: *readable}
    - !permit {role: !host web, privileges: [read], resource: !variable seen}
`

func (w *world) set(caller core.Caller, id, value string) {
	w.t.Helper()
	must(w.t, w.SetSecret(ctx, caller, ident.New("acme", "variable", id), secret.FromString(value)))
}

// get reads a value; "" and a status if that fails.
func (w *world) get(caller core.Caller, id string, version int) (string, int) {
	v, err := w.Secret(ctx, caller, ident.New("acme", "variable", id), version)
	return v.Value.RevealString(), status(err)
}

func TestReadingAndWritingValues(t *testing.T) {
	w := newWorld(t)
	web := w.as("host/app/web", w.load(core.Add, "root", app)["acme:host:app/web"])
	w.set(w.admin(), "app/seen", "seen")
	w.set(w.admin(), "app/hidden", "hidden")
	w.set(web, "app/password", "one")
	for _, c := range []struct {
		id          string
		read, write int
	}{
		{"app/password", 200, 200}, {"app/empty", 404, 200}, {"app/seen", 403, 403}, {"app/hidden", 404, 404}, {"app/none", 404, 404},
	} {
		w.audit.take()
		_, err := w.Secret(ctx, web, ident.New("acme", "variable", c.id), 0)
		if status(err) != c.read {
			t.Errorf("reading %s: %v", c.id, err)
		}
		if c.read == 404 && err.Error() != "CONJ00076E Variable acme:variable:"+c.id+" is empty or not found." && !strings.Contains(err.Error(), "does not see it") {
			t.Errorf("reading %s: %v", c.id, err)
		}
		if n := w.records("fetch"); n != 1 {
			t.Errorf("reading %s: %d records", c.id, n)
		}
		if err := w.SetSecret(ctx, web, ident.New("acme", "variable", c.id), secret.FromString("two")); status(err) != c.write {
			t.Errorf("writing %s: %v", c.id, err)
		}
		if n := w.records("update"); n != 1 {
			t.Errorf("writing %s: %d records", c.id, n)
		}
	}
	for value, want := range map[string]int{"": 422, " \n\t": 422, " x": 200} {
		if err := w.SetSecret(ctx, web, "acme:variable:app/typed", secret.FromString(value)); status(err) != want {
			t.Errorf("%q: %v", value, err)
		}
	}
	v, err := w.Secret(ctx, web, "acme:variable:app/typed", 0)
	if err != nil || v.MimeType != "text/plain" || v.Value.RevealString() != " x" || v.Version != 1 {
		t.Errorf("got %+v, %v", v, err)
	}
	if err := w.SetSecret(ctx, w.admin(), "acme:variable:app/typed", secret.New(make([]byte, core.LongestValue+1))); err == nil {
		t.Error("a value that is too long is stored")
	}
}

func TestVersionsOfAValue(t *testing.T) {
	w := newWorld(t)
	web := w.as("host/app/web", w.load(core.Add, "root", app)["acme:host:app/web"])
	for i := 1; i <= 25; i++ {
		w.set(web, "app/password", fmt.Sprint("value ", i))
		w.set(web, "app/password", fmt.Sprint("value ", i)) // the same is no new version
	}
	check := func(when string) {
		t.Helper()
		for version, want := range map[int]string{0: "value 25", 25: "value 25", 6: "value 6", 5: "", 1: "", 26: "", -1: ""} {
			if got, code := w.get(web, "app/password", version); got != want || (code == 200) != (want != "") {
				t.Errorf("%s: version %d: got %q, %d", when, version, got, code)
			}
		}
		view, err := w.Resource(ctx, web, "acme:variable:app/password")
		must(t, err)
		if n := len(view.Secrets); n != 20 || view.Secrets[0].Version != 6 || view.Secrets[19].Version != 25 {
			t.Errorf("%s: %d versions: %+v", when, n, view.Secrets)
		}
	}
	check("written")
	w.reopen()
	check("after a restart")
	w.set(web, "app/password", "value 24")
	if got, _ := w.get(web, "app/password", 26); got != "value 24" {
		t.Errorf("an older value is a new version: got %q", got)
	}
}

// A variable of an id that was there before has nothing of the earlier one.
func TestARecreatedVariableHasNoOldValue(t *testing.T) {
	w := newWorld(t)
	w.load(core.Add, "root", "- !policy app")
	for round := range 3 {
		w.load(core.Add, "app", "- !variable v")
		if got, code := w.get(w.admin(), "app/v", 0); code != 404 {
			t.Errorf("round %d: a fresh variable has %q", round, got)
		}
		w.set(w.admin(), "app/v", fmt.Sprint("round ", round))
		for _, version := range []int{0, 1} { // the second time from the cache
			if got, _ := w.get(w.admin(), "app/v", version); got != fmt.Sprint("round ", round) {
				t.Errorf("round %d: got %q", round, got)
			}
		}
		if round == 1 {
			w.reopen()
		}
		w.load(core.Replace, "app", "[]")
		if _, code := w.get(w.admin(), "app/v", 1); code != 404 {
			t.Errorf("round %d: the deleted variable is read: %d", round, code)
		}
	}
}

// Given a variable is deleted and created again just while a value of the first one is
// read, then the reader does not get what it was never allowed to see.
func TestAVariableIsRecreatedWhileItIsRead(t *testing.T) {
	w := newWorld(t)
	web := w.as("host/app/web", w.load(core.Add, "root", app)["acme:host:app/web"])
	admin := w.admin()
	w.set(admin, "app/password", "old")
	w.reopen() // nothing is cached
	w.between = func() {
		for _, text := range []string{"- !delete {record: !variable app/password}", "- !variable app/password"} {
			_, err := w.tryLoad(admin, core.Modify, "root", text)
			must(t, err)
		}
		w.set(admin, "app/password", "new")
	}
	if got, code := w.get(web, "app/password", 0); code != 404 {
		t.Errorf("read %q, %d", got, code)
	}
	if got, _ := w.get(admin, "app/password", 0); got != "new" {
		t.Errorf("the new variable has %q", got)
	}
}

// Values that are set one after the other while a batch is read are not mixed.
func TestABatchIsOfOneMoment(t *testing.T) {
	w := newWorld(t)
	w.load(core.Add, "root", "- !variable user\n- !variable password")
	admin := w.admin()
	for _, id := range []string{"user", "password"} {
		w.set(admin, id, "old")
	}
	w.reopen()
	w.between = func() {
		for _, id := range []string{"user", "password"} {
			w.set(admin, id, "new")
		}
	}
	values, err := w.Secrets(ctx, admin, []ident.ID{"acme:variable:user", "acme:variable:password"}, nil)
	must(t, err)
	if a, b := values[0].Value.RevealString(), values[1].Value.RevealString(); a != "old" || b != "old" {
		t.Errorf("got %s and %s", a, b)
	}
}

func TestABatchIsAllOrNothing(t *testing.T) {
	w := newWorld(t)
	web := w.as("host/app/web", w.load(core.Add, "root", app)["acme:host:app/web"])
	w.set(web, "app/password", "p")
	w.set(web, "app/typed", "t")
	for _, c := range []struct {
		name  string
		ids   string
		want  int
		about string
		fetch int // records
	}{
		{"all readable", "password typed", 200, "", 2},
		{"one twice", "password password", 200, "", 2},
		{"nothing", "", 200, "", 0},
		{"one without value", "password empty typed", 404, "app/empty", 1},
		{"the first that is missing", "none empty", 404, "app/none", 1},
		{"one that is not seen is missing", "password hidden", 404, "app/hidden", 1},
		{"one that may not be read weighs more", "none seen", 403, "app/seen", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var ids []ident.ID
			for name := range strings.FieldsSeq(c.ids) {
				ids = append(ids, ident.New("acme", "variable", "app/"+name))
			}
			w.audit.take()
			values, err := w.Secrets(ctx, web, ids, nil)
			if status(err) != c.want || err != nil && (!strings.Contains(err.Error(), c.about) || len(values) > 0) {
				t.Fatalf("got %v", err)
			}
			if n := w.records("fetch"); n != c.fetch {
				t.Errorf("%d records", n)
			}
			for i, v := range values {
				if v.Value.RevealString() != string(ids[i].Identifier()[len("app/")]) {
					t.Errorf("value %d is another's", i)
				}
			}
		})
	}
}

// Values are not gathered in memory without bound: who may write values could otherwise
// have the server gather more than it has.
func TestABatchIsBounded(t *testing.T) {
	w := newWorld(t)
	w.load(core.Add, "root", "- !variable a\n- !variable b\n- !variable c\n- !variable d")
	var ids []ident.ID
	for _, name := range []string{"a", "b", "c", "d"} {
		ids = append(ids, ident.New("acme", "variable", name))
		must(t, w.SetSecret(ctx, w.admin(), ids[len(ids)-1], secret.New(bytes.Repeat([]byte("x"), 17<<20))))
	}
	if values, err := w.Secrets(ctx, w.admin(), ids[:3], nil); err != nil || len(values) != 3 {
		t.Fatalf("three: %v", err)
	}
	if values, err := w.Secrets(ctx, w.admin(), ids, nil); !fault.Is(err, fault.TooLarge) || len(values) > 0 {
		t.Errorf("four: %d values, %v", len(values), err)
	}
}

func TestPublicKeys(t *testing.T) {
	w := newWorld(t)
	shown := func() string {
		t.Helper()
		keys, err := w.PublicKeys(ctx, "acme", "user", "alice")
		must(t, err)
		var lines []string
		for _, k := range keys {
			lines = append(lines, string(k))
		}
		return strings.Join(lines, "|")
	}
	versions := func() int {
		n := 0
		for version := 1; version <= 30; version++ {
			if _, err := w.Secret(ctx, w.admin(), "acme:public_key:user/alice/x", version); err == nil {
				n++
			}
		}
		return n
	}
	w.load(core.Add, "root", "- !user {id: alice, public_keys: [ssh-rsa AAAA x, ssh-rsa BBBB x, ssh-rsa CCCC y]}")
	for range 3 {
		if got := shown(); got != "ssh-rsa BBBB x|ssh-rsa CCCC y" {
			t.Fatalf("got %s", got)
		}
		if n := versions(); n != 2 {
			t.Fatalf("%d versions", n)
		}
		w.load(core.Modify, "root", "- !user {id: alice, public_keys: [ssh-rsa AAAA x, ssh-rsa BBBB x, ssh-rsa CCCC y]}")
	}
	for i := range 12 {
		w.load(core.Modify, "root", fmt.Sprintf("- !user {id: alice, public_keys: [ssh-rsa AA%d x, ssh-rsa BB%d x]}", i, i))
	}
	if n := versions(); n != 20 {
		t.Errorf("%d versions are kept", n)
	}
	var lines []string
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("ssh-rsa CC%d x", i))
	}
	w.load(core.Modify, "root", "- !user {id: alice, public_keys: ["+strings.Join(lines, ", ")+"]}")
	if x, err := w.Secret(ctx, w.admin(), "acme:public_key:user/alice/x", 0); err != nil || x.Value.RevealString() != "ssh-rsa CC49 x" || x.Version != 46 {
		t.Errorf("of more lines than versions are kept the last is version %d: %s %v", x.Version, x.Value.RevealString(), err)
	}
	w.load(core.Replace, "root", "- !user alice")
	if got := shown(); got != "" {
		t.Errorf("got %s", got)
	}
	if err := w.SetSecret(ctx, w.admin(), "acme:public_key:user/alice/x", secret.FromString("ssh-rsa DDDD x")); status(err) != 404 {
		t.Errorf("a key that is gone is set: %v", err)
	}
}

func TestOnlyWhoMayUpdateExpires(t *testing.T) {
	w := newWorld(t)
	web := w.as("host/app/web", w.load(core.Add, "root", app)["acme:host:app/web"])
	for id, want := range map[ident.ID]int{"password": 200, "empty": 200, "seen": 403, "hidden": 404, "none": 404} {
		w.audit.take()
		if err := w.ExpireSecret(ctx, web, "acme:variable:app/"+id); status(err) != want {
			t.Errorf("%s: %v", id, err)
		}
		if n := w.records("expire"); n != 1 {
			t.Errorf("%s: %d records", id, n)
		}
	}
}
