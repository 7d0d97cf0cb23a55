package policy

import (
	"iter"
	"strings"

	"rekey/internal/ident"
)

// What one error may spend on its suggestions, however large the account and the text
// are: ids looked up, and words of the text compared.
const (
	mostLookups     = 10_000
	mostComparisons = 4_000
)

// absence is a reference to what is not there.
type absence struct {
	Reference
	role   bool // a role is wanted, not a resource
	inside bool // it has to be in the loaded policy
	taken  bool // it was there, and something else that goes takes it along
}

// suggester looks for the ids that missing ones were meant to be. It does not search
// the account: it asks for each id that a slip of the hand could have turned into the
// missing one, and an id that the caller does not see is as good as none. So neither
// an answer nor what it costs depends on what the caller does not see.
type suggester struct {
	p        *planner
	declared map[string][]ident.ID // of the document, by kind, as written

	lookups, comparisons int
}

// suggester is one for the graph as it was before the load.
func (p *planner) suggester(r *Resolved) *suggester {
	p.tx.Rollback()
	s := &suggester{p: p, declared: map[string][]ident.ID{}}
	for _, rec := range r.Records {
		s.declared[rec.ID.Kind()] = append(s.declared[rec.ID.Kind()], rec.ID)
	}
	return s
}

// suggest shows the id that may have been meant; empty if none is near.
func (s *suggester) suggest(a absence) string {
	if a.taken {
		return ""
	}
	for _, search := range [...]func(absence) ident.ID{s.misspelt, s.declaredNear, s.misplaced, s.otherKind} {
		if id := search(a); id != "" {
			return "'" + string(id) + "'" + s.spelling(id)
		}
	}
	return ""
}

// spelling tells how an id out of the loaded policy is written in it.
func (s *suggester) spelling(id ident.ID) string {
	loaded, identifier := s.p.in.Policy.Identifier(), id.Identifier()
	if loaded == "root" || within(loaded, identifier) || id.Kind() == "user" && strings.Contains(identifier, "@") {
		return ""
	}
	return " (here: /" + identifier + ")"
}

// fits tells whether an id could be written for a missing one: the document declares
// it, or the caller sees it and the load leaves it there.
func (s *suggester) fits(a absence, id ident.ID) bool {
	s.lookups++
	loaded := s.p.in.Policy.Identifier()
	if id == a.ID || a.inside && loaded != "root" && !within(loaded, id.Identifier()) {
		return false
	}
	if a.role && s.p.roles[id] || !a.role && s.p.resources[id] {
		return true
	}
	x := s.p.g.Resource(id)
	switch {
	case x == nil, a.role && x.Role == nil, s.p.in.Visible == nil:
		return false
	case s.p.in.Mode == Replace && (x.Policy == s.p.in.Policy || a.role && x.Role.Policy == s.p.in.Policy):
		return false // it would go
	}
	return s.p.in.Visible(x)
}

// first is the first of some identifiers of one kind that fits.
func (s *suggester) first(a absence, kind string, identifiers iter.Seq[string]) ident.ID {
	for identifier := range identifiers {
		if s.lookups >= mostLookups {
			break
		}
		if id := ident.New(a.ID.Account(), kind, identifier); s.fits(a, id) {
			return id
		}
	}
	return ""
}

// misspelt finds what is one slip away.
func (s *suggester) misspelt(a absence) ident.ID {
	written := a.ID.Identifier()
	return s.first(a, a.ID.Kind(), slips(written, len(written)-len(s.relative(written))))
}

// relative leaves the loaded policy's own name out, where nothing was misspelt.
func (s *suggester) relative(identifier string) string {
	return strings.TrimPrefix(identifier, s.p.in.Policy.Identifier()+"/")
}

// declaredNear finds what the document declares at most two letters away.
func (s *suggester) declaredNear(a absence) (near ident.ID) {
	written, distance := s.relative(a.ID.Identifier()), 3
	for _, id := range s.declared[a.ID.Kind()] {
		if s.comparisons++; s.comparisons > mostComparisons {
			break
		}
		word := s.relative(id.Identifier())
		if d := apart(strings.ToLower(written), strings.ToLower(word)); d < distance && 2*d < len(word) && s.fits(a, id) {
			near, distance = id, d
		}
	}
	return near
}

