package core_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"rekey/internal/core"
	"rekey/internal/ident"
	"rekey/internal/policy"
	"rekey/internal/row"
)

// author writes random policies about few names, so that what it writes meets what is
// there already.
type author struct {
	*rand.Rand
	text  strings.Builder
	depth int
	mode  policy.Mode
}

var (
	branches = []string{"p", "p/q", "p-q", "a/b", "x y"}
	odd      = []string{"007", "yes", "it's: \"q\" #", "d/e", "ü", "1.5", "~", "- x", "2024-01-01", "two\nlines", "null", "<<", "root", "@x", "a@p-q", "e//f", "{}", "%41"}
)

func (a *author) pick(list ...string) string { return list[a.IntN(len(list))] }
func (a *author) often(percent int) bool     { return a.IntN(100) < percent }

func (a *author) name(usual string) string {
	if a.often(10) {
		return a.pick(odd...)
	}
	return usual + a.pick("", "1", "2", "3", "4")
}

// quote is a double-quoted scalar, which is the same in YAML and Go for these names.
func quote(s string) string { return fmt.Sprintf("%q", s) }

// role refers to a role from anywhere.
func (a *author) role() string {
	at := "/" + a.pick(append(branches, "", "", "")...) + "/"
	at = strings.ReplaceAll(at, "//", "/")
	switch a.IntN(6) {
	case 0:
		return "!user " + quote(at+"u")
	case 1:
		return "!layer " + quote(at+"l")
	case 2:
		return "!host " + quote(at+"h")
	case 3:
		return "!user /admin"
	case 4:
		return "!group g"
	}
	return "!group " + quote(at+"g")
}

func (a *author) local() string {
	return a.pick("!group g", "!group g1", "!layer l", "!user u", "!host h", `!role {kind: team, id: t}`, "!group l")
}

func (a *author) resource() string {
	return a.pick("!variable v", "!variable v1", "!webservice w", "!group g", "!user u", "!policy q", `!resource {kind: thing, id: c}`, "!host h")
}

func (a *author) attributes() string {
	var s string
	if a.often(15) {
		s += ", owner: " + a.role()
	}
	if a.often(30) {
		s += ", annotations: {" + quote(a.name("note")) + ": " + quote(a.name("value")) + `, k: "` + a.pick("1", "x", "") + `"}`
	}
	return s
}

func (a *author) networks() string {
	if !a.often(30) {
		return ""
	}
	return ", restricted_to: [" + a.pick("10.0.0.0/8, 1.2.3.4", "'2001:db8::/32'", "192.168.0.0/16") + "]"
}

func (a *author) line(format string, args ...any) {
	a.text.WriteString(strings.Repeat("  ", a.depth) + "- " + fmt.Sprintf(format, args...) + "\n")
}

func (a *author) statement() {
	switch n := a.IntN(24); n {
	case 0, 1:
		a.line("!user {id: %s%s%s%s}", quote(a.name("u")), a.attributes(), a.networks(),
			a.pick("", "", ", public_keys: [ssh-rsa AAAA laptop, ssh-rsa BBBB my phone]", ", uidnumber: 12"))
	case 2, 3:
		a.line("!group {id: %s%s}", quote(a.name("g")), a.attributes())
	case 4:
		a.line("!host {id: %s%s%s}", quote(a.name("h")), a.attributes(), a.networks())
	case 5:
		a.line("!layer {id: %s%s}", quote(a.name("l")), a.attributes())
	case 6, 7:
		a.line("!variable {id: %s%s%s}", quote(a.name("v")), a.attributes(), a.pick("", ", kind: password", ", mime_type: \"12\""))
	case 8:
		a.line("!webservice {id: %s%s}", quote(a.name("w")), a.attributes())
	case 9:
		a.line("!host-factory {id: %s, layers: [%s]%s}", quote(a.name("f")), a.pick("", "!layer l", "!layer l1"), a.attributes())
	case 10:
		a.line("!resource {kind: %s, id: %s%s}", a.pick("thing", "configuration", "group"), quote(a.name("c")), a.attributes())
	case 11:
		a.line("!role {kind: %s, id: %s}", a.pick("team", "variable", "user"), quote(a.name(a.pick("t", "v"))))
	case 12, 13, 14:
		if a.depth < 4 {
			a.line("!policy\n%[1]s  id: %[2]s%[3]s\n%[1]s  body:\n%[1]s  - []", strings.Repeat("  ", a.depth), quote(a.pick("p", "q", "p/q", "p-q", "a/b", "x y", "q")), "")
			a.depth++
			for range a.IntN(6) {
				a.statement()
			}
			a.depth--
		}
	case 15, 16, 17:
		a.line("!grant {role: %s, members: [%s, !member {role: %s, admin: %t}]}", a.local(), a.role(), a.role(), a.often(50))
	case 18, 19, 20:
		a.line("!permit {role: %s, privileges: [%s], resource: %s}", a.role(), a.pick("read", "read, execute", "'fly high'"), a.resource())
	default:
		if a.mode == policy.Add {
			return
		}
		switch n {
		case 21:
			a.line("!revoke {role: %s, member: %s}", a.local(), a.role())
		case 22:
			a.line("!deny {role: %s, privilege: [read, execute], resource: %s}", a.role(), a.resource())
		case 23:
			a.line("!delete {record: %s}", a.resource())
		}
	}
}

