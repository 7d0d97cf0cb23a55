package core

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// settings checks the data of a new authenticator and returns the values of its
// variables.
func (t *authenticatorType) settings(data map[string]any) (map[string]secret.Bytes, error) {
	switch {
	case t.dataless && data != nil:
		return nil, fault.New(fault.Invalid, "The 'data' object cannot be specified for %s authenticators.", t.name)
	case t.dataless, t.bare && data == nil:
		return nil, nil
	case len(data) == 0:
		return nil, fault.New(fault.Invalid, "The 'data' object must be specified for %s authenticators and it must be a non-empty JSON object.", t.name)
	}
	values := map[string]secret.Bytes{}
	if err := gather(values, t.fields, data); err != nil {
		return nil, err
	}
	known := names(t.fields)
	if t.identity != nil {
		known = append(known, "identity")
		identity, ok := data["identity"].(map[string]any)
		if data["identity"] != nil && !ok {
			return nil, wrongType("identity", "object")
		}
		if err := gather(values, t.identity, identity); err != nil {
			return nil, err
		}
		if err := unexpectedFields(identity, names(t.identity)); err != nil {
			return nil, err
		}
	}
	if err := t.agree(values); err != nil {
		return nil, err
	}
	return values, unexpectedFields(data, known)
}

func names(fields []dataField) []string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = f.name
	}
	return list
}

func wrongType(name, kind string) error {
	return fault.New(fault.Invalid, "CONJ00192W The '%s' parameter must be of 'type=%s'", name, kind)
}

// unexpectedFields refuses members of an object that nobody knows.
func unexpectedFields(object map[string]any, known []string) error {
	var others []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !slices.Contains(known, name) {
			others = append(others, name)
		}
	}
	if others != nil {
		return fault.New(fault.Invalid, "The following parameters were not expected: %s", strings.Join(others, ", "))
	}
	return nil
}

// gather reads fields of an object into the values of variables.
func gather(values map[string]secret.Bytes, fields []dataField, object map[string]any) error {
	for _, f := range fields {
		given := object[f.name]
		if given == nil {
			if f.required {
				return fault.New(fault.Invalid, "CONJ00190W Missing required parameter: %s", f.name)
			}
			continue
		}
		value, err := f.value(given)
		if err != nil {
			return err
		}
		switch n := utf8.RuneCountInString(value); {
		case n == 0:
			return fault.New(fault.Invalid, "'%s' parameter length is less than 1 characters", f.name)
		case f.most > 0 && n > f.most:
			return fault.New(fault.Invalid, "'%s' parameter length exceeded. Limit the length to %d characters", f.name, f.most)
		case f.plain && strings.ContainsAny(value, " <>"):
			return fault.New(fault.Invalid, "Invalid '%s' parameter. All characters except space ( ), less than (<), and greater than (>) are allowed.", f.name)
		}
		values[f.variable()] = secret.FromString(value)
	}
	return nil
}

var (
	aliasForm = regexp.MustCompile(`\A[A-Za-z0-9_-]+\z`)
	claimForm = regexp.MustCompile(`\A[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\z`)
	reserved  = []string{"iss", "exp", "nbf", "iat", "aud", "jti"}
)

