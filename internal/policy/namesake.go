package policy

import "strings"

// The ids of users do not tell slashes from dashes in the names of policies: x@a-b is
// the user x of a/b as well as of a-b. So a reference that stands within the loaded
// policy by its words may mean a user of another one, who must be out of its reach:
// else whoever may load a-b could take over the users of a/b, and the other way round.

// confined refuses a reference to a user who belongs to a policy outside of the loaded
// one. Whose a user is shows in the policy that owns it or else in the one that has
// declared it; if that is the root policy, nothing is known.
func (p *planner) confined(ref Reference) error {
	inside := p.in.Policy.Identifier()
	if ref.ID.Kind() != "user" || inside == "root" {
		return nil
	}
	declared, owned := "", ""
	if x := p.g.Resource(ref.ID); x != nil {
		declared = x.Policy.Identifier()
		if policy, _, ok := ownersHome(x); ok {
			owned = policy
		}
	} else if r := p.g.Role(ref.ID); r != nil {
		declared = r.Policy.Identifier()
	}
	switch {
	case within(inside, declared):
		return nil
	case owned != "" && within(inside, owned):
		return nil
	case owned == "" && (declared == "" || declared == "root" || within(declared, inside)):
		return nil
	}
	return refuse(ErrMeaning, ref.Position, "Rename one of the policies: users of 'a/b' and of 'a-b' have the same ids.",
		"User '"+ref.ID.Identifier()+"' belongs to another policy, whose name differs in slashes and dashes only")
}

// within tells whether a policy is another one or beneath it, by their identifiers.
func within(outer, inner string) bool {
	return inner == outer || strings.HasPrefix(inner, outer+"/")
}
