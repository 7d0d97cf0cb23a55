package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"rekey/internal/fault"
)

// fields are the parameters of a request that takes them from its query and from a
// form or JSON in its body; the body wins. A value is what encoding/json makes of it:
// a form has strings, lists (name[]=value) and objects of strings (name[key]=value).
type fields map[string]any

// fields reads the parameters. A body without a media type is a form; one of any other
// type is ignored.
func (e *exchange) fields() (fields, error) {
	f := fields{}
	if err := f.addForm(e.query); err != nil {
		return nil, err
	}
	body, err := e.body()
	if err != nil || len(body) == 0 {
		return f, err
	}
	contentType, _, _ := strings.Cut(header(e.r, "Content-Type"), ";")
	switch contentType = strings.ToLower(strings.TrimSpace(contentType)); {
	case contentType == "application/json":
		sent, err := parseObject(body)
		if err != nil {
			return nil, fault.New(fault.BadRequest, "The body is not a JSON object: %s", err)
		}
		for name, value := range sent {
			f[name] = value
		}
	case contentType == "application/x-www-form-urlencoded" || !strings.Contains(contentType, "/"):
		return f, f.addFormText(body)
	}
	return f, nil
}

func (f fields) addFormText(body []byte) error {
	form, ok := parseQuery(nil, string(body))
	if !ok {
		return fault.New(fault.BadRequest, "The body is not a form: a percent escape is malformed or the text is not UTF-8")
	}
	if form.hasNull() {
		return fault.New(fault.Argument, "string contains null byte")
	}
	sent := fields{}
	if err := sent.addForm(form); err != nil {
		return err
	}
	for name, value := range sent {
		f[name] = value
	}
	return nil
}

func (f fields) addForm(form query) error {
	for _, p := range form {
		name, key, nested := strings.Cut(p.name, "[")
		if !nested || name == "" || !strings.HasSuffix(key, "]") {
			if _, other := f[p.name].(string); f[p.name] != nil && !other {
				return contradictory(p.name)
			}
			f[p.name] = p.value
			continue
		}
		if key = strings.TrimSuffix(key, "]"); key == "" {
			list, ok := f[name].([]any)
			if f[name] != nil && !ok {
				return contradictory(name)
			}
			f[name] = append(list, p.value)
			continue
		}
		object, ok := f[name].(map[string]any)
		switch {
		case f[name] != nil && !ok:
			return contradictory(name)
		case object == nil:
			object = map[string]any{}
			f[name] = object
		}
		object[key] = p.value
	}
	return nil
}

func contradictory(name string) error {
	return fault.New(fault.BadRequest, "The parameter '%s' is sent in different forms: as a value, a list or an object", name)
}

// text is the text of a scalar, "" and false if it is absent, null, a list or an
// object. Numbers keep the form in which they were sent.
func (f fields) text(name string) (string, bool) { return scalarText(f[name]) }

func scalarText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// list has the texts of a list, or the one of a scalar.
func (f fields) list(name string) ([]string, error) {
	values, ok := f[name].([]any)
	if !ok {
		if f[name] == nil {
			return nil, nil
		}
		values = []any{f[name]}
	}
	texts := make([]string, len(values))
	for i, value := range values {
		if texts[i], ok = scalarText(value); !ok {
			return nil, fault.New(fault.Argument, "Invalid value for parameter '%s': its elements must be texts", name)
		}
	}
	return texts, nil
}

// named is one member of an object of texts.
type named struct{ name, text string }

// object has the members of an object of scalars, in the order of their names. Null is
// the empty text.
func (f fields) object(name string) ([]named, error) {
	object, ok := f[name].(map[string]any)
	if !ok && f[name] != nil && f[name] != "" {
		return nil, fault.New(fault.Argument, "Invalid value for parameter '%s': it must be an object of texts", name)
	}
	members := make([]named, 0, len(object))
	for key, value := range object {
		text, ok := scalarText(value)
		if !ok && value != nil {
			return nil, fault.New(fault.Argument, "Invalid value for parameter '%s': the value of '%s' must be a text", name, key)
		}
		members = append(members, named{key, text})
	}
	slices.SortFunc(members, func(a, b named) int { return strings.Compare(a.name, b.name) })
	return members, nil
}

// parseObject reads a JSON object (RFC 8259) and nothing after it.
func parseObject(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errNotUTF8 // the decoder would put another character in its place
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		var other *json.UnmarshalTypeError
		if errors.As(err, &other) { // whose text is about types of this program
			return nil, fault.New(fault.BadRequest, "it is of type %s", other.Value)
		}
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errTrailing
	}
	return object, nil
}

var (
	errTrailing = fault.New(fault.BadRequest, "there is something after the object")
	errNotUTF8  = fault.New(fault.BadRequest, "it is not UTF-8")
)
