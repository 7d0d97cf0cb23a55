package policy

import (
	"strings"

	"rekey/internal/ident"
	"rekey/internal/rbac"
)

// Where records stand in the text of an effective policy, and under which ids.

// enclosing is the nearest policy in which an identifier can be written; "" is root.
func (e *Effective) enclosing(identifier string) string {
	for i := strings.LastIndexByte(identifier, '/'); i > 0; i = strings.LastIndexByte(identifier[:i], '/') {
		if identifier[:i] != "root" && writable(identifier[i+1:]) && e.g.Resource(e.policyID(identifier[:i])) != nil {
			return identifier[:i]
		}
	}
	return ""
}

// writable tells whether an id means itself in its namespace.
func writable(id string) bool { return strings.TrimSpace(id) != "" && id[0] != '/' }

func dashes(identifier string) string { return strings.ReplaceAll(identifier, "/", "-") }

// home is the policy that a user belongs to, and its id there: its owner if that fits
// the id, else one whose name does; "" is the top, where ids are literal.
func (e *Effective) home(x *rbac.Resource) (policy, name string) {
	id := x.ID.Identifier()
	if !strings.Contains(id, "@") || x.Owner == e.policyID("root") || x.Owner == ident.New(e.account, "user", "admin") {
		return "", id
	}
	if policy, name, ok := ownersHome(x); ok {
		return policy, name
	}
	for i := 0; i < len(id); i++ {
		if id[i] != '@' {
			continue
		}
		for _, policy := range e.dashed[id[i+1:]] {
			if policy != "root" && homes(policy, id[:i]) {
				return policy, id[:i]
			}
		}
	}
	return "", id
}

// ownersHome is the home of a user that belongs to the policy that owns it.
func ownersHome(x *rbac.Resource) (policy, name string, ok bool) {
	policy = x.Owner.Identifier()
	if x.Owner.Kind() != "policy" || policy == "root" {
		return "", "", false
	}
	name, ok = strings.CutSuffix(x.ID.Identifier(), "@"+dashes(policy))
	return policy, name, ok && homes(policy, name)
}

// homes tells whether a user can be written as a name in a policy.
func homes(policy, name string) bool {
	path, ok := climb(policy + "/" + name)
	return ok && path == policy+"/"+name && writable(name) && policy[0] != '/'
}

// settle gives an id its place: in the nearest policy of the text in which it can be
// written, else at the top.
func (e *Effective) settle(id ident.ID) bool {
	name := id.Identifier()
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
		if b := e.bodies[name[:i]]; b != nil && writable(name[i+1:]) {
			e.places[id] = place{b, name[i+1:]}
			return true
		}
	}
	if rest, ok := beneath(e.parent, name); ok {
		e.places[id] = place{e.top, rest}
		return true
	}
	e.leaveOut("%s: its id cannot be written", id)
	return false
}

// beneath is an identifier as it is written in a namespace, if it can be.
func beneath(namespace, identifier string) (string, bool) {
	rest, ok := identifier, true
	if namespace != "" {
		rest, ok = strings.CutPrefix(identifier, namespace+"/")
	}
	return rest, ok && writable(rest)
}
