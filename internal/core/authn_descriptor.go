package core

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"rekey/internal/policy"
	"rekey/internal/rbac"
)

// AuthnDescriptor says by which authenticator a workload logs in, and what it has to
// prove there.
type AuthnDescriptor struct {
	Type    string      `json:"type"`                 // see workloadAuthns
	Service string      `json:"service_id,omitempty"` // "" where the type has none
	Data    Annotations `json:"data,omitempty"`       // claims and the like, by name
}

// apiKeyType is the type of those who log in with an API key.
const apiKeyType = "api_key"

// workloadAuthn is a type of authenticator that workloads log in with.
type workloadAuthn struct {
	name    string
	suffix  string // as annotations and ids have it, after authn-
	single  bool   // there is one in an account: it has no service id
	literal bool   // names of data are those of annotations; else _ stands for -
}

var workloadAuthns = []workloadAuthn{
	{name: "jwt", suffix: "jwt", literal: true},
	{name: "aws", suffix: "iam"},
	{name: "azure", suffix: "azure"},
	{name: "gcp", suffix: "gcp", single: true},
	{name: "k8s", suffix: "k8s"},
	{name: "certificate", suffix: "cert"},
}

func workloadAuthnOf(matches func(*workloadAuthn) bool) *workloadAuthn {
	for i := range workloadAuthns {
		if matches(&workloadAuthns[i]) {
			return &workloadAuthns[i]
		}
	}
	return nil
}

// Annotations in which a workload keeps what is no restriction of an authenticator.
const (
	workloadPrefix    = "workload/"
	workloadType      = workloadPrefix + "type"
	workloadSource    = workloadPrefix + "authentication_source"
	workloadBare      = workloadPrefix + "authn/" // and type and service, of a descriptor without data
	otherWorkloadType = "other"
)

// canonical is a type however clients write it: authn-jwt is jwt, authn_api_key api_key.
func canonical(name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "authn-"), "authn_")
	if name == "api-key" {
		return apiKeyType
	}
	if t := workloadAuthnOf(func(t *workloadAuthn) bool { return t.suffix == name }); t != nil {
		return t.name
	}
	return name
}

var (
	serviceForm  = regexp.MustCompile(`\A[A-Za-z0-9._:-]{1,60}\z`)
	dataNameForm = regexp.MustCompile(`\A[^\s<>'\x00]+\z`)
)

// descriptors checks authn descriptors and returns them with canonical types.
func (f *flaws) descriptors(asked []AuthnDescriptor) []AuthnDescriptor {
	if len(asked) == 0 {
		f.add("Authn descriptors can't be blank")
	}
	list := slices.Clone(asked)
	seen := map[[2]string]bool{}
	for i := range list {
		d := &list[i]
		d.Type = canonical(d.Type)
		t := workloadAuthnOf(func(t *workloadAuthn) bool { return t.name == d.Type })
		switch {
		case d.Type == "":
			f.add("Authn descriptor type can't be blank")
		case t == nil && d.Type != apiKeyType:
			f.add("'%s' is not a valid authn descriptor type", d.Type)
		case t == nil && len(d.Data) > 0:
			f.add("Authn descriptor data cannot be specified for %s", d.Type)
		case t == nil || t.single:
			if d.Service != "" {
				f.add("Authn descriptor service_id cannot be specified for %s", d.Type)
			}
		case !serviceForm.MatchString(d.Service):
			f.add("Authn descriptor service_id Wrong service '%s'", d.Service)
		}
		if key := [2]string{d.Type, d.Service}; seen[key] {
			f.add("Authn descriptor %s is given twice", strings.TrimSuffix(d.Type+" "+d.Service, " "))
		} else {
			seen[key] = true
		}
		for _, a := range d.Data {
			if !dataNameForm.MatchString(a.Name) {
				f.add("Authn descriptor data Wrong name '%s'", a.Name)
			}
			f.annotationText("authn descriptor data", "value", a.Value)
		}
	}
	return list
}

// prefix is what the annotations of a descriptor begin with.
func (t *workloadAuthn) prefix(service string) string {
	if t.single {
		return "authn-" + t.suffix + "/"
	}
	return "authn-" + t.suffix + "/" + service + "/"
}

// asAnnotations is what a host with these descriptors has for them.
func asAnnotations(list []AuthnDescriptor) Annotations {
	key := Annotation{Name: policy.APIKeyAnnotation, Value: "false"}
	var all Annotations
	for _, d := range list {
		t := workloadAuthnOf(func(t *workloadAuthn) bool { return t.name == d.Type })
		switch {
		case t == nil:
			key.Value = "true"
		case len(d.Data) == 0:
			all = append(all, Annotation{Name: strings.TrimSuffix(workloadBare+d.Type+"/"+d.Service, "/"), Value: "true"})
		}
		for _, a := range d.Data {
			if !t.literal {
				a.Name = strings.ReplaceAll(a.Name, "_", "-")
			}
			all = append(all, Annotation{Name: t.prefix(d.Service) + a.Name, Value: a.Value})
		}
	}
	return append(all, key)
}

// described tells which descriptor an annotation belongs to, and which part of its data
// it is, if any; ok is false if it belongs to none.
func described(name string) (d AuthnDescriptor, data string, ok bool) {
	if bare, is := strings.CutPrefix(name, workloadBare); is {
		d.Type, d.Service, _ = strings.Cut(bare, "/")
		return d, "", true
	}
	kind, rest, _ := strings.Cut(name, "/")
	suffix, is := strings.CutPrefix(kind, "authn-")
	t := workloadAuthnOf(func(t *workloadAuthn) bool { return t.suffix == suffix })
	if !is || t == nil || rest == "" {
		return d, "", false
	}
	d.Type, data = t.name, rest
	if !t.single {
		if d.Service, data, ok = strings.Cut(rest, "/"); !ok || data == "" {
			return d, "", false
		}
	}
	if !t.literal {
		data = strings.ReplaceAll(data, "-", "_")
	}
	return d, data, true
}

// ofDescriptors tells whether an annotation is there for a descriptor.
func ofDescriptors(name string) bool {
	_, _, ok := described(name)
	return ok || name == policy.APIKeyAnnotation
}

// descriptorsOf reads the descriptors of a host from its annotations, by type and
// service.
func (c *Core) descriptorsOf(x *rbac.Resource) []AuthnDescriptor {
	var list []AuthnDescriptor
	if x.Role != nil && policy.WantsKey(x.Role, c.config.APIKeyDefault) {
		list = append(list, AuthnDescriptor{Type: apiKeyType})
	}
	for _, a := range x.Annotations { // in the order of their names
		d, data, ok := described(a.Name)
		if !ok {
			continue
		}
		i := slices.IndexFunc(list, func(one AuthnDescriptor) bool { return one.Type == d.Type && one.Service == d.Service })
		if i < 0 {
			i = len(list)
			list = append(list, d)
		}
		if data != "" {
			list[i].Data = append(list[i].Data, Annotation{Name: data, Value: a.Value})
		}
	}
	slices.SortFunc(list, func(a, b AuthnDescriptor) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Service, b.Service))
	})
	return list
}
