package core_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/rbac"
	"rekey/internal/secret"
	"rekey/internal/store/sqlite"
)

// dump shows all that a graph knows, one line a row.
func dump(g *rbac.Graph) string {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	role := func(r *rbac.Role) {
		line("role %+v, networks %v", r.Role, r.Networks)
		if r.Key != nil {
			line("key of %s: %x at %v", r.ID, r.Key.Digest, r.Key.RotatedAt)
		}
		if r.Password != nil {
			line("password of %s: %x", r.ID, r.Password.Sealed)
		}
		for _, m := range r.Members {
			line("member %+v", m.Row())
		}
	}
	g.Ascend("", func(x *rbac.Resource) bool {
		line("resource %+v, values %v, loads %v", x.Resource, x.Secrets, x.Loads)
		for _, p := range x.Permissions {
			line("permission %+v", p.Row())
		}
		for _, a := range x.Annotations {
			line("annotation %+v", a.Row())
		}
		if x.Role != nil {
			role(x.Role)
		}
		for _, r := range g.DeclaredRoles(x.ID) {
			role(r)
		}
		return true
	})
	for _, a := range g.Accounts() {
		for _, k := range g.SigningKeys(a.Name) {
			line("account %s, signing key %s, retired %v", a.Name, k.KeyID, k.RetiredAt)
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

// texts are loaded in any order and mode.
var texts = []string{
	"[]",
	"- !policy {id: app, body: [!group g, !policy sub]}\n- !user alice",
	"- !policy app\n- !user {id: alice, public_keys: [ssh-rsa AAAA x, ssh-rsa BBBB y], restricted_to: 10.0.0.0/8}\n- !user bob",
	"- !host h\n- !variable {id: v, annotations: {note: one}}\n- !permit {role: !host h, privileges: [read, execute], resource: !variable v}",
	"- !host {id: h, annotations: {authn/api-key: false}}\n- !variable {id: v, owner: !host h, annotations: {note: two}}",
	"- !layer l\n- !host-factory {id: f, layers: l}\n- !host {id: made, owner: !host-factory f}",
	"- !group a\n- !group {id: b, owner: !group a}\n- !variable {id: w, owner: !group b}\n- !grant {role: !group a, member: !member {role: !group b, admin: true}}",
	"- !role {kind: team, id: t}\n- !resource {kind: thing, id: t}\n- !webservice s",
	"- !delete {record: !host h}",
	"- !delete {record: !group a}",
	"- !delete {record: !host-factory f}",
	"- !delete {record: !policy app}",
	"- !delete {record: !user alice}",
	"- !revoke {role: !group a, member: !group b}",
}

// Whatever was done, a graph that is made of what the store has is the one that
// answered.
func TestTheStoreHasWhatTheGraphAnswers(t *testing.T) {
	done := 0
	for seed := range int64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(t, func(c *core.Config) { c.SecretVersions, c.PolicyVersions = 3, 4 })
			r := rand.New(rand.NewSource(seed))
			admin := w.admin()
			branches := []string{"root", "root", "app", "app/sub"}
			for range 120 {
				w.now = w.now.Add(1e6)
				var err error
				switch branch := branches[r.Intn(len(branches))]; r.Intn(8) {
				default:
					_, err = w.tryLoad(admin, policy.Mode(r.Intn(3)), branch, texts[r.Intn(len(texts))])
				case 1, 2:
					prefix := map[bool]string{true: "", false: branch + "/"}[branch == "root"]
					err = w.SetSecret(ctx, admin, ident.New("acme", "variable", prefix+[]string{"v", "w"}[r.Intn(2)]), secret.FromString(fmt.Sprint(r.Intn(4))))
				case 3:
					_, err = w.RotateKey(ctx, admin, "acme", []string{"host:h", "user:alice", "host:app/h", "host:made"}[r.Intn(4)])
				case 4:
					err = w.AddMember(ctx, admin, "acme:group:a", []ident.ID{"acme:user:alice", "acme:host:h"}[r.Intn(2)])
				case 5:
					err = w.RemoveMember(ctx, admin, "acme:group:a", []ident.ID{"acme:user:alice", "acme:host:h"}[r.Intn(2)])
				}
				switch status(err) {
				case 200:
					done++
				case 404, 405, 422: // it is not there just now
				default:
					t.Fatal(err)
				}
			}
			var live string
			w.View(func(g *rbac.Graph) { live = dump(g) })
			w.close()
			st, err := sqlite.Open(w.dir)
			must(t, err)
			again := rbac.New()
			must(t, st.Load(ctx, again.Add))
			must(t, st.Close())
			w.open()
			if stored := dump(again); stored != live {
				t.Errorf("the store has\n%s\n\nthe graph had\n%s", stored, live)
			}
		})
	}
	t.Logf("%d changes", done)
	if done < 300 && !t.Failed() {
		t.Errorf("%d changes are too few to mean anything", done)
	}
}
