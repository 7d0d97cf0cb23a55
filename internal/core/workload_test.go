package core_test

import (
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/secret"
)

var keyed = []core.AuthnDescriptor{{Type: "api_key"}}

// What is done with workloads is on record, with what was asked for and without keys.
func TestWorkloadsAreAudited(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !policy app")
	admin := w.admin()
	admin.Path = "/workloads"
	w.audit.take()
	made, err := w.CreateWorkload(ctx, admin, "acme", core.NewWorkload{Name: "w", Parent: "app", Descriptors: keyed, Networks: []string{"10.0.0.1"}})
	must(t, err)
	_, err = w.CreateWorkload(ctx, admin, "acme", core.NewWorkload{Name: "w", Parent: "app", Descriptors: keyed})
	if status(err) != 409 {
		t.Errorf("twice: %v", err)
	}
	_, err = w.Workload(ctx, admin, "acme", "app/w")
	must(t, err)
	_, err = w.UpdateWorkload(ctx, admin, "acme", "app/w", core.WorkloadUpdate{Annotations: core.Annotations{{Name: "a", Value: "b"}}})
	must(t, err)
	must(t, w.DeleteWorkload(ctx, admin, "acme", "app/w"))
	lines := w.audit.take()
	for _, want := range []string{
		"acme:user:admin added role acme:host:app/w",
		`acme:user:admin successfully created workload app/w with URI path: '/workloads' and JSON object: {"name":"w","branch":"app","authn_descriptors":[{"type":"api_key"}],"restricted_to":["10.0.0.1"]}`,
		"acme:user:admin failed to create workload app/w",
		"acme:user:admin successfully retrieved workload app/w with URI path: '/workloads'",
		`acme:user:admin successfully updated workload app/w with URI path: '/workloads' and JSON object: {"annotations":{"a":"b"}}`,
		"acme:user:admin successfully removed workload app/w with URI path: '/workloads'",
		"acme:user:admin removed role acme:host:app/w",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("missing: %s in\n%s", want, lines)
		}
	}
	if strings.Contains(lines, made.Key.RevealString()) {
		t.Error("the API key is in the audit")
	}
}

// Who deletes a workload may delete what goes along.
func TestAWorkloadTakesWhatItOwnsAlong(t *testing.T) {
	w := newWorld(t)
	keys := w.load(policy.Add, "root", `
- !policy {id: app, body: [!host w, !variable {id: v, owner: !host w}, !variable {id: other, owner: !host w}]}
- !user alice
- !permit {role: !user alice, privileges: [read, update], resource: !policy app}
- !permit {role: !user alice, privileges: [read], resource: !host app/w}
- !permit {role: !user alice, privileges: [update], resource: !variable app/v}
`)
	alice := w.as("alice", keys["acme:user:alice"])
	if err := w.DeleteWorkload(ctx, alice, "acme", "app/w"); status(err) != 404 || !strings.Contains(err.Error(), "Variable 'app/other' not found") {
		t.Errorf("got %v", err)
	}
	w.load(policy.Modify, "root", "- !permit {role: !user alice, privileges: [update], resource: !variable app/other}")
	must(t, w.DeleteWorkload(ctx, alice, "acme", "app/w"))
	for _, id := range []string{"host:app/w", "variable:app/v", "variable:app/other"} {
		kind, name, _ := strings.Cut(id, ":")
		if _, err := w.Resource(ctx, w.admin(), ident.New("acme", kind, name)); status(err) != 404 {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// A key that is taken away while it rotates is gone, whoever comes first.
func TestAWorkloadLosesItsKeyWhileItRotates(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !policy app")
	for range 20 {
		made, err := w.CreateWorkload(ctx, w.admin(), "acme", core.NewWorkload{Name: "w", Parent: "app", Descriptors: keyed})
		must(t, err)
		host := w.basic("host/app/w", made.Key)
		var fresh secret.Bytes
		together(2, func(i int) {
			if i == 0 {
				fresh, err = w.RotateKey(ctx, host, "acme", "")
				return
			}
			jwt := core.WorkloadUpdate{Descriptors: []core.AuthnDescriptor{{Type: "jwt", Service: "ci"}}}
			if _, err := w.UpdateWorkload(ctx, w.admin(), "acme", "app/w", jwt); err != nil {
				t.Error(err)
			}
		})
		for _, key := range []secret.Bytes{made.Key, fresh} {
			if _, err := w.AuthenticateKey(ctx, here, "acme", "host/app/w", key); status(err) != 401 {
				t.Errorf("a key works still: %v", err)
			}
		}
		must(t, w.DeleteWorkload(ctx, w.admin(), "acme", "app/w"))
	}
}

// Whoever may change a branch does not get at hosts in it that another policy has
// declared: they may be trusted with more than the branch.
func TestAWorkloadOfAnotherPolicyIsNotTakenOver(t *testing.T) {
	w := newWorld(t)
	keys := w.load(policy.Add, "root", `
- !policy {id: app, body: [!host {id: trusted, annotations: {authn/api-key: false}}]}
- !user alice
- !permit {role: !user alice, privileges: [read, create, update], resource: !policy app}
- !permit {role: !user alice, privileges: [read], resource: !host app/trusted}
`)
	alice := w.as("alice", keys["acme:user:alice"])
	made, err := w.CreateWorkload(ctx, alice, "acme", core.NewWorkload{Name: "own", Parent: "app", Owner: &core.Subject{Kind: "user", ID: "alice"}, Descriptors: []core.AuthnDescriptor{{Type: "gcp"}}})
	must(t, err)
	made, err = w.UpdateWorkload(ctx, alice, "acme", made.ID.Identifier(), core.WorkloadUpdate{Descriptors: keyed})
	if must(t, err); made.Key.Len() == 0 {
		t.Error("her own workload got no key")
	}
	for name, try := range map[string]func() error{
		"a key": func() error {
			_, err := w.UpdateWorkload(ctx, alice, "acme", "app/trusted", core.WorkloadUpdate{Descriptors: keyed})
			return err
		},
		"claims": func() error {
			_, err := w.UpdateAuthnDescriptor(ctx, alice, "acme", "app/trusted", core.AuthnDescriptor{Type: "jwt", Service: "ci", Data: core.Annotations{{Name: "a", Value: "b"}}})
			return err
		},
	} {
		if err := try(); status(err) != 404 || !strings.Contains(err.Error(), "Workload 'app/trusted' not found") {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.load(policy.Modify, "root", "- !permit {role: !user alice, privileges: [update], resource: !host app/trusted}")
	if _, err := w.UpdateWorkload(ctx, alice, "acme", "app/trusted", core.WorkloadUpdate{Descriptors: keyed}); err != nil {
		t.Error(err)
	}
}
