package storetest

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"time"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store"
)

func reads(f *fixture) {
	f.base()
	one := row.PolicyVersion{Policy: policy, Version: 9, Role: alice, CreatedAt: now, SHA256: "a", Text: "one"}
	two := row.PolicyVersion{Policy: policy, Version: 10, Role: alice, CreatedAt: now, ClientIP: "::1", SHA256: "b", Text: "two"}
	f.must(inserts(two, one, row.PolicyVersion{Policy: variable, Version: 1, Text: "another's"},
		row.Secret{Resource: variable, Version: 1, Sealed: []byte("v1")}, row.Secret{Resource: variable, Version: 2, Sealed: []byte{}},
		row.APIKey{Role: alice, Sealed: []byte("key")}))

	event := row.RotationEvent{Variable: variable, Revision: 9, At: now, ID: "r", State: "backoff", Actor: "scheduler", Event: "failed", Class: "refused", Message: "too weak", Took: 1500 * time.Millisecond}
	later := event
	later.Revision = 10
	f.must(inserts(later, event, row.RotationEvent{Variable: policy, Revision: 1}, row.Credential{Variable: variable, Slot: row.Candidate, Sealed: []byte("next")}))
	if got, err := f.store.RotationEvents(ctx, variable); err != nil || !reflect.DeepEqual(got, []row.RotationEvent{event, later}) {
		f.Errorf("rotation events: %+v, %v", got, err)
	}
	f.must(deletes(event), deletes(event)) // trimming what somebody else has trimmed is fine
	if got, err := f.store.RotationEvents(ctx, variable); err != nil || len(got) != 1 {
		f.Errorf("rotation events: %+v, %v", got, err)
	}
	if got, err := f.store.Credential(ctx, variable, row.Candidate); err != nil || string(got) != "next" {
		f.Errorf("credential: %q, %v", got, err)
	}

	for version, want := range map[int]string{1: "v1", 2: ""} {
		if got, err := f.store.Secret(ctx, variable, version); err != nil || string(got) != want {
			f.Errorf("version %d: %q, %v", version, got, err)
		}
	}
	for _, missing := range []error{
		second(f.store.Secret(ctx, variable, 3)), second(f.store.Secret(ctx, policy, 1)), second(f.store.APIKey(ctx, group)),
		second(f.store.Credential(ctx, variable, row.Previous)),
	} {
		if !errors.Is(missing, store.ErrNotFound) {
			f.Errorf("got %v, want ErrNotFound", missing)
		}
	}
	if got, err := f.store.APIKey(ctx, alice); err != nil || string(got) != "key" {
		f.Errorf("API key: %q, %v", got, err)
	}
	if got, err := f.store.PolicyVersions(ctx, policy); err != nil || !reflect.DeepEqual(got, []row.PolicyVersion{one, two}) {
		f.Errorf("policy versions: %+v, %v", got, err)
	}
	if got, err := f.store.PolicyVersions(ctx, factory); err != nil || len(got) != 0 {
		f.Errorf("policy versions of another: %+v, %v", got, err)
	}
}

func second(_ []byte, err error) error { return err }

func oddTexts(f *fixture) {
	f.base()
	for _, odd := range []string{
		"", "a b", `it's "quoted"; DROP TABLE roles; --`, "ünïcode/日本語/🔑", "a:b:c", "with\nnewline\ttab\r", `back\slash`, "%_*?[",
		"nul\x00inside", "nul\x00other", "\xff\xfe not UTF-8", strings.Repeat("long/", 2000), "ü", "u\u0308",
	} {
		id := ident.ID("acme:user:" + odd)
		secret := row.Secret{Resource: id, Version: 1, Sealed: []byte(odd)}
		rows := []row.Row{row.Role{ID: id}, row.Resource{ID: id, Owner: id}, row.Membership{Role: id, Member: id},
			row.Annotation{Resource: id, Name: odd, Value: odd}, row.Permission{Resource: id, Role: id, Privilege: odd},
			row.PolicyVersion{Policy: id, Version: 1, Text: odd}, row.APIKey{Role: id, Sealed: []byte(odd)}, secret}
		f.must(inserts(rows...))
		f.restart()
		for _, r := range loadedAll(rows) {
			if !f.has(r) {
				f.Errorf("%q is not loaded: %#v", odd, r)
			}
		}
		if sealed, err := f.store.Secret(ctx, id, 1); err != nil || string(sealed) != odd {
			f.Errorf("secret of %q: %q, %v", id, sealed, err)
		}
		if versions, err := f.store.PolicyVersions(ctx, id); err != nil || len(versions) != 1 || versions[0].Text != odd {
			f.Errorf("policy versions of %q: %+v, %v", id, versions, err)
		}
		f.refused(inserts(rows[0]), "exists")
	}
}

func largeValues(f *fixture) {
	f.base()
	value := make([]byte, 5<<20)
	for i := range value {
		value[i] = byte(i * i >> 3)
	}
	text := strings.Repeat("- !user alice\n", 300_000)
	f.must(inserts(row.Secret{Resource: variable, Version: 1, Sealed: value},
		row.PolicyVersion{Policy: policy, Version: 1, Text: text}), inserts(row.Secret{Resource: variable, Version: 2, Sealed: []byte("small")}))
	f.restart()
	if got, err := f.store.Secret(ctx, variable, 1); err != nil || !bytes.Equal(got, value) {
		f.Errorf("%d bytes came back as %d, %v", len(value), len(got), err)
	}
	if got, err := f.store.PolicyVersions(ctx, policy); err != nil || len(got) != 1 || got[0].Text != text {
		f.Errorf("a text of %d bytes did not come back: %v", len(text), err)
	}
	if !f.has(row.Secret{Resource: variable, Version: 1}) {
		f.Error("a large secret is not loaded")
	}
}

func closed(f *fixture) {
	f.base()
	if err := f.store.Close(); err != nil {
		f.Fatal(err)
	}
	_, commitErr := f.store.Commit(ctx, []*row.Set{{}})
	_, keysErr := f.store.DataKeys(ctx)
	_, versionsErr := f.store.PolicyVersions(ctx, policy)
	for call, err := range map[string]error{
		"Commit": commitErr, "DataKeys": keysErr, "PolicyVersions": versionsErr,
		"Load":   f.store.Load(ctx, func(row.Row) error { return nil }),
		"Secret": second(f.store.Secret(ctx, variable, 1)), "APIKey": second(f.store.APIKey(ctx, alice)),
	} {
		if !errors.Is(err, store.ErrClosed) {
			f.Errorf("%s: got %v, want ErrClosed", call, err)
		}
	}
	if err := f.store.Close(); err != nil {
		f.Errorf("closing again: %v", err)
	}
}
