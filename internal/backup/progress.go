package backup

import (
	"encoding/json"

	"rekey/internal/fault"
)

// progress is what a target keeps of a copy, as JSON, until it has ended.
type progress struct {
	Source string `json:"source"` // digest of everything that the source has
	Of     int    `json:"of"`     // rows of the source
	Rows   int    `json:"rows"`   // of them that are stored, from the first one
	Digest string `json:"digest"` // of these
}

func (p progress) text() []byte {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // it has texts and numbers only
	}
	return text
}

func (p *progress) read(text []byte) error {
	if err := json.Unmarshal(text, p); err != nil {
		return fault.Wrap(err, "the progress of the copy that the store has")
	}
	return nil
}
