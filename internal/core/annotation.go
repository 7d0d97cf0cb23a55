package core

import (
	"encoding/json"

	"rekey/internal/policy"
)

// Annotation is one name and value of a resource.
type Annotation = policy.Annotation

// Annotations are those of one resource; no name occurs twice.
type Annotations []Annotation

// MarshalJSON writes an object.
func (a Annotations) MarshalJSON() ([]byte, error) {
	object := make(map[string]string, len(a))
	for _, one := range a {
		object[one.Name] = one.Value
	}
	return json.Marshal(object)
}
