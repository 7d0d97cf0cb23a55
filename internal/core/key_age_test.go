package core_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/secret"
)

func (w *world) ages(caller core.Caller, q core.KeyQuery) (views map[ident.ID]core.KeyView, order string) {
	w.t.Helper()
	q.Account = "acme"
	found, err := w.APIKeys(ctx, caller, q)
	must(w.t, err)
	views = map[ident.ID]core.KeyView{}
	for _, v := range found {
		views[v.Role] = v
		order += " " + v.Role.Login()
	}
	return views, strings.TrimSpace(order)
}

func TestWhoseKeysAreListed(t *testing.T) {
	w := newWorld(t)
	keys := w.load(core.Add, "root", staff)
	w.now = w.now.Add(24 * time.Hour)
	admin, alice, bob, h := w.admin(), w.as("alice", keys["acme:user:alice"]), w.as("bob", keys["acme:user:bob"]), w.as("host/h", keys["acme:host:h"])
	w.now = w.now.Add(24 * time.Hour)
	_, err := w.RotateKey(ctx, admin, "acme", "host:other/hidden")
	must(t, err)
	for _, c := range []struct {
		name   string
		caller core.Caller
		q      core.KeyQuery
		want   string
	}{
		{"the owner of all", admin, core.KeyQuery{}, "host/h host/other/hidden admin alice bob"},
		{"with update on one", alice, core.KeyQuery{}, "host/h alice"},
		{"with read only", bob, core.KeyQuery{}, "bob"},
		{"one that does not see itself", h, core.KeyQuery{}, "host/h"},
		{"older than", admin, core.KeyQuery{OlderThan: "P1D"}, "host/h admin alice bob"},
		{"older than any", admin, core.KeyQuery{OlderThan: "P3D"}, ""},
		{"the first two", admin, core.KeyQuery{Limit: 2}, "host/h host/other/hidden"},
		{"the next two", admin, core.KeyQuery{Limit: 2, Offset: 2}, "admin alice"},
		{"the last", admin, core.KeyQuery{Limit: 2, Offset: 4}, "bob"},
		{"oneself on a page of its own", alice, core.KeyQuery{Limit: 1, Offset: 1}, "alice"},
		{"beyond the end", admin, core.KeyQuery{Offset: 9}, ""},
	} {
		if _, got := w.ages(c.caller, c.q); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := w.APIKeys(ctx, admin, core.KeyQuery{Account: "acme", OlderThan: "90 days"}); status(err) != 422 {
		t.Errorf("an age of no form: %v", err)
	}
	if other, err := w.APIKeys(ctx, admin, core.KeyQuery{Account: "other"}); err != nil || len(other) != 0 {
		t.Errorf("another account: %v, %v", other, err)
	}
}

func TestTheAgeAndFormOfAKeyAreShown(t *testing.T) {
	d := newDrill(t)
	created := d.now
	show := func() core.KeyView { views, _ := d.ages(d.cached, core.KeyQuery{}); return views["acme:host:h"] }
	if v := show(); !v.RotatedAt.Equal(created) || v.Form != row.KeyCreated || !v.LastUsedAt.IsZero() || !v.StagedUntil.IsZero() || !v.OldKeyUntil.IsZero() {
		t.Errorf("fresh: %+v", v)
	}
	d.now = d.now.Add(time.Hour)
	d.self("k0", "k1", core.Rotation{Staged: true})
	if v := show(); !v.RotatedAt.Equal(created) || !v.StagedUntil.Equal(d.now.Add(time.Hour)) || !v.LastUsedAt.Equal(d.now) {
		t.Errorf("staged: %+v", v)
	}
	d.now = d.now.Add(time.Minute)
	d.login("k1")
	if v := show(); !v.RotatedAt.Equal(d.now) || v.Form != row.KeyStaged || !v.StagedUntil.IsZero() || !v.LastUsedAt.Equal(d.now) {
		t.Errorf("promoted: %+v", v)
	}
	used := d.now
	d.now = d.now.Add(time.Minute)
	d.other("k2", core.Rotation{OldKey: "PT1H"})
	d.login("k1")
	if v := show(); v.Form != row.KeyGrace || !v.OldKeyUntil.Equal(d.now.Add(time.Hour)) || !v.LastUsedAt.Equal(used) || !v.LastUsedAt.Before(v.RotatedAt) {
		t.Errorf("replaced, and only the old key was used: %+v", v)
	}
	d.login("k2")
	if v := show(); v.LastUsedAt.Before(v.RotatedAt) {
		t.Errorf("replaced, and the new key was used: %+v", v)
	}
	d.now = d.now.Add(2 * time.Hour)
	d.other("k3", core.Rotation{})
	if v := show(); v.Form != row.KeyImmediate || !v.OldKeyUntil.IsZero() {
		t.Errorf("replaced at once: %+v", v)
	}
}

// Uses are written once an hour for each key, by whoever writes them last when the
// server stops, and never while a request waits.
func TestUsesAreWrittenOnceAnHour(t *testing.T) {
	d := newDrill(t)
	last := func() time.Time {
		views, _ := d.ages(d.cached, core.KeyQuery{})
		return views["acme:host:h"].LastUsedAt
	}
	first := d.now
	for range 10 {
		d.login("k0")
		d.now = d.now.Add(time.Minute)
	}
	d.reopen()
	written := last() // the first use, or one of those that were gathered with it
	if written.Before(first) || !written.Before(d.now) {
		t.Errorf("used at %v, want %v or a bit later", written, first)
	}
	d.login("k0")
	d.reopen()
	if !last().Equal(written) {
		t.Errorf("written again within the hour: %v", last())
	}
	d.now = written.Add(time.Hour)
	d.login("k0")
	d.load(core.Modify, "root", "- !delete {record: !user op}") // the rows around it change
	d.cached = d.admin()
	d.reopen()
	if !last().Equal(written.Add(time.Hour)) {
		t.Errorf("the next hour: %v", last())
	}
	d.login("k0")
	d.now = d.now.Add(2 * time.Hour)
	d.login("k0")
	d.load(core.Modify, "root", "- !delete {record: !host h}")
	d.reopen() // a use of a role that is gone harms nobody
}

func TestKeysThatAreTooOld(t *testing.T) {
	for _, enforced := range []bool{false, true} {
		t.Run(fmt.Sprintf("enforced %v", enforced), func(t *testing.T) {
			var log bytes.Buffer
			w := newWorld(t, func(c *core.Config) { c.EnforceKeyAge = enforced })
			w.log = slog.NewTextHandler(&log, nil)
			w.reopen()
			d := &drill{w, nil}
			d.keys = map[string]secret.Bytes{"k0": w.load(core.Add, "root", "- !host {id: h, annotations: {authn/api-key-max-age: P90D}}")["acme:host:h"]}
			overdue := func() bool { views, _ := d.ages(d.admin(), core.KeyQuery{}); return views["acme:host:h"].Overdue }
			d.now = d.now.Add(90 * 24 * time.Hour)
			if d.login("k0") != 200 || overdue() || log.Len() > 0 {
				t.Errorf("at the age itself: overdue %v, log %s", overdue(), log.String())
			}
			d.now = d.now.Add(time.Minute)
			want := map[bool]int{false: 200, true: 401}[enforced]
			for range 3 {
				if got := d.login("k0"); got != want {
					t.Errorf("too old: %d, want %d", got, want)
				}
			}
			if n := strings.Count(log.String(), "authn/api-key-max-age"); n != 1 || !overdue() {
				t.Errorf("%d warnings, overdue %v", n, overdue())
			}
			d.now = d.now.Add(time.Hour)
			d.login("k0")
			if n := strings.Count(log.String(), "authn/api-key-max-age"); n != 2 {
				t.Errorf("%d warnings an hour later", n)
			}
			// It is not locked out.
			if got := d.self("k0", "k1", core.Rotation{Staged: true}); got != 200 {
				t.Fatalf("staging by it: %d", got)
			}
			if d.login("k1") != 200 || overdue() {
				t.Error("the new key is too old")
			}
			if strings.Contains(log.String(), d.keys["k0"].RevealString()) {
				t.Error("the log has the key")
			}
		})
	}
}

func TestAMaxAgeThatCannotBeReadIsRefused(t *testing.T) {
	w := newWorld(t)
	for value, says := range map[string]string{"90 days": "ISO 8601", "P0D": "no time at all", "P200Y": "hundred years"} {
		_, err := w.LoadPolicy(ctx, w.admin(), "acme:policy:root", core.Add, []byte("- !user a\n- !host\n  id: h\n  annotations:\n    authn/api-key-max-age: "+value+"\n"))
		if status(err) != 422 || !strings.Contains(err.Error(), says) || err.(*fault.Error).Line != 5 || err.(*fault.Error).Advice == "" {
			t.Errorf("%s: %v at line %d", value, err, err.(*fault.Error).Line)
		}
	}
}
