package changelog_test

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"rekey/internal/row"
	"rekey/internal/store/changelog"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// full is a row of each type with no zero field but its content.
var full = []row.Row{
	row.DataKey{ID: 7, Wrapped: []byte{1, 2}, Active: true, CreatedAt: now},
	row.Account{Name: "acme", CreatedAt: now},
	row.SigningKey{Account: "acme", KeyID: "k", Sealed: []byte{3}, CreatedAt: now, RetiredAt: now},
	row.Role{ID: "acme:user:a", CreatedAt: now, Policy: "acme:policy:p"},
	row.Resource{ID: "acme:variable:v", Owner: "acme:user:a", CreatedAt: now, Policy: "acme:policy:p"},
	row.Membership{Role: "r", Member: "m", Ownership: true, Admin: true, Policy: "p"},
	row.Permission{Resource: "x", Role: "r", Privilege: "\xff\x00any bytes", Policy: "p"},
	row.Annotation{Resource: "x", Name: "n", Value: "v", Policy: "p"},
	row.APIKey{Role: "r", Digest: [32]byte{1, 31: 2}, RotatedAt: now, Form: row.KeyGrace, Request: [32]byte{3}},
	row.StagedKey{Role: "r", Digest: [32]byte{1}, Sealed: []byte{4}, StagedAt: now, LapsesAt: now, Grace: time.Minute, Request: [32]byte{5}},
	row.OldKey{Role: "r", Digest: [32]byte{1}, ValidUntil: now},
	row.KeyUse{Role: "r", UsedAt: now},
	row.Password{Role: "r", Sealed: []byte{6}, ChangedAt: now},
	row.Restriction{Role: "r", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}},
	row.Secret{Resource: "x", Version: 300, CreatedAt: now, ExpiresAt: now},
	row.PolicyVersion{Policy: "p", Version: 2, Role: "r", CreatedAt: now, FinishedAt: now, ClientIP: "::1", SHA256: "ab"},
	row.HostFactoryToken{Digest: [32]byte{7}, Factory: "f", Sealed: []byte{8}, Networks: []netip.Prefix{netip.MustParsePrefix("::/0")}, ExpiresAt: now},
	row.Authenticator{Resource: "x", Enabled: true},
	row.Rotation{Variable: "x", Revision: 1 << 40, State: "idle", ID: "id", Identity: "i", Version: 3, Candidate: true, Sent: true, Unsure: true, Acked: true,
		Previous: true, Discarded: true, Attempts: 1, AuthFailures: 2, BadValues: 3, StartedAt: now, LastSuccess: now, RetryAt: now, RetireAt: now,
		RequestedAt: now, RequestedBy: "r", Reconcile: true, PausedAt: now, PausedBy: "r", PauseReason: "why", ErrorClass: "c", ErrorMessage: "m", ErrorAt: now,
		Holder: "node", LeaseUntil: now, Events: 5, CheckedAt: now, Awaited: "host/app", RetireBy: now},
	row.Credential{Variable: "x", Slot: row.Previous},
	row.Delivery{ID: "1", Hook: "h", Event: "e", Subject: "s", Body: "b", CreatedAt: now, State: row.Waiting, Attempts: 1, NextAt: now, LastAt: now, Status: 503, Problem: "p"},
	row.RotationEvent{Variable: "x", Revision: 1, At: now, ID: "id", State: "s", Actor: "a", Event: "e", Class: "c", Message: "m", Took: time.Second},
}

// sealed are the contents, which the log leaves out.
var sealed = map[string]bool{"APIKey.Sealed": true, "Secret.Sealed": true, "PolicyVersion.Text": true, "Credential.Sealed": true}

func TestEveryFieldOfEveryRowComesBack(t *testing.T) {
	one, two := &row.Set{}, &row.Set{}
	for i, r := range full {
		value := reflect.ValueOf(r)
		for f := range value.NumField() {
			if name := value.Type().Name() + "." + value.Type().Field(f).Name; value.Field(f).IsZero() != sealed[name] {
				t.Errorf("%s: the table of this test says nothing about it", name)
			}
		}
		one.Add(row.Op(1+i%3), r)
	}
	two.Add(row.Delete, row.Role{ID: "acme:user:a"})
	two.Add(row.Delete, row.APIKey{Role: "acme:user:a"})
	text, err := changelog.Encode([]*row.Set{one, {}, two})
	if err != nil {
		t.Fatal(err)
	}
	got, err := changelog.Decode(text)
	if want := []*row.Set{one, {}, two}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	for n := range text {
		if _, err := changelog.Decode(text[:n]); !errors.Is(err, changelog.ErrUnreadable) {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(text), err)
		}
	}
}

// These texts are of programs that know more, and less, than this one.
func TestOtherVersionsAreUnderstood(t *testing.T) {
	name := func(s string) string { return hex.EncodeToString(append([]byte{byte(len(s))}, s...)) }
	for what, c := range map[string]struct {
		text string
		want row.Row
	}{
		"a column more":   {"01" + "01" + name("accounts") + "03" + "010302" + "01" + "01" + "00" + "01" + name("acme") + "02" + name("later"), row.Account{Name: "acme", CreatedAt: time.UnixMilli(1).UTC()}},
		"a column less":   {"01" + "01" + name("accounts") + "01" + "01" + "01" + "01" + "00" + "01" + name("acme"), row.Account{Name: "acme"}},
		"a table more":    {"01" + "02" + name("gadgets") + "02" + "0405" + name("accounts") + "01" + "01" + "01" + "02" + "00" + "01" + "01" + "02aabb" + "01" + "01" + name("acme"), row.Account{Name: "acme"}},
		"another version": {"02" + "0000", nil},
		"another kind":    {"01" + "01" + name("gadgets") + "01" + "09" + "01" + "01" + "00" + "01" + "00", nil},
	} {
		text, err := hex.DecodeString(c.text)
		if err != nil {
			t.Fatal(what, err)
		}
		sets, err := changelog.Decode(text)
		if c.want == nil {
			if !errors.Is(err, changelog.ErrUnreadable) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err != nil || len(sets) != 1 || !reflect.DeepEqual(sets[0].Changes, []row.Change{{Op: row.Insert, Row: c.want}}) {
			t.Errorf("%s: %+v, %v", what, sets, err)
		}
	}
}