// value is a field of a JSON object as the value of a variable.
func (f *dataField) value(given any) (string, error) {
	switch f.form {
	case asObject:
		object, ok := given.(map[string]any)
		if !ok {
			return "", wrongType(f.name, "object")
		}
		text, err := json.Marshal(object)
		return string(text), fault.Wrap(err, "the field %s", f.name)
	case asList:
		list, ok := given.([]any)
		texts := make([]string, len(list))
		for i := range list {
			var isText bool
			texts[i], isText = list[i].(string)
			ok = ok && isText
		}
		if !ok {
			return "", fault.New(fault.Invalid, "Invalid '%s' parameter. Must be an array of strings.", f.name)
		}
		return strings.Join(texts, ","), nil
	case asPairs:
		object, ok := given.(map[string]any)
		if !ok {
			return "", wrongType(f.name, "object")
		}
		pairs := make([]string, 0, len(object))
		for _, alias := range slices.Sorted(maps.Keys(object)) {
			claim, _ := object[alias].(string)
			switch {
			case !aliasForm.MatchString(alias):
				return "", fault.New(fault.Invalid, "Invalid target alias '%s' in '%s'. Must be an alphanumeric string with underscores or dashes.", alias, f.name)
			case slices.Contains(reserved, alias):
				return "", fault.New(fault.Invalid, "Invalid target alias '%s' in '%s'. Cannot use reserved claims: %s.", alias, f.name, strings.Join(reserved, ", "))
			case !claimForm.MatchString(claim):
				return "", fault.New(fault.Invalid, "Invalid source claim '%s' in '%s'. Must be a valid claim name or a nested path.", fmt.Sprint(object[alias]), f.name)
			}
			pairs = append(pairs, alias+":"+claim)
		}
		return strings.Join(pairs, ","), nil
	}
	text, ok := given.(string)
	if !ok {
		return "", wrongType(f.name, "string")
	}
	return text, nil
}

// agree checks the fields against one another.
func (t *authenticatorType) agree(values map[string]secret.Bytes) error {
	has := func(variable string) bool { _, ok := values[variable]; return ok }
	refuse := func(text string) error { return fault.New(fault.Invalid, "%s", text) }
	switch t.name {
	case "jwt":
		switch {
		case has("jwks-uri") && has("public-keys"):
			return refuse("In the 'data' object, you cannot specify jwks_uri and public_keys fields.")
		case !has("jwks-uri") && !has("public-keys"):
			return refuse("In the 'data' object, either a 'jwks_uri' or 'public_keys' field must be specified.")
		case has("public-keys") && !has("issuer"):
			return refuse("In the 'data' object, when the 'public_keys' field is specified, the 'issuer' field must also be specified.")
		case has("identity-path") && !has("token-app-property"):
			return refuse("In the identity object, when the 'identity_path' field is specified, the 'token_app_property' field must also be specified.")
		}
	case "oidc":
		flow := 0
		for _, variable := range []string{"client-id", "client-secret", "redirect-uri", "claim-mapping"} {
			if has(variable) {
				flow++
			}
		}
		if token := has("id-token-user-property"); token == (flow > 0) || flow != 0 && flow != 4 {
			return refuse(`The data object must contain either ["id_token_user_property"] or ["client_id", "client_secret", "redirect_uri", "claim_mapping"] keys.`)
		}
	case "ldap":
		if has("tls-ca-cert") && !has("bind-password") {
			return refuse("CONJ00190W Missing required parameter: The 'bind_password' field must be specified when the 'tls_ca_cert' field is provided.")
		}
	}
	return nil
}

// shown is the value of a variable as a field of a JSON object.
func (f *dataField) shown(value string) any {
	switch f.form {
	case asObject:
		var object map[string]any
		if json.Unmarshal([]byte(value), &object) == nil && object != nil {
			return object
		}
		return map[string]any{}
	case asList:
		list := []string{}
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list
	case asPairs:
		object := map[string]string{}
		for pair := range strings.SplitSeq(value, ",") {
			if alias, claim, ok := strings.Cut(pair, ":"); ok {
				object[strings.TrimSpace(alias)] = strings.TrimSpace(claim)
			}
		}
		return object
	}
	return value
}

// data is how clients see the values of an authenticator's variables; nil if its type
// has none.
func (t *authenticatorType) data(values map[string]secret.Bytes) map[string]any {
	if t.dataless {
		return nil
	}
	data, identity := map[string]any{}, map[string]any{}
	for i := range t.fields {
		if value, ok := values[t.fields[i].variable()]; ok {
			data[t.fields[i].name] = t.fields[i].shown(value.RevealString())
		}
	}
	for i := range t.identity {
		if value, ok := values[t.identity[i].variable()]; ok {
			identity[t.identity[i].name] = t.identity[i].shown(value.RevealString())
		}
	}
	if len(identity) > 0 {
		data["identity"] = identity
	}
	return data
}
