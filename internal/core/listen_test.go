package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/row"
)

// told is what a listener is told at once, as "kind variable version", with commas between.
func told(t *testing.T, l *core.Listener) string {
	t.Helper()
	now, cancel := context.WithCancel(ctx)
	cancel() // what was acknowledged has been told, so there is nothing to wait for
	list, err := l.Next(now)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var all []string
	for _, change := range list {
		all = append(all, fmt.Sprintf("%s %s %d", change.Kind, change.Variable.Identifier(), change.Version))
	}
	return strings.Join(all, ",")
}

func (w *world) listen(caller core.Caller, after string, variables ...ident.ID) *core.Listener {
	w.t.Helper()
	l, err := w.Listen(caller, "acme", variables, after)
	must(w.t, err)
	w.t.Cleanup(l.Close)
	return l
}

// Given listeners that do not listen, when more happens than is kept for them, then
// nobody waits for them, and they learn that they have missed something.
func TestASlowListenerMissesChangesAndKnows(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !variable a\n- !variable b\n- !variable c")
	all, only := w.listen(w.admin(), ""), w.listen(w.admin(), "", "acme:variable:b")
	w.set(w.admin(), "b", "one")
	for i := range 70 {
		w.set(w.admin(), "a", fmt.Sprint(i))
	}
	if got := told(t, all); got != "resync  0" {
		t.Error(got)
	}
	if got := told(t, only); got != "version b 1" {
		t.Error(got)
	}
	after, _ := all.Position()
	w.set(w.admin(), "c", "one")
	if got := told(t, all); got != "version c 1" {
		t.Error(got)
	}
	if got := told(t, w.listen(w.admin(), after)); got != "version c 1" {
		t.Error(got)
	}
	w.reopen()
	if got := told(t, w.listen(w.admin(), after)); got != "resync  0" {
		t.Errorf("what an earlier process has counted: %s", got)
	}
}

// Given a value with an expiry, when somebody lets it expire, then listeners know. When
// it is only sealed anew, they do not.
func TestListenersLearnOfExpiry(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !variable a")
	w.set(w.admin(), "a", "one")
	sealed, err := w.store.Secret(ctx, "acme:variable:a", 1)
	must(t, err)
	w.close()
	expiring := row.Secret{Resource: "acme:variable:a", Version: 1, Sealed: sealed, CreatedAt: w.now, ExpiresAt: w.now.Add(time.Hour)}
	w.open()
	_, err = w.store.Commit(ctx, []*row.Set{{Changes: []row.Change{{Op: row.Update, Row: expiring}}}})
	must(t, err)
	w.reopen()
	l := w.listen(w.admin(), "")
	must(t, w.ExpireSecret(ctx, w.admin(), "acme:variable:a"))
	if got := told(t, l); got != "expired a 1" {
		t.Error(got)
	}
	must(t, w.ExpireSecret(ctx, w.admin(), "acme:variable:a"))
	if got := told(t, l); got != "" {
		t.Error(got)
	}
}

// Given a listener, when the variable is deleted and made anew, then what is told of
// the earlier one is not taken for news of the later one.
func TestListenersTellVariablesOfOneNameApart(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !variable a")
	l := w.listen(w.admin(), "", "acme:variable:a")
	w.set(w.admin(), "a", "one")
	w.load(policy.Modify, "root", "- !delete { record: !variable a }")
	w.load(policy.Add, "root", "- !variable a")
	var all []string
	for got := told(t, l); got != ""; got = told(t, l) {
		all = append(all, got)
	}
	if got := strings.Join(all, ","); got != "deleted a 0" {
		t.Error(got)
	}
	w.set(w.admin(), "a", "again")
	if got := told(t, l); got != "version a 1" {
		t.Error(got)
	}
}

// A read that sends nothing is decided as every read, and leaves no record of one.
func TestWhatIsHeldIsNotFetched(t *testing.T) {
	w := newWorld(t)
	keys := w.load(policy.Add, "root", sample)
	w.set(w.admin(), "app/password", "s3cret")
	host := w.as("host/app/web", keys["acme:host:app/web"])
	v, err := w.Secret(ctx, host, "acme:variable:app/password", 0)
	must(t, err)
	held := func(tags ...string) bool { return tags[0] == v.Tag }
	w.audit.take()
	again, err := w.SecretUnless(ctx, host, "acme:variable:app/password", 0, held)
	if err != nil || !again.Held || again.Value.Len() > 0 || again.Version != 1 || w.audit.take() != "" {
		t.Errorf("%+v %v", again, err)
	}
	w.reopen()
	if again, err = w.SecretUnless(ctx, host, "acme:variable:app/password", 0, held); err != nil || !again.Held {
		t.Errorf("after a restart: %+v %v", again, err)
	}
	w.load(policy.Modify, "root", "- !deny { role: !layer app/servers, privileges: [ execute ], resource: !variable app/password }")
	w.audit.take()
	if _, err = w.SecretUnless(ctx, host, "acme:variable:app/password", 0, held); status(err) != 403 || !strings.Contains(w.audit.take(), "tried to fetch") {
		t.Errorf("without permission: %v", err)
	}
}
