package policy

import (
	"slices"
	"strings"
)

// Problem is something wrong with an annotation.
type Problem struct {
	Annotation string
	Message    string // what is wrong
	Advice     string // how to mend it
}

// checkAnnotations looks at the resources whose annotations about rotation the document
// gives, as they will be with those from elsewhere.
func (p *planner) checkAnnotations(r *Resolved) error {
	if p.in.Check == nil {
		return nil
	}
	for _, rec := range r.Records {
		x := p.g.Resource(rec.ID)
		if x == nil || !slices.ContainsFunc(rec.Annotations, func(a Annotation) bool { return strings.HasPrefix(a.Name, "rotation/") }) {
			continue
		}
		annotations := make(map[string]string, len(x.Annotations))
		for _, a := range x.Annotations {
			annotations[a.Name] = a.Value
		}
		if problems := p.in.Check(rec.ID.Kind(), annotations); len(problems) > 0 {
			first := problems[0]
			return refuse(ErrMeaning, rec.Position, first.Advice,
				"Annotation '"+first.Annotation+"' of "+rec.ID.Kind()+" '"+rec.ID.Identifier()+"' cannot be used: "+first.Message)
		}
	}
	return nil
}
