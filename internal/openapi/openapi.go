// Package openapi has the description of the wire: every route, parameter, status,
// body and header, as OpenAPI 3.1. It is written by hand and held against every
// answer of httpapi's tests by openapitest, so that neither changes without the other.
//
// It imports nothing of rekey.
package openapi

import _ "embed"

// Document is the description, as YAML.
//
//go:embed openapi.yaml
var Document []byte
