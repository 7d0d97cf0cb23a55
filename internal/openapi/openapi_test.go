package openapi

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// The document is OpenAPI 3.1 by a judge other than the one that holds answers
// against it; its examples fit its schemas.
func TestDocumentIsValid(t *testing.T) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(Document)
	if err != nil {
		t.Fatal(err)
	}
	if err := document.Validate(loader.Context, openapi3.EnableExamplesValidation()); err != nil {
		t.Fatal(err)
	}
	if !document.IsOpenAPI31OrLater() {
		t.Errorf("version %s", document.OpenAPI)
	}
	seen := map[string]bool{}
	for path, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if operation.OperationID == "" || seen[operation.OperationID] {
				t.Errorf("%s %s has no operationId of its own: %q", method, path, operation.OperationID)
			}
			seen[operation.OperationID] = true
			if operation.Summary == "" || len(operation.Tags) != 1 {
				t.Errorf("%s %s lacks a summary or is not in one group", method, path)
			}
		}
	}
}
