package policy

import (
	"fmt"
	"strings"

	"rekey/internal/ident"
)

// path is an entity's id in its namespace: the id of the policy in whose body it
// stands. A blank id is the namespace itself; one that begins with '/' stays.
func (r *resolver) path(e *entity) (string, error) {
	if p := r.paths[e.index]; p != "" {
		return p, nil
	}
	if e.account != "" && e.account != r.scope.Account {
		return "", r.refuse(e, fmt.Sprintf("Remove the 'account' attribute: this policy is of account '%s'.", r.scope.Account),
			"The account '%s' is not the one that the policy is loaded into", e.account)
	}
	namespace := r.namespace
	if e.scope != nil {
		var err error
		if namespace, err = r.path(e.scope); err != nil {
			return "", err
		}
	}
	p := e.id
	switch blank := strings.TrimSpace(p) == ""; {
	case blank && namespace == "":
		return "", r.refuse(e, "", "%s has a blank id", e.typ.word())
	case blank:
		p = namespace
	case p[0] != '/' && namespace != "":
		p = namespace + "/" + p
	}
	if len(p) > MaxIdentifier {
		return "", r.refuse(e, "", "The id '%s' is longer than %d bytes", clip(p), MaxIdentifier)
	}
	r.paths[e.index] = p
	return p, r.spend(e, len(p))
}

// inside is the id of an entity that must lie in the loaded policy: a declared
// record, a granted role, a permitted resource, a deleted record. In it, '..' has
// no meaning and a leading '/' is refused. This is what confines a delegated
// branch to itself.
func (r *resolver) inside(e *entity) (ident.ID, error) {
	id, err := r.literal(e)
	if err == nil && strings.HasPrefix(id.Identifier(), "/") {
		return "", r.refuse(e, "Only members, permitted roles and owners may lie outside the loaded policy.",
			"Illegal absolute id: %s", id.Identifier())
	}
	return id, err
}

// literal is the id as it stands in its namespace.
func (r *resolver) literal(e *entity) (ident.ID, error) {
	if id := r.literals[e.index]; id != "" {
		return id, nil
	}
	p, err := r.path(e)
	if err != nil {
		return "", err
	}
	id, err := r.full(e, p)
	r.literals[e.index] = id
	return id, err
}

// anywhere is the id of an entity that may lie anywhere in the account: an owner, a
// member, a permitted role. A leading '/' is the account, '..' the parent.
func (r *resolver) anywhere(e *entity) (ident.ID, error) {
	if id := r.anywheres[e.index]; id != "" {
		return id, nil
	}
	p, err := r.path(e)
	if err != nil {
		return "", err
	}
	p, ok := climb(p)
	if !ok {
		return "", r.relativeError(e, p)
	}
	id, err := r.full(e, p)
	r.anywheres[e.index] = id
	return id, err
}

func (r *resolver) relativeError(e *entity, p string) error {
	return r.refuse(e, "Each '..' leaves one branch, and there is none left to leave.", "Invalid relative reference: %s", p)
}

// climb strips one leading slash, takes each '..' with its left neighbour away, and
// drops empty trailing segments. If that leaves nothing or goes above the top, ok
// is false and the path is the one without the slash.
func climb(path string) (string, bool) {
	path = strings.TrimPrefix(path, "/")
	if !strings.Contains(path, "..") && !strings.HasSuffix(path, "/") {
		return path, path != ""
	}
	var kept []string
	for segment := range strings.SplitSeq(strings.TrimRight(path, "/"), "/") {
		if segment != ".." {
			kept = append(kept, segment)
			continue
		}
		if len(kept) == 0 {
			return path, false
		}
		kept = kept[:len(kept)-1]
	}
	if joined := strings.TrimRight(strings.Join(kept, "/"), "/"); joined != "" {
		return joined, true
	}
	return path, false
}

// full puts account, kind and identifier together; a user's identifier is written
// name@branch-with-dashes.
func (r *resolver) full(e *entity, p string) (ident.ID, error) {
	kind := e.typ.kind
	if kind == "" {
		kind = e.kind
	}
	if kind == "" {
		return "", r.refuse(e, "Write the type before the id, such as !user, !group or !host; !role and !resource need a 'kind'.",
			" '%s' not found in account '%s'", p, r.scope.Account)
	}
	if kind == "user" && e.typ != typeRole {
		branch, name, nested := cutLast(p)
		if nested {
			for segment := range strings.SplitSeq(p, "/") {
				if segment == ".." {
					return "", r.relativeError(e, p)
				}
			}
			p = name + "@" + strings.ReplaceAll(branch, "/", "-")
		} else if p == ".." {
			return "", r.relativeError(e, p)
		}
	}
	id := ident.New(r.scope.Account, kind, p)
	return id, r.spend(e, len(id))
}

func cutLast(p string) (before, after string, found bool) {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return "", p, false
	}
	return p[:i], p[i+1:], true
}

// word is how messages write a type in lower case.
func (t *recordType) word() string {
	if t.kind != "" {
		return t.kind
	}
	return t.tag
}
