package httpapi

import (
	"bytes"
	"net/http"
)

// publicKeys are public: no credentials, and nothing but a line break for those who
// have none or do not exist.
func (a *api) publicKeys(e *exchange) error {
	keys, err := a.core.PublicKeys(e.r.Context(), e.path[account], e.path[kind], e.path[id])
	if err != nil {
		return err
	}
	return e.answer(http.StatusOK, typeText, append(bytes.Join(keys, []byte("\n")), '\n'))
}
