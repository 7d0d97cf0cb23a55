package core

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
)

// Subject names a role by its kind and identifier, as clients write owners, members
// and those who hold privileges.
type Subject struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

// in is the role in an account. A leading slash of the identifier does not count.
func (s Subject) in(account string) ident.ID {
	return ident.New(account, s.Kind, strings.TrimPrefix(s.ID, "/"))
}

// SubjectOf is the subject that a role is.
func SubjectOf(id ident.ID) Subject { return Subject{id.Kind(), id.Identifier()} }

// flaws collects what is wrong with a request, in sentences that clients know.
type flaws []string

func (f *flaws) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// err is the fault of kind Invalid, nil if nothing is wrong.
func (f flaws) err() error {
	switch n := len(f); n {
	case 0:
		return nil
	case 1:
		return fault.New(fault.Invalid, "%s", f[0])
	case 2:
		return fault.New(fault.Invalid, "%s and %s", f[0], f[1])
	default:
		return fault.New(fault.Invalid, "%s, and %s", strings.Join(f[:n-1], ", "), f[n-1])
	}
}

// What names and paths may be.
const (
	longestName       = 60
	longestSubject    = 500
	longestPath       = 950
	deepestPath       = 15
	longestAnnotation = 120
)

var (
	nameForm     = regexp.MustCompile(`\A[A-Za-z0-9_-]+\z`)
	pathForm     = regexp.MustCompile(`\A[A-Za-z0-9_/-]+\z`)
	userPathForm = regexp.MustCompile(`\A[A-Za-z0-9_/@-]+\z`)
)

func (f *flaws) name(name string) {
	if !nameForm.MatchString(name) {
		f.add("Name Wrong name '%s'", name)
	}
	if utf8.RuneCountInString(name) > longestName {
		f.add("Name is too long (maximum is %d characters)", longestName)
	}
}

func (f *flaws) branch(path string) {
	if !pathForm.MatchString(path) {
		f.add("Branch Wrong path '%s'", path)
	}
}

// subject checks a role that is meant as an owner, a member or the like.
func (f *flaws) subject(s Subject, meant string, kinds ...string) {
	if s.Kind == "" {
		f.add("Kind can't be blank")
	}
	if !slices.Contains(kinds, s.Kind) {
		f.add("Kind '%s' is not a valid %s kind", s.Kind, meant)
	}
	if s.ID == "" {
		f.add("Id can't be blank")
	}
	form := pathForm
	if s.Kind == "user" {
		form = userPathForm
	}
	if !form.MatchString(s.ID) {
		f.add("Id Wrong path '%s'", s.ID)
	}
	switch n := utf8.RuneCountInString(s.ID); {
	case n == 0:
		f.add("Id is too short (minimum is 1 character)")
	case n > longestSubject:
		f.add("Id is too long (maximum is %d characters)", longestSubject)
	}
}

// fits checks the size of a whole identifier.
func (f *flaws) fits(path string) {
	if strings.Count(strings.TrimPrefix(path, "/"), "/")+1 > deepestPath {
		f.add("The number of identifier nesting exceeds maximum depth of %d", deepestPath)
	}
	if len(path) > longestPath {
		f.add("Identifier exceeds maximum length of %d characters", longestPath)
	}
}

func (f *flaws) annotations(list Annotations) {
	if len(list) > policy.MaxAnnotations {
		f.add("Annotations are too many (maximum is %d)", policy.MaxAnnotations)
		return
	}
	for _, a := range list {
		f.annotationText(a.Name, "key", a.Name)
		f.annotationText(a.Name, "value", a.Value)
	}
}

func (f *flaws) annotationText(name, part, text string) {
	shown := Humanised(name)
	switch n := utf8.RuneCountInString(text); {
	case n == 0:
		f.add("%s annotation %s length cannot exceeded 1", shown, part)
	case n > longestAnnotation:
		f.add("%s annotation %s length cannot exceeded %d", shown, part, longestAnnotation)
	}
	if strings.ContainsAny(text, "<>'\x00") {
		if part == "key" {
			f.add("%s annotation key format error '%s'", shown, name)
		} else {
			f.add("%s annotation value format error", shown)
		}
	}
}

// Humanised is how messages begin with the name of a field.
func Humanised(name string) string {
	name = strings.ReplaceAll(name, "_", " ")
	if name == "" {
		return ""
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
