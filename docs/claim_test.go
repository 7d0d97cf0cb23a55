package docs_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// claim looks up what a claim speaks of and returns it with what it should be.
func (w *world) claim(claim string, got answer) (is, want string) {
	for prefix, value := range map[string]func() string{
		"advice ":                      func() string { return got.Error.Advice },
		"warning ":                     func() string { return strings.Join(got.Warnings, "\n") },
		"would create ":                func() string { return short(got.Report.ids()) },
		"would change ":                func() string { return short(got.Updated.After.ids()) },
		"would delete ":                func() string { return short(got.Deleted.ids()) },
		"would destroy the values of ": func() string { return short(got.Values.Variables) },
	} {
		if want, ok := strings.CutPrefix(claim, prefix); ok {
			return value(), want
		}
	}
	yes := func(b bool) string { return fmt.Sprint(b) }
	words := strings.Fields(claim)
	if len(words) == 4 && (words[1] == "can" || words[1] == "cannot") {
		var roles []string
		if !w.get(words[3]+"?permitted_roles&privilege="+words[2], &roles) {
			return "there is no " + words[3], ""
		}
		return yes(slices.Contains(roles, "acme:"+words[0])), yes(words[1] == "can")
	}
	for _, known := range []struct {
		phrase string
		value  func(id, rest string) (is, want string)
	}{
		{" is a member of ", func(id, rest string) (string, string) { return yes(w.member(id, rest)), "true" }},
		{" is not a member of ", func(id, rest string) (string, string) { return yes(w.member(id, rest)), "false" }},
		{" exists", func(id, _ string) (string, string) { return yes(w.resource(id) != nil), "true" }},
		{" does not exist", func(id, _ string) (string, string) { return yes(w.resource(id) != nil), "false" }},
		{" is owned by ", func(id, rest string) (string, string) { return w.known(id).Owner, "acme:" + rest }},
		{" is restricted to ", func(id, rest string) (string, string) { return strings.Join(w.known(id).Networks, ", "), rest }},
		{" has no annotation ", func(id, rest string) (string, string) {
			_, has := w.known(id).annotation(rest)
			return yes(has), "false"
		}},
		{" has annotation ", func(id, rest string) (string, string) {
			name, want, _ := strings.Cut(rest, " = ")
			value, _ := w.known(id).annotation(name)
			return value, want
		}},
		{" version", func(id, _ string) (string, string) {
			id, want, _ := strings.Cut(id, " has ")
			return fmt.Sprint(len(w.known(id).Secrets)), want
		}},
	} {
		if id, rest, ok := strings.Cut(claim, known.phrase); ok {
			return known.value(id, rest)
		}
	}
	return "no claim that can be checked", ""
}

// resource is what the server shows of a resource.
type resource struct {
	Owner       string
	Networks    []string `json:"restricted_to"`
	Secrets     []any
	Annotations []struct{ Name, Value string }
}

func (r *resource) annotation(name string) (string, bool) {
	for _, a := range r.Annotations {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// get reads /resources/acme/ID; false if there is no such thing.
func (w *world) get(id string, to any) bool {
	got := w.call("GET", "/resources/acme/"+slashed(id), "user:admin", "")
	switch got.Code {
	case 200:
		if err := json.Unmarshal(got.Body.Bytes(), to); err != nil {
			w.Fatalf("%s: %v", w.at, err)
		}
		return true
	case 404:
		return false
	}
	w.Fatalf("%s: %s: %d %s", w.at, id, got.Code, got.Body)
	return false
}

// resource is nil if there is none.
func (w *world) resource(id string) *resource {
	var r resource
	if !w.get(id, &r) {
		return nil
	}
	return &r
}

// known is a resource that must be there.
func (w *world) known(id string) *resource {
	r := w.resource(id)
	if r == nil {
		w.Errorf("%s: there is no %s", w.at, id)
		return &resource{}
	}
	return r
}

func (w *world) member(member, role string) bool {
	got := w.call("GET", "/roles/acme/"+slashed(role)+"?members", "user:admin", "")
	var members []struct{ Member string }
	if err := json.Unmarshal(got.Body.Bytes(), &members); err != nil {
		w.Errorf("%s: members of %s: %d %s", w.at, role, got.Code, got.Body)
	}
	for _, m := range members {
		if m.Member == "acme:"+member {
			return true
		}
	}
	return false
}
