package policy

import "testing"

// Given two policies whose users have the same ids, when one of them is loaded, then the
// users of the other one are out of its reach.
func TestUsersOfANamesakeAreOutOfReach(t *testing.T) {
	const (
		both   = "- !policy team\n- !policy team-a"
		nested = "- !policy team\n- !policy\n  id: team-a\n  body:\n  - !user u"
		foes   = "User 'u@team-a' belongs to another policy, whose name differs in slashes and dashes only"
	)
	own := into{policy: "team-a", text: "- !user u\n- !variable v"}
	for _, c := range []struct {
		name  string
		given []into
		when  into
		fails string
	}{
		{"granted", []into{{text: both}, own}, into{policy: "team", text: "- !group mine\n- !grant {role: !user a/u, member: !group mine}"}, foes},
		{"granted, declared in the body at root", []into{{text: nested}}, into{policy: "team", text: "- !group mine\n- !grant {role: !user a/u, member: !group mine}"}, foes},
		{"granted, from a policy with the dash", []into{{text: "- !policy {id: team, body: [!policy {id: a, body: [!user u]}]}\n- !policy team-a"}}, into{policy: "team-a", text: "- !group mine\n- !grant {role: !user u, member: !group mine}"}, foes},
		{"granted by a generic reference", []into{{text: both}, own}, into{policy: "team", text: "- !group mine\n- !permit {role: !group mine, privilege: update, resource: !resource {kind: user, id: a/u}}"}, foes},
		{"permitted", []into{{text: both}, own}, into{policy: "team", text: "- !group mine\n- !permit {role: !group mine, privilege: update, resource: !user a/u}"}, foes},
		{"deleted", []into{{text: both}, own}, into{policy: "team", mode: Modify, text: "- !delete {record: !user a/u}"}, foes},
		{"declared again", []into{{text: both}, own}, into{policy: "team", text: "- !user {id: a/u, annotations: {x: y}}"}, foes},
		{"taken first", []into{{text: both}, {policy: "team", text: "- !user a/u"}}, into{policy: "team-a", text: "- !user u"}, foes},
		{"by a blank id", []into{{text: "- !policy dev"}, {policy: "dev", text: "- !policy ops\n- !user ops"}}, into{policy: "dev/ops", text: "- !group mine\n- !grant {role: !user , member: !group mine}"},
			"User 'ops@dev' belongs to another policy, whose name differs in slashes and dashes only"},

		{"one's own", []into{{text: both}, own}, into{policy: "team-a", mode: Modify, text: "- !group mine\n- !grant {role: !user u, member: !group mine}\n- !permit {role: !group mine, privilege: update, resource: !user u}"}, ""},
		{"one's own, declared in the body at root", []into{{text: nested}}, into{policy: "team-a", text: "- !user u\n- !group mine\n- !grant {role: !user u, member: !group mine}"}, ""},
		{"of a policy beneath", []into{{text: both}, {policy: "team", text: "- !policy b"}, {policy: "team/b", text: "- !user u"}}, into{policy: "team", mode: Modify, text: "- !group mine\n- !grant {role: !user b/u, member: !group mine}\n- !delete {record: !user b/u}"}, ""},
		{"declared by the policy above, with an owner", []into{{text: both}, {policy: "team", text: "- !group staff\n- !policy {id: b, body: [!user {id: u, owner: !group /team/staff}]}"}}, into{policy: "team/b", text: "- !group mine\n- !grant {role: !user u, member: !group mine}"}, ""},
		{"as a member", []into{{text: both}, own}, into{policy: "team", text: "- !group mine\n- !grant {role: !group mine, member: !user /team-a/u}"}, ""},
		{"from root", []into{{text: both}, own}, into{text: "- !group mine\n- !grant {role: !user team/a/u, member: !group mine}"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newPlanWorld(t, 0)
			for _, given := range c.given {
				if err := w.into(given); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.into(c.when); c.fails == "" && err != nil || c.fails != "" && (err == nil || err.Error() != c.fails) {
				t.Errorf("got %v, want %s", err, c.fails)
			}
		})
	}
}
