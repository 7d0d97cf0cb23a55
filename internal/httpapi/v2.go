package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"rekey/internal/core"
	"rekey/internal/fault"
)

// The second version of the protocol is asked for in the Accept header, answers in
// that very type, and takes JSON objects whatever the content type says.

// v2StableType is the type that clients ask for where the second version is no longer
// called beta.
const v2StableType = "application/x.secretsmgr.v2+json"

var typeV2Stable = []string{v2StableType}

// v2 lets an action through to clients that ask for the second version.
func v2(action func(*api, *exchange) error) func(*api, *exchange) error {
	return versioned(action, v2Type)
}

// v2Stable lets those through as well that do not call it beta.
func v2Stable(action func(*api, *exchange) error) func(*api, *exchange) error {
	return versioned(action, v2Type, v2StableType)
}

func versioned(action func(*api, *exchange) error, types ...string) func(*api, *exchange) error {
	return func(a *api, e *exchange) error {
		asked := header(e.r, "Accept")
		if !slices.ContainsFunc(types, func(t string) bool { return strings.Contains(asked, t) }) {
			body := append([]byte(nil), `{"code":"400","message":`...)
			body = appendString(body, `CONJ00194W The api belongs to v2 APIs but it missing the version "`+types[0]+`" in the Accept header`)
			e.failed(failure{status: http.StatusBadRequest, v2: true, body: append(body, '}')})
			return nil
		}
		e.accept.v2 = slices.Contains(types, asked)
		e.caller.Path = e.r.URL.Path
		return action(a, e)
	}
}

// v2Errors is the content type of errors of the second version.
func (e *exchange) v2Errors() []string {
	if header(e.r, "Accept") == v2StableType {
		return typeV2Stable
	}
	return typeV2
}

// answerV2 answers in the type that was asked for.
func (e *exchange) answerV2(status int, body []byte) error {
	return e.answer(status, []string{header(e.r, "Accept")}, body)
}

// confideV2 does so with what may have secrets in it.
func (e *exchange) confideV2(status int, body []byte) error {
	return e.confide(status, []string{header(e.r, "Accept")}, body)
}

// members are those of a JSON object in a body.
type members map[string]any

// object reads a body that must be a JSON object and not an empty one.
func (e *exchange) object() (members, error) {
	if err := e.query.only(); err != nil {
		return nil, err
	}
	body, err := e.body()
	if err != nil {
		return nil, err
	}
	invalid := func(why string) error { return fault.New(fault.BadRequest, "Invalid JSON body: %s", why) }
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, invalid("unexpected token at ''")
	}
	if !utf8.Valid(body) {
		return nil, invalid("it is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, invalid(err.Error())
	}
	if decoder.More() {
		return nil, invalid("there is something after its end")
	}
	switch v := value.(type) {
	case map[string]any:
		if len(v) > 0 {
			return v, nil
		}
	case []any:
		if len(v) > 0 {
			return nil, invalid("it must be an object")
		}
	default:
		return nil, invalid("it must be an object")
	}
	return nil, fault.New(fault.BadRequest, "Empty request body")
}

// require refuses an object in which a member is missing or blank.
func (m members) require(names ...string) error {
	missing := slices.DeleteFunc(names, func(name string) bool {
		text, isText := m[name].(string)
		return m[name] != nil && (!isText || strings.TrimSpace(text) != "")
	})
	if len(missing) > 0 {
		return fault.New(fault.Invalid, "CONJ00190W Missing required parameter: %s", strings.Join(missing, ", "))
	}
	return nil
}

func (m members) names() []string { return slices.Sorted(maps.Keys(m)) }

// only refuses an object with other members.
func (m members) only(names ...string) error {
	return unexpected(m.names(), names)
}

// only refuses a query with other parameters.
func (q query) only(names ...string) error {
	sent := make([]string, len(q))
	for i, p := range q {
		sent[i] = p.name
	}
	return unexpected(sent, names)
}

func unexpected(sent, known []string) error {
	var others []string
	for _, name := range sent {
		if !slices.Contains(known, name) {
			others = append(others, name)
		}
	}
	if others != nil {
		return fault.New(fault.Invalid, "Unexpected parameters: %s", strings.Join(others, ", "))
	}
	return nil
}

func mustBe(name, kind string) error {
	return fault.New(fault.Invalid, "CONJ00192W The '%s' parameter must be of 'type=%s'", name, kind)
}

// text is a member that must be a string; "" if it is absent or null.
func (m members) text(name string) (string, error) {
	text, ok := m[name].(string)
	if m[name] != nil && !ok {
		return "", mustBe(name, "string")
	}
	return text, nil
}

// object is a member that must be an object; nil if it is absent or null.
func (m members) object(name string) (members, error) {
	object, ok := m[name].(map[string]any)
	if m[name] != nil && !ok {
		return nil, mustBe(name, "object")
	}
	return object, nil
}

// list is a member that must be an array; nil if it is absent or null.
func (m members) list(name string) ([]any, error) {
	list, ok := m[name].([]any)
	if m[name] != nil && !ok {
		return nil, mustBe(name, "array")
	}
	return list, nil
}

// subject reads {"kind":...,"id":...}; what is absent is empty.
func (m members) subject() (s core.Subject, err error) {
	if err = m.only("kind", "id"); err != nil {
		return s, err
	}
	if s.Kind, err = m.text("kind"); err == nil {
		s.ID, err = m.text("id")
	}
	return s, err
}

// owner is a subject under the name owner; nil if there is none.
func (m members) owner() (*core.Subject, error) {
	object, err := m.object("owner")
	if err != nil || object == nil {
		return nil, err
	}
	s, err := object.subject()
	return &s, err
}

// annotations are an object of strings, in the order of their names.
func (m members) annotations() (core.Annotations, error) {
	object, err := m.object("annotations")
	if err != nil {
		return nil, err
	}
	var list core.Annotations
	for _, name := range object.names() {
		text, ok := object[name].(string)
		if !ok {
			return nil, fault.New(fault.Invalid, "%s should have string value but got %s", core.Humanised(name), shownJSON(object[name]))
		}
		list = append(list, core.Annotation{Name: name, Value: text})
	}
	return list, nil
}

func shownJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%T", value)
	}
	return string(text)
}

func appendSubject(to []byte, s core.Subject) []byte {
	to = append(to, `{"kind":`...)
	to = appendString(to, s.Kind)
	to = append(to, `,"id":`...)
	to = appendString(to, s.ID)
	return append(to, '}')
}

func appendAnnotations(to []byte, list core.Annotations) []byte {
	to = append(to, '{')
	for i, a := range list {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendString(to, a.Name)
		to = append(to, ':')
		to = appendString(to, a.Value)
	}
	return append(to, '}')
}
