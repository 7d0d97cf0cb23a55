package policy

import (
	"slices"
	"strings"

	"rekey/internal/ident"
)

// record resolves a declared record, and the body of a policy after it.
func (r *resolver) record(e *entity, parent int, owner Reference) error {
	if e.typ.kind == "" && e.kind == "" {
		return r.refuse(e, "Add it: {kind: team, id: example}.", "The %s '%s' has no kind", e.typ.tag, clip(e.id))
	}
	id, err := r.inside(e)
	if err != nil {
		return err
	}
	record := Record{
		ID: id, Tag: e.typ.tag, Role: e.typ.role, Resource: e.typ.resource,
		RestrictedTo: e.restricted, Position: e.Position,
	}
	index := len(r.out.Records)
	if err := r.declare(e, id, index); err != nil {
		return err
	}
	switch {
	case e.owner != nil:
		if record.Owner, err = r.reference(e.owner, r.anywhere); err != nil {
			return err
		}
	case record.Resource:
		record.Owner = owner
	}
	if record.Annotations, err = r.annotate(e); err != nil {
		return err
	}
	if record.PublicKeys, err = r.publicKeys(e, id); err != nil {
		return err
	}
	if e.typ == typeHostFactory && !e.hasLayers {
		return r.refuse(e, "Name at least one: layers: [ !layer example ].", "Host factory '%s' does not include any layers", id.Identifier())
	}
	if len(e.layers) > 0 {
		if record.Layers, err = r.references(e.layers, r.literal); err != nil {
			return err
		}
	}
	r.out.Records = append(r.out.Records, record)
	r.entities = append(r.entities, e)
	r.parents = append(r.parents, parent)
	return r.statements(e.body, index, Reference{ID: id, Position: e.Position})
}

// declare refuses a second declaration of the same role or resource.
func (r *resolver) declare(e *entity, id ident.ID, index int) error {
	d := r.declared[id]
	twice := d.role && e.typ.role || d.resource && e.typ.resource
	if e.typ.kind == "" {
		key := customID{e.typ, id.Identifier()}
		twice = twice || r.named[key]
		r.named[key] = true
	}
	if twice {
		return r.refuse(e, "Keep one of the declarations.", "%s is declared more than once", describe(e, id))
	}
	if e.typ.role {
		d.role, d.record = true, index
	}
	d.resource = d.resource || e.typ.resource
	r.declared[id] = d
	return nil
}

// annotate resolves paths in annotation values, and adds the attributes that are
// stored as annotations unless one of that name is written.
func (r *resolver) annotate(e *entity) ([]Annotation, error) {
	list := e.annotations
	copied := false
	for i, a := range e.annotations {
		if isAttributeName(a.Name) && !r.warned[a.Name] {
			r.warned[a.Name] = true
			r.out.Warnings = append(r.out.Warnings, warnAnnotation(a.Name))
		}
		if !strings.Contains(a.Value, "..") || !slices.Contains(strings.Split(a.Value, "/"), "..") {
			continue
		}
		base, err := r.path(e)
		if err != nil {
			return nil, err
		}
		if len(a.Value) > MaxIdentifier {
			return nil, r.refuse(e, "", "The path in annotation '%s' is longer than %d bytes", clip(a.Name), MaxIdentifier)
		}
		value, ok := climb(base + "/" + a.Value)
		if !ok {
			return nil, r.relativeError(e, value)
		}
		if !copied {
			list, copied = slices.Clone(e.annotations), true
		}
		list[i].Value = value
		if err := r.spend(e, len(value)); err != nil {
			return nil, err
		}
	}
	add := func(name, value string) {
		if value != "" && !slices.ContainsFunc(e.annotations, func(a Annotation) bool { return a.Name == name }) {
			list = append(slices.Clip(list), Annotation{Name: name, Value: value})
		}
	}
	switch e.typ {
	case typeUser:
		add("conjur/uidnumber", e.number)
	case typeGroup:
		add("conjur/gidnumber", e.number)
	case typeVariable:
		add("conjur/kind", e.kind)
		add("conjur/mime_type", e.mimeType)
	}
	return list, nil
}

// keyComment is what follows algorithm and key in a line.
func keyComment(line string) (comment string, ok bool) {
	_, rest, _ := strings.Cut(line, " ")
	_, comment, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
	comment = strings.TrimLeft(comment, " ")
	return comment, comment != ""
}

// publicKeys splits each line into algorithm, key and comment; the comment names
// the resource.
func (r *resolver) publicKeys(e *entity, user ident.ID) ([]PublicKey, error) {
	var keys []PublicKey
	for _, line := range e.publicKeys {
		value := strings.TrimSpace(line.value)
		comment, ok := keyComment(value)
		if !ok {
			return nil, refuse(ErrMeaning, line.Position, "Write 'algorithm key comment', such as 'ssh-ed25519 AAAA... alice@laptop'.", "Invalid public key format")
		}
		identifier := "user/" + user.Identifier() + "/" + comment
		if len(identifier) > 2*MaxIdentifier {
			return nil, refuse(ErrMeaning, line.Position, "Shorten the comment of the key.", "Invalid public key format")
		}
		id := ident.New(r.scope.Account, "public_key", identifier)
		if err := r.spend(e, len(id)); err != nil {
			return nil, err
		}
		keys = append(keys, PublicKey{Resource: id, Line: value})
	}
	return keys, nil
}