// write makes a policy text; mode says whether it may remove anything.
func (a *author) write(mode policy.Mode) string {
	a.text.Reset()
	a.mode = mode
	for range 1 + a.IntN(9) {
		a.statement()
	}
	return a.text.String() + "- []\n"
}

// lay loads all that random policies refer to. Two branches, p/q and p-q, have the
// same suffix of users' ids, which one text must not declare twice.
func (w *world) lay() {
	w.t.Helper()
	const usual = "!group g, !group g1, !group l, !layer l, !layer l1, !host h, !user u, !variable v, !variable v1, !webservice w, " +
		"!policy q, !role {kind: team, id: t}, !resource {kind: thing, id: c}"
	inner := strings.Replace(usual, "!policy q", "!policy {id: q, body: ["+usual+"]}", 1)
	for _, text := range []string{
		"- [" + usual + "]\n- !policy {id: p, body: [" + inner + "]}\n- !policy a/b\n- !policy x y\n",
		"- !policy {id: p-q, body: [" + usual + "]}\n",
	} {
		w.load(policy.Add, "root", text)
	}
	for _, branch := range []string{"a/b", "x y"} {
		w.load(policy.Add, branch, "- ["+usual+"]\n")
	}
}

// attempt loads a random policy somewhere.
type attempt struct {
	policy ident.ID
	mode   policy.Mode
	text   string
}

func (a *author) attempt() attempt {
	at, mode := a.pick(branches...), policy.Mode(a.IntN(3))
	if a.often(50) {
		at = "root"
		if mode == policy.Replace && a.often(80) {
			mode = policy.Modify // else little would grow
		}
	}
	return attempt{ident.New("acme", "policy", at), mode, a.write(mode)}
}

func (w *world) try(a attempt) error {
	_, err := w.LoadPolicy(ctx, core.Operator(), a.policy, a.mode, []byte(a.text))
	return err
}

// stored are all rows but the records of loads, by key.
func (w *world) stored() map[string]row.Row {
	w.t.Helper()
	rows := map[string]row.Row{}
	must(w.t, w.store.Load(context.Background(), func(r row.Row) error {
		switch r := r.(type) {
		case row.Role:
			rows["role "+string(r.ID)] = r
		case row.Resource:
			rows["resource "+string(r.ID)] = r
		case row.Membership:
			rows[fmt.Sprint("membership ", r.Role, " ", r.Member, " ", r.Ownership)] = r
		case row.Permission:
			rows[fmt.Sprint("permission ", r.Resource, " ", r.Role, " ", r.Privilege)] = r
		case row.Annotation:
			rows[fmt.Sprint("annotation ", r.Resource, " ", r.Name)] = r
		case row.Restriction:
			rows["restriction "+string(r.Role)] = r
		case row.APIKey:
			r.Sealed = nil
			rows["key "+string(r.Role)] = r
		case row.Secret:
			r.Sealed = nil
			rows[fmt.Sprint("secret ", r.Resource, " ", r.Version)] = r
		}
		return nil
	}))
	return rows
}
