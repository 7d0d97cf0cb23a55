package token_test

import (
	"testing"

	"rekey/internal/fault"
)

func FuzzVerify(f *testing.F) {
	v, _, key := newVerifier(f)
	f.Add(header(issue(f, key, "alice")))
	f.Add(header([]byte(`"a.b.c"`)))
	f.Add(`Token token="e30="`)
	f.Fuzz(func(t *testing.T, authorization string) {
		claims, err := v.Verify(authorization, noon, client)
		if err == nil && claims.Subject != "alice" {
			t.Errorf("a forged token says %q", claims.Subject)
		}
		if kind := fault.KindOf(err); err != nil && kind != fault.Unauthenticated {
			t.Errorf("kind %d: %v", kind, err)
		}
	})
}
