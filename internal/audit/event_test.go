package audit_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"rekey/internal/audit"
)

// after cuts what every record has in common from a line.
func after(t *testing.T, r *audit.Record) string {
	t.Helper()
	before, rest, ok := strings.Cut(line(r), "1 2026-03-01T12:00:00.007Z - conjur req ")
	if !ok {
		t.Fatalf("got %s", line(r))
	}
	return before + rest
}

func TestEvents(t *testing.T) {
	const (
		alice = `[auth@43868 user="acme:user:alice"]`
		from  = `[client@43868 ip="10.1.2.3"]`
		x     = "acme:variable:x"
	)
	action := func(result, operation string) string {
		return `[action@43868 result="` + result + `" operation="` + operation + `"]`
	}
	o := audit.Origin{Role: "acme:user:alice", ClientIP: "10.1.2.3", RequestID: "req", Time: noon}
	nobody := audit.Origin{ClientIP: "10.1.2.3", RequestID: "req", Time: noon}
	factory := audit.Origin{Role: "acme:host_factory:f", ClientIP: "10.1.2.3", RequestID: "req", Time: noon}
	no := errors.New("CONJ00006E no")
	var never time.Time
	later := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	params := []audit.Pair{{Name: "kind", Value: "user"}, {Name: "limit", Value: "3"}}
	authAlice := `[auth@43868 user="acme:user:alice" authenticator="authn" service="acme:webservice:conjur/authn"]`
	service := "authenticator authn service acme:webservice:conjur/authn"
	cases := []struct {
		record *audit.Record
		want   string
	}{
		{o.Fetch(x, 0, nil), `<86>fetch ` + alice + `[subject@43868 resource="acme:variable:x"]` + from + action("success", "fetch") + ` acme:user:alice fetched acme:variable:x`},
		{o.Fetch(x, 2, nil), `<86>fetch ` + alice + `[subject@43868 resource="acme:variable:x" version="2"]` + from + action("success", "fetch") + ` acme:user:alice fetched version 2 of acme:variable:x`},
		{o.Fetch(x, 0, no), `<84>fetch ` + alice + `[subject@43868 resource="acme:variable:x"]` + from + action("failure", "fetch") + ` acme:user:alice tried to fetch acme:variable:x: CONJ00006E no`},
		{o.Update(x, nil), `<86>update ` + alice + `[subject@43868 resource="acme:variable:x"]` + from + action("success", "update") + ` acme:user:alice updated acme:variable:x`},
		{o.Update(x, no), `<84>update ` + alice + `[subject@43868 resource="acme:variable:x"]` + from + action("failure", "update") + ` acme:user:alice tried to update acme:variable:x: CONJ00006E no`},
		{o.Expire(x, nil), `<86>expire ` + alice + `[subject@43868 resource="acme:variable:x"]` + from + action("success", "expire") + ` acme:user:alice expired acme:variable:x`},
		{o.RotationStep(x, audit.Step{Rotation: "r1", Event: "published", State: "retiring", Took: 1500 * time.Millisecond}, nil),
			`<86>rotation ` + alice + `[subject@43868 resource="acme:variable:x" rotation="r1" state="retiring" took_ms="1500"]` + from + action("success", "published") + ` acme:user:alice advanced the rotation of acme:variable:x: published`},
		{o.RotationStep(x, audit.Step{Rotation: "r1", Event: "unacknowledged", State: "retiring", About: "not acknowledged by host/a"}, nil),
			`<84>rotation ` + alice + `[subject@43868 resource="acme:variable:x" rotation="r1" state="retiring" took_ms="0"]` + from + action("success", "unacknowledged") + ` acme:user:alice advanced the rotation of acme:variable:x: unacknowledged: not acknowledged by host/a`},
		{o.RotationStep(x, audit.Step{Event: "failed", State: "backoff", Class: "refused"}, errors.New("no privilege")),
			`<84>rotation ` + alice + `[subject@43868 resource="acme:variable:x" state="backoff" class="refused" took_ms="0"]` + from + action("failure", "failed") + ` acme:user:alice could not advance the rotation of acme:variable:x: failed: no privilege`},
		{o.Check(x, "acme:user:alice", "read", nil), `<86>check ` + alice + `[subject@43868 resource="acme:variable:x" role="acme:user:alice" privilege="read"]` + from + action("success", "check") + ` acme:user:alice successfully checked if they can read acme:variable:x `},
		{o.Check(x, "acme:host:h", "read", no), `<84>check ` + alice + `[subject@43868 resource="acme:variable:x" role="acme:host:h" privilege="read"]` + from + action("failure", "check") + ` acme:user:alice failed to check if acme:host:h can read acme:variable:x : CONJ00006E no`},
		{o.List(params, nil), `<86>list ` + alice + `[subject@43868 kind="user" limit="3"]` + from + action("success", "list") + ` acme:user:alice successfully listed resources with parameters: {:kind=>"user", :limit=>"3"}`},
		{o.List(nil, no), `<84>list ` + alice + `[subject@43868]` + from + action("failure", "list") + ` acme:user:alice failed to list resources with parameters: {}: CONJ00006E no`},
		{o.Members(params, nil), `<86>members ` + alice + `[subject@43868 kind="user" limit="3"]` + from + action("success", "list") + ` acme:user:alice successfully listed members with parameters: {:kind=>"user", :limit=>"3"}`},
		{o.Memberships(params, nil), `<86>membership ` + alice + `[subject@43868 kind="user" limit="3"]` + from + action("success", "list") + ` acme:user:alice successfully listed memberships with parameters: {:kind=>"user", :limit=>"3"}`},
		{o.Resource(x, nil), `<86>resource ` + alice + `[subject@43868 resource="acme:variable:x"]` + from + action("success", "get") + ` acme:user:alice successfully fetched resource details.`},
		{o.Resource(x, no), `<84>resource ` + alice + `[subject@43868 resource="acme:variable:x"]` + from + action("failure", "get") + ` acme:user:alice failed to fetch resource details: CONJ00006E no`},
		{o.Whoami(), `<38>identity-check [subject@43868 role="acme:user:alice"]` + alice + from + action("success", "check") + ` acme:user:alice checked its identity using whoami`},

		{o.Authenticate("acme:user:alice", "authn", "acme:webservice:conjur/authn", nil), `<86>authn [subject@43868 role="acme:user:alice"]` + authAlice + from + action("success", "authenticate") + ` acme:user:alice successfully authenticated with ` + service},
		{nobody.Authenticate("acme:user:eve", "authn-jwt", "", no), `<84>authn [subject@43868 role="acme:user:eve"][auth@43868 user="not-found" authenticator="authn-jwt"]` + from + action("failure", "authenticate") + ` acme:user:eve failed to authenticate with authenticator authn-jwt: CONJ00006E no`},
		{o.Login("acme:user:alice", "authn", "acme:webservice:conjur/authn", nil), `<86>authn [subject@43868 role="acme:user:alice"]` + authAlice + from + action("success", "login") + ` acme:user:alice successfully logged in with ` + service},
		{o.Login("acme:user:alice", "authn", "acme:webservice:conjur/authn", no), `<84>authn [subject@43868 role="acme:user:alice"]` + authAlice + from + action("failure", "login") + ` acme:user:alice failed to login with ` + service + `: CONJ00006E no`},
		{o.PasswordChange(nil), `<86>password ` + alice + `[subject@43868 role="acme:user:alice"]` + from + action("success", "change") + ` acme:user:alice successfully changed their password`},
		{o.PasswordChange(no), `<84>password ` + alice + `[subject@43868 role="acme:user:alice"]` + from + action("failure", "change") + ` acme:user:alice failed to change their password: CONJ00006E no`},
		{o.APIKeyRotate("acme:user:alice", never, nil), `<86>api-key ` + alice + `[subject@43868 role="acme:user:alice"]` + from + action("success", "rotate") + ` acme:user:alice successfully rotated their API key`},
		{o.APIKeyRotate("acme:host:h", never, nil), `<86>api-key ` + alice + `[subject@43868 role="acme:host:h"]` + from + action("success", "rotate") + ` acme:user:alice successfully rotated the api key for acme:host:h`},
		{o.APIKeyRotate("acme:host:h", never, no), `<84>api-key ` + alice + `[subject@43868 role="acme:host:h"]` + from + action("failure", "rotate") + ` acme:user:alice failed to rotate the api key for acme:host:h: CONJ00006E no`},
		{o.APIKeyRotate("acme:host:h", later, nil), `<86>api-key ` + alice + `[subject@43868 role="acme:host:h" old-key-until="2026-05-01T12:00:00Z"]` + from + action("success", "rotate") + ` acme:user:alice successfully rotated the api key for acme:host:h, of which the old one goes on until 2026-05-01T12:00:00Z`},
		{o.APIKeyRepeat("acme:user:alice", nil), `<86>api-key ` + alice + `[subject@43868 role="acme:user:alice"]` + from + action("success", "repeat") + ` acme:user:alice successfully asked again for their API key`},
		{o.APIKeyStage("acme:user:alice", later, nil), `<86>api-key ` + alice + `[subject@43868 role="acme:user:alice" lapses="2026-05-01T12:00:00Z"]` + from + action("success", "stage") + ` acme:user:alice successfully staged a successor of their API key`},
		{o.APIKeyStage("acme:user:alice", never, no), `<84>api-key ` + alice + `[subject@43868 role="acme:user:alice"]` + from + action("failure", "stage") + ` acme:user:alice failed to stage a successor of their API key: CONJ00006E no`},
		{o.APIKeyPromote("acme:user:alice", nil), `<86>api-key ` + alice + `[subject@43868 role="acme:user:alice"]` + from + action("success", "promote") + ` acme:user:alice successfully replaced their API key by the staged one`},
		{o.APIKeyLapse("acme:user:alice"), `<86>api-key ` + alice + `[subject@43868 role="acme:user:alice"]` + from + action("success", "lapse") + ` acme:user:alice found the staged successor of their API key lapsed`},
		{o.APIKeyList([]audit.Pair{{Name: "account", Value: "acme"}}, nil), `<86>api-key ` + alice + `[subject@43868 account="acme"]` + from + action("success", "list") + ` acme:user:alice successfully listed API keys with parameters: {:account=>"acme"}`},
		{o.AccountCreate("new", nil), `<86>account ` + alice + `[subject@43868 account="new"]` + from + action("success", "create") + ` acme:user:alice successfully created account new`},
		{o.AccountDelete("new", no), `<84>account ` + alice + `[subject@43868 account="new"]` + from + action("failure", "delete") + ` acme:user:alice failed to delete account new: CONJ00006E no`},
		{o.AuditResume(), `<86>audit ` + alice + `[subject@43868]` + from + action("success", "resume") + ` acme:user:alice resumed the audit`},
		{o.HostFactoryTokens("acme:host_factory:f", 2, "2026-04-01T00:00:00Z", []string{"10.0.0.0/8"}, nil), `<86>host-factory ` + alice + `[subject@43868 resource="acme:host_factory:f" count="2" expiration="2026-04-01T00:00:00Z" cidr="10.0.0.0/8"]` + from + action("success", "create-token") + ` acme:user:alice successfully created 2 host factory tokens for acme:host_factory:f`},
		{o.HostFactoryRevoke("acme:host_factory:f", nil), `<86>host-factory ` + alice + `[subject@43868 resource="acme:host_factory:f"]` + from + action("success", "revoke-token") + ` acme:user:alice successfully revoked a host factory token of acme:host_factory:f`},
		{o.HostFactoryRevoke("", no), `<84>host-factory ` + alice + `[subject@43868 resource=""]` + from + action("failure", "revoke-token") + ` acme:user:alice failed to revoke a host factory token: CONJ00006E no`},
		{factory.HostFactoryHost("acme:host:h", nil), `<86>host-factory-host [auth@43868 user="acme:host_factory:f"][subject@43868 role="acme:host:h" resource="acme:host_factory:f"]` + from + action("success", "create") + ` acme:host_factory:f successfully created acme:host:h`},

		{o.PolicyRow(audit.Add, audit.RoleRow("acme:user:bob"), "acme:policy:root", 3), `<85>policy ` + alice + `[subject@43868 role="acme:user:bob"]` + from + action("success", "add") + `[policy@43868 id="acme:policy:root" version="3"] acme:user:alice added role acme:user:bob`},
		{o.PolicyRow(audit.Remove, audit.ResourceRow(x), "acme:policy:root", 3), `<85>policy ` + alice + `[subject@43868 resource="acme:variable:x"]` + from + action("success", "remove") + `[policy@43868 id="acme:policy:root" version="3"] acme:user:alice removed resource acme:variable:x`},
		{o.PolicyRow(audit.Add, audit.MembershipRow("acme:group:g", "acme:user:bob"), "", 0), `<85>policy ` + alice + `[subject@43868 role="acme:group:g" member="acme:user:bob"]` + from + action("success", "add") + ` acme:user:alice added membership of acme:user:bob in acme:group:g`},
		{o.PolicyRow(audit.Add, audit.OwnershipRow("acme:group:g", "acme:user:bob"), "", 0), `<85>policy ` + alice + `[subject@43868 role="acme:group:g" owner="acme:user:bob"]` + from + action("success", "add") + ` acme:user:alice added ownership of acme:user:bob in acme:group:g`},
		{o.PolicyRow(audit.Remove, audit.PermissionRow(x, "acme:group:g", "read"), "", 0), `<85>policy ` + alice + `[subject@43868 resource="acme:variable:x" role="acme:group:g" privilege="read"]` + from + action("success", "remove") + ` acme:user:alice removed permission of acme:group:g to read on acme:variable:x`},
		{o.PolicyRow(audit.Change, audit.AnnotationRow(x, "description"), "", 0), `<85>policy ` + alice + `[subject@43868 annotation="description" resource="acme:variable:x"]` + from + action("success", "change") + ` acme:user:alice changed annotation description on acme:variable:x`},
		{o.PolicyLoadFailed(true, no), `<85>policy ` + alice + `[subject@43868]` + from + action("failure", "create") + ` Failed to load policy: CONJ00006E no`},
		{o.PolicyLoadFailed(false, no), `<85>policy ` + alice + `[subject@43868]` + from + action("failure", "update") + ` Failed to load policy: CONJ00006E no`},
		{o.PolicyValidate(nil), `<85>policy ` + alice + `[subject@43868]` + from + action("success", "validate") + ` acme:user:alice validated {}`},
		{o.PolicyRead(params, nil), `<85>policy ` + alice + `[subject@43868 kind="user" limit="3"]` + from + action("success", "read") + ` acme:user:alice readed {:kind=>"user", :limit=>"3"}`},
	}
	for _, c := range cases {
		if got := after(t, c.record); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
