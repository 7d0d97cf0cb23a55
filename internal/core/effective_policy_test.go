package core_test

import (
	"testing"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/secret"
)

func (w *world) effective(id string) *policy.Effective {
	w.t.Helper()
	e, err := w.EffectivePolicy(ctx, w.admin(), ident.New("acme", "policy", id), core.EffectiveQuery{})
	must(w.t, err)
	return e
}

const branched = `
- !user alice
- !group ops
- !policy
  id: foo
  owner: !group ops
  annotations: {description: "the foo: branch", count: "12"}
  body:
  - !user
    id: bob
    restricted_to: [10.0.0.0/24, 1.2.3.4]
    uidnumber: 1208
    public_keys: [ssh-ed25519 AAAA bob@laptop]
  - !variable v
  - !variable {id: w, kind: password, mime_type: text/plain, owner: !user bob, annotations: {a: "yes", b: ""}}
  - !layer l
  - !group l
  - !host-factory {id: hf, layers: [!layer l]}
  - !policy
    id: bar
    body:
    - !host h
    - !host sub/h2
    - !webservice ws
    - !resource {kind: configuration, id: c}
    - !role {kind: team, id: t}
  - !grant {role: !group l, members: [!user bob, !user /alice, !member {role: !group /ops, admin: true}]}
  - !grant {role: !layer l, member: !host bar/h}
  - !grant {role: !role {kind: team, id: bar/t}, member: !host bar/h}
  - !permit {role: !group l, privileges: [read, execute], resource: !variable v}
  - !permit {role: !user /alice, privilege: read, resource: !variable v}
- !permit {role: !user alice, privilege: update, resource: !policy foo}
- !variable foo/late
`

const branchedYAML = `---
- !policy
  id: foo
  owner: !group /ops
  annotations:
    count: "12"
    description: 'the foo: branch'
  body:
  - !user
    id: bob
    annotations:
      conjur/uidnumber: "1208"
    restricted_to: [10.0.0.0/24, 1.2.3.4/32]
    public_keys:
    - ssh-ed25519 AAAA bob@laptop
  - !policy
    id: bar
    body:
    - !webservice ws
    - !host h
    - !host sub/h2
    - !resource
      id: c
      kind: configuration
    - !role
      id: t
      kind: team
    - !grant
      role: !role
        kind: team
        id: t
      members:
      - !host /foo/bar/h
  - !variable
    id: late
    owner: !user /admin
  - !variable v
  - !variable
    id: w
    owner: !user /foo/bob
    kind: password
    mime_type: text/plain
    annotations:
      a: "yes"
      b: ""
  - !layer l
  - !host-factory
    id: hf
    layers: [!layer l]
  - !group l
  - !grant
    role: !group l
    members:
    - !member
      role: !group /ops
      admin: true
    - !user /alice
    - !user /foo/bob
  - !grant
    role: !layer l
    members:
    - !host /foo/bar/h
  - !permit
    role: !group l
    privileges: [execute, read]
    resource: !variable v
  - !permit
    role: !user /alice
    privileges: [read]
    resource: !variable v
- !permit
  role: !user /alice
  privileges: [update]
  resource: !policy foo
`

func TestAPolicyReadsAsTheStatementsThatMakeIt(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", branched)
	text, err := w.effective("foo").YAML()
	must(t, err)
	if string(text) != branchedYAML {
		t.Errorf("got:\n%s", text)
	}
}

func TestWhatAPolicyCannotSayStandsInAComment(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", "- !resource {kind: a, id: x}\n")
	w.load(policy.Add, "root", "- !resource {kind: b, id: x}\n- !host ../h\n- !group g\n")
	must(t, w.AddMember(ctx, w.admin(), "acme:group:g", "acme:host:../h"))
	text, err := w.effective("root").YAML()
	must(t, err)
	const want = `# A policy cannot say this, so it is left out:
#   acme:b:x: a document has one !resource of an id, of whatever kind
#   membership of acme:host:../h in acme:group:g
---
- !user admin
- !host ../h
- !group g
- !resource
  id: x
  kind: a
`
	if string(text) != want {
		t.Errorf("got:\n%s", text)
	}
}

func TestUsersStandInTheirPolicy(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", `
- !policy {id: a, body: [!user own, !policy {id: b, body: [!user deep]}]}
- !user by-admin@a
- !group ops
- !policy {id: a-b, body: [!group g]}
- !user {id: by-ops@a-b, owner: !group ops}
- !user {id: nowhere@z, owner: !group ops}
`)
	w.load(policy.Add, "a-b", "- !user other\n")
	text, err := w.effective("root").YAML()
	must(t, err)
	const want = `---
- !user admin
- !user by-admin@a
- !user
  id: nowhere@z
  owner: !group /ops
- !policy
  id: a
  body:
  - !user own
  - !policy
    id: b
    body:
    - !user deep
- !policy
  id: a-b
  body:
  - !user
    id: by-ops
    owner: !group /ops
  - !user other
  - !group g
- !group ops
`
	if string(text) != want {
		t.Errorf("got:\n%s", text)
	}
}

func TestPublicKeysThatAUsersLinesCannotSay(t *testing.T) {
	w := newWorld(t)
	w.load(policy.Add, "root", `
- !user {id: bob, public_keys: [ssh-rsa AAAA laptop]}
- !resource {kind: user, id: thing}
- !resource {kind: public_key, id: user/thing/key}
- !resource {kind: public_key, id: user/bob/empty}
- !resource {kind: public_key, id: user/bob/other}
`)
	for _, id := range []ident.ID{"acme:public_key:user/thing/key", "acme:public_key:user/bob/other"} {
		must(t, w.SetSecret(ctx, w.admin(), id, secret.FromString("ssh-rsa BBBB renamed")))
	}
	text, err := w.effective("root").YAML()
	must(t, err)
	const want = `---
- !user admin
- !user
  id: bob
  public_keys:
  - ssh-rsa AAAA laptop
- !resource
  id: user/bob/empty
  kind: public_key
- !resource
  id: user/bob/other
  kind: public_key
- !resource
  id: user/thing/key
  kind: public_key
- !resource
  id: thing
  kind: user
`
	if string(text) != want {
		t.Errorf("got:\n%s", text)
	}
}
