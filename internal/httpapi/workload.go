package httpapi

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
)

func (a *api) createWorkload(e *exchange) error {
	m, err := e.object()
	if err != nil {
		return err
	}
	asked, err := m.workload()
	if err != nil {
		return err
	}
	made, err := a.core.CreateWorkload(e.r.Context(), e.caller, e.ownAccount(), asked)
	if err != nil {
		return err
	}
	return e.confideV2(http.StatusCreated, appendWorkload(nil, made))
}

func (m members) workload() (w core.NewWorkload, err error) {
	if err = m.require("name", "branch", "authn_descriptors"); err != nil {
		return w, err
	}
	if err = m.only("name", "branch", "type", "owner", "annotations", "authn_descriptors", "restricted_to"); err != nil {
		return w, err
	}
	for name, to := range map[string]*string{"name": &w.Name, "branch": &w.Parent, "type": &w.Type} {
		if *to, err = m.text(name); err != nil {
			return w, err
		}
	}
	if w.Owner, err = m.owner(); err != nil {
		return w, err
	}
	if w.Annotations, err = m.annotations(); err != nil {
		return w, err
	}
	if w.Descriptors, err = m.authnDescriptors(); err != nil {
		return w, err
	}
	w.Networks, err = m.texts("restricted_to")
	return w, err
}

// texts is a member that must be an array of strings; nil if it is absent or null.
func (m members) texts(name string) ([]string, error) {
	list, err := m.list(name)
	if err != nil || list == nil {
		return nil, err
	}
	texts := make([]string, len(list))
	for i, each := range list {
		text, ok := each.(string)
		if !ok {
			return nil, mustBe(name, "array of strings")
		}
		texts[i] = text
	}
	return texts, nil
}

// authnDescriptors are a list of {"type":...,"service_id":...,"data":{...}}, never nil
// if there is one.
func (m members) authnDescriptors() ([]core.AuthnDescriptor, error) {
	list, err := m.list("authn_descriptors")
	if err != nil || list == nil {
		return nil, err
	}
	descriptors := make([]core.AuthnDescriptor, len(list))
	for i, each := range list {
		object, ok := each.(map[string]any)
		if !ok {
			return nil, mustBe("authn_descriptors", "array of objects")
		}
		one, d := members(object), &descriptors[i]
		if err = one.only("type", "service_id", "data"); err != nil {
			return nil, err
		}
		if d.Type, err = one.text("type"); err != nil {
			return nil, err
		}
		if d.Service, err = one.text("service_id"); err != nil {
			return nil, err
		}
		data, err := one.object("data")
		if err != nil {
			return nil, err
		}
		if d.Data, err = data.claims(); err != nil {
			return nil, err
		}
	}
	return descriptors, nil
}

// claims are the data of a descriptor: scalars, or lists of texts, which are joined by
// commas. Older clients put them into an object of their own.
func (m members) claims() (core.Annotations, error) {
	if inner, ok := m["claims"].(map[string]any); ok && len(m) == 1 {
		m = inner
	}
	var list core.Annotations
	for _, name := range m.names() {
		text, ok := scalarText(m[name])
		if !ok {
			texts, err := m.texts(name)
			if err != nil || len(texts) == 0 {
				return nil, mustBe(name, "string or array of strings")
			}
			for _, each := range texts {
				if each == "" || strings.Contains(each, ",") {
					return nil, fault.New(fault.Invalid, "The elements of '%s' must not be empty or have commas", name)
				}
			}
			text = strings.Join(texts, ",")
		}
		list = append(list, core.Annotation{Name: name, Value: text})
	}
	return list, nil
}

func (a *api) showWorkload(e *exchange) error {
	if err := e.query.only(); err != nil {
		return err
	}
	found, err := a.core.Workload(e.r.Context(), e.caller, e.ownAccount(), e.path[id])
	if err != nil {
		return err
	}
	return e.answerV2(http.StatusOK, appendWorkload(nil, found))
}