// misplaced finds the same name in another branch: one of those around, or of those
// that the document declares it in.
func (s *suggester) misplaced(a absence) ident.ID {
	if id := s.first(a, a.ID.Kind(), otherPlaces(a.ID)); id != "" {
		return id
	}
	for _, id := range s.declared[a.ID.Kind()] {
		if s.comparisons++; s.comparisons > mostComparisons {
			break
		}
		if nameOf(id) == nameOf(a.ID) && s.fits(a, id) {
			return id
		}
	}
	return ""
}

// otherKind finds what has the right identifier and another tag.
func (s *suggester) otherKind(a absence) ident.ID {
	for _, kind := range [...]string{"group", "layer", "host", "user", "policy", "host_factory", "variable", "webservice"} {
		if id := ident.New(a.ID.Account(), kind, a.ID.Identifier()); s.fits(a, id) {
			return id
		}
	}
	return ""
}

// nameOf is an id without its branch.
func nameOf(id ident.ID) string {
	identifier := id.Identifier()
	if id.Kind() == "user" {
		name, _, _ := strings.Cut(identifier, "@")
		return name
	}
	return identifier[strings.LastIndexByte(identifier, '/')+1:]
}

// otherPlaces are the identifiers of the same name in the branches around, from the
// inside out, and those without the branches at their front.
func otherPlaces(id ident.ID) iter.Seq[string] {
	return func(yield func(string) bool) {
		identifier, name := id.Identifier(), nameOf(id)
		if id.Kind() == "user" {
			yield(name)
			return
		}
		for rest, ok := identifier, true; ok; {
			if _, rest, ok = strings.Cut(rest, "/"); ok && !yield(rest) {
				return
			}
		}
		branch := strings.TrimSuffix(identifier, "/"+name)
		for i := strings.LastIndexByte(branch, '/'); i >= 0; i = strings.LastIndexByte(branch, '/') {
			if branch = branch[:i]; !yield(branch + "/" + name) {
				return
			}
		}
	}
}

// slips are the words from which one slip of the hand makes the written one: a letter
// too many, too few or wrong, two swapped, dashes for underscores, large letters for
// small ones. It looks at the last bytes of the word from a place on. Digits stay:
// host-7 is no misspelt host-8.
func slips(written string, from int) iter.Seq[string] {
	const (
		longest = 64
		letters = "aeioutnsrhldcmpfgybvkwxqjz-_./@"
	)
	from = max(from, len(written)-longest)
	digit := func(i int) bool { return written[i] >= '0' && written[i] <= '9' }
	return func(yield func(string) bool) {
		for _, other := range [...]string{strings.ToLower(written), strings.ReplaceAll(written, "-", "_"), strings.ReplaceAll(written, "_", "-")} {
			if other != written && !yield(other) {
				return
			}
		}
		if len(written)-from < 3 {
			return // more wrong than right
		}
		for i := from; i+1 < len(written); i++ {
			if !(digit(i) && digit(i+1)) && !yield(written[:i]+written[i+1:i+2]+written[i:i+1]+written[i+2:]) {
				return
			}
		}
		for i := from; i < len(written); i++ {
			if !digit(i) && !yield(written[:i]+written[i+1:]) {
				return
			}
		}
		for i := from; i <= len(written); i++ {
			for _, letter := range letters {
				if !yield(written[:i] + string(letter) + written[i:]) {
					return
				}
				if i < len(written) && !digit(i) && !yield(written[:i]+string(letter)+written[i+1:]) {
					return
				}
			}
		}
	}
}

// apart is the edit distance of two words, 3 if it is more than two or their
// difference is too long to be a slip.
func apart(a, b string) int {
	const far, longest = 3, 40
	if max(len(a)-len(b), len(b)-len(a)) >= far {
		return far
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if max(len(a), len(b)) > longest {
		return far
	}
	return min(far, editDistance(a, b))
}
