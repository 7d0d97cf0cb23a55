package audit_test

import (
	"errors"
	"testing"

	"rekey/internal/audit"
)

func TestOperationsOfTheSecondVersion(t *testing.T) {
	const (
		alice = `[auth@43868 user="acme:user:alice"]`
		from  = `[client@43868 ip="10.1.2.3"]`
	)
	o := audit.Origin{Role: "acme:user:alice", ClientIP: "10.1.2.3", RequestID: "req", Time: noon}
	no := errors.New("no")
	for _, c := range []struct {
		record *audit.Record
		want   string
	}{
		{o.Operated("branch", audit.Create, "branch a/b", "/branches/acme", `{"name":"b"}`, nil), `<85>branch ` + alice + `[subject@43868 edge=""]` + from +
			`[action@43868 result="success" operation="create"] acme:user:alice successfully created branch a/b with URI path: '/branches/acme' and JSON object: {"name":"b"}`},
		{o.Operated("branch", audit.Revoke, "branch a", "/branches/acme/a", "", no), `<85>branch ` + alice + `[subject@43868 edge=""]` + from +
			`[action@43868 result="failure" operation="remove"] acme:user:alice failed to remove branch a with URI path: '/branches/acme/a': no`},
		{o.AuthenticatorSwitch("authn-jwt", "acme:webservice:conjur/authn-jwt/ci", nil), `<86>authn [subject@43868 role="acme:user:alice"]` +
			`[auth@43868 user="acme:user:alice" authenticator="authn-jwt" service="acme:webservice:conjur/authn-jwt/ci"]` + from +
			`[action@43868 result="success" operation="update-authenticator-configuration"] acme:user:alice successfully updated authenticator configurationauthn-jwt service acme:webservice:conjur/authn-jwt/ci`},
		{o.AuthenticatorSwitch("authn-jwt", "acme:webservice:conjur/authn-jwt/ci", no), `<84>authn [subject@43868 role="acme:user:alice"]` +
			`[auth@43868 user="acme:user:alice" authenticator="authn-jwt" service="acme:webservice:conjur/authn-jwt/ci"]` + from +
			`[action@43868 result="failure" operation="update-authenticator-configuration"] acme:user:alice failed to update authenticator configuration authn-jwt service acme:webservice:conjur/authn-jwt/ci: no`},
	} {
		if got := after(t, c.record); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	verbs := map[audit.Operation]string{audit.Get: "retrieved", audit.List: "listed", audit.Update: "updated", audit.Delete: "deleted", audit.Enable: "enabled"}
	for operation, verb := range verbs {
		if got, want := o.Operated("k", operation, "x", "/p", "", nil).Message, "acme:user:alice successfully "+verb+" x with URI path: '/p'"; got != want {
			t.Errorf("got %s", got)
		}
	}
}