func (a *api) updateWorkload(e *exchange) error {
	m, err := e.object()
	if err != nil {
		return err
	}
	asked, err := m.workloadUpdate()
	if err != nil {
		return err
	}
	updated, err := a.core.UpdateWorkload(e.r.Context(), e.caller, e.ownAccount(), e.path[id], asked)
	if err != nil {
		return err
	}
	return e.confideV2(http.StatusOK, appendWorkload(nil, updated))
}

func (m members) workloadUpdate() (u core.WorkloadUpdate, err error) {
	if err = m.only("annotations", "authn_descriptors", "restricted_to", "authentication_source"); err != nil {
		return u, err
	}
	if u.Annotations, err = m.annotations(); err != nil {
		return u, err
	}
	if u.Descriptors, err = m.authnDescriptors(); err != nil {
		return u, err
	}
	if _, sent := m["restricted_to"]; sent {
		networks, err := m.texts("restricted_to")
		if err != nil || networks == nil {
			return u, mustBe("restricted_to", "array of strings")
		}
		u.Networks = &networks
	}
	if m["authentication_source"] != nil {
		source, err := m.text("authentication_source")
		if err != nil {
			return u, err
		}
		u.Source = &source
	}
	return u, nil
}

func (a *api) updateAuthnDescriptor(e *exchange) error {
	m, err := e.object()
	if err != nil {
		return err
	}
	asked := core.AuthnDescriptor{Type: e.path[kind], Service: e.path[service]}
	if asked.Data, err = m.claims(); err != nil {
		return err
	}
	updated, err := a.core.UpdateAuthnDescriptor(e.r.Context(), e.caller, e.ownAccount(), e.path[id], asked)
	if err != nil {
		return err
	}
	body := appendAuthnDescriptor([]byte(`{"authn_descriptor":`), updated)
	return e.answerV2(http.StatusOK, append(body, '}'))
}

func (a *api) deleteWorkload(e *exchange) error {
	if err := e.query.only(); err != nil {
		return err
	}
	if err := a.core.DeleteWorkload(e.r.Context(), e.caller, e.ownAccount(), e.path[id]); err != nil {
		return err
	}
	return e.empty(http.StatusNoContent)
}

// appendWorkload says the API key if there is a new one.
func appendWorkload(to []byte, w core.Workload) []byte {
	to = append(to, `{"name":`...)
	to = appendString(to, w.Name())
	to = append(to, `,"branch":`...)
	to = appendString(to, w.Branch())
	to = append(to, `,"type":`...)
	to = appendString(to, w.Type)
	to = append(to, `,"owner":`...)
	to = appendSubject(to, core.SubjectOf(w.Owner))
	to = append(to, `,"annotations":`...)
	to = appendAnnotations(to, w.Annotations)
	to = append(to, `,"authn_descriptors":`...)
	to = appendList(to, w.Descriptors, appendAuthnDescriptor)
	to = append(to, `,"restricted_to":`...)
	to = appendList(to, w.Networks, func(to []byte, n netip.Prefix) []byte { return appendString(to, n.String()) })
	if w.Source != "" {
		to = append(to, `,"authentication_source":`...)
		to = appendString(to, w.Source)
	}
	to = append(to, `,"created_at":`...)
	to = appendString(to, w.CreatedAt.UTC().Format(time.RFC3339))
	if w.Key.Len() > 0 {
		to = append(to, `,"api_key":`...)
		to = appendString(to, w.Key.Reveal())
	}
	return append(to, '}')
}

// appendAuthnDescriptor writes those names of a certificate that may be several as a
// list.
func appendAuthnDescriptor(to []byte, d core.AuthnDescriptor) []byte {
	to = append(to, `{"type":`...)
	to = appendString(to, d.Type)
	if d.Service != "" {
		to = append(to, `,"service_id":`...)
		to = appendString(to, d.Service)
	}
	if len(d.Data) == 0 {
		return append(to, '}')
	}
	to = append(to, `,"data":{`...)
	for i, a := range d.Data {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendString(to, a.Name), ':')
		if d.Type == "certificate" && strings.HasPrefix(a.Name, "san_") {
			to = appendList(to, strings.Split(a.Value, ","), appendString[string])
		} else {
			to = appendString(to, a.Value)
		}
	}
	return append(to, "}}"...)
}
