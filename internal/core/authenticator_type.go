package core

import (
	"slices"
	"strings"
)

// authenticatorType says what an authenticator of one type is made of.
type authenticatorType struct {
	name     string // as bodies have it
	suffix   string // as ids have it, after authn-
	fields   []dataField
	identity []dataField // members of the object identity
	dataless bool        // it has no data at all
	bare     bool        // it may have none
}

// dataField is a field of an authenticator's data, kept as the value of a variable.
type dataField struct {
	name     string
	form     dataForm
	required bool
	most     int  // characters; 0 for no limit
	plain    bool // no spaces and angle brackets
}

// dataForm is how a field looks in JSON and as a value.
type dataForm int

const (
	asText   dataForm = iota
	asObject          // its JSON text
	asList            // joined by commas
	asPairs           // key:value, joined by commas
)

var authenticatorTypes = []authenticatorType{
	{name: "jwt", suffix: "jwt",
		fields: []dataField{{name: "ca_cert"}, {name: "audience", most: 1000, plain: true}, {name: "jwks_uri", most: 255, plain: true},
			{name: "issuer", most: 255, plain: true}, {name: "public_keys", form: asObject, most: 10000}},
		identity: []dataField{{name: "token_app_property", most: 1000, plain: true}, {name: "identity_path"},
			{name: "enforced_claims", form: asList}, {name: "claim_aliases", form: asPairs}}},
	{name: "oidc", suffix: "oidc",
		fields: []dataField{{name: "ca_cert"}, {name: "token_ttl"}, {name: "provider_uri", required: true, most: 255, plain: true},
			{name: "id_token_user_property", most: 255, plain: true}, {name: "client_id"}, {name: "provider_scope"},
			{name: "client_secret"}, {name: "claim_mapping"}, {name: "name"}, {name: "response_type"}, {name: "redirect_uri"}}},
	{name: "ldap", suffix: "ldap", bare: true, fields: []dataField{{name: "bind_password"}, {name: "tls_ca_cert"}}},
	{name: "k8s", suffix: "k8s",
		fields: []dataField{{name: "kubernetes/service_account_token"}, {name: "kubernetes/ca_cert"}, {name: "kubernetes/api_url"},
			{name: "ca/cert", required: true}, {name: "ca/key", required: true}}},
	{name: "azure", suffix: "azure", fields: []dataField{{name: "provider_uri", required: true, most: 255, plain: true}}},
	{name: "gcp", suffix: "gcp", dataless: true},
	{name: "aws", suffix: "iam", dataless: true},
}

// onlyName is the name of the one authenticator that type gcp has in an account.
const onlyName = "default"

func authenticatorTypeOf(matches func(*authenticatorType) bool) *authenticatorType {
	for i := range authenticatorTypes {
		if matches(&authenticatorTypes[i]) {
			return &authenticatorTypes[i]
		}
	}
	return nil
}

func (t *authenticatorType) single() bool { return t.suffix == "gcp" }

// path is the identifier of the webservice of an authenticator.
func (t *authenticatorType) path(name string) string {
	if t.single() {
		return "conjur/authn-" + t.suffix
	}
	return "conjur/authn-" + t.suffix + "/" + name
}

// variable is the name of the variable that keeps a field.
func (f *dataField) variable() string { return strings.ReplaceAll(f.name, "_", "-") }

// all are the fields with those of identity.
func (t *authenticatorType) all() []dataField { return slices.Concat(t.fields, t.identity) }
