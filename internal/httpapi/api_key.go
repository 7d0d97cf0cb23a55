package httpapi

import (
	"net/http"
	"time"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/row"
)

// rotateKey replaces an API key at once, or as the parameters say.
func (a *api) rotateKey(e *exchange) error {
	caller, err := a.identify(e)
	if err != nil {
		return err
	}
	how, err := e.query.rotation()
	if err != nil {
		return err
	}
	key, err := a.core.Rotate(e.r.Context(), caller, e.path[account], e.query.get("role"), how)
	if err != nil {
		return err
	}
	return e.confide(http.StatusOK, typeText, key.Reveal())
}

// rotation reads how a key is to be rotated. An empty parameter is a variable of a
// script that was not set: taking it for an absent one would rotate otherwise than was
// meant.
func (q query) rotation() (how core.Rotation, err error) {
	if value, ok := q.lookup("staged"); ok {
		if value != "" && value != "true" {
			return how, fault.New(fault.Argument, "The parameter staged stands alone or is true")
		}
		how.Staged = true
	}
	for _, p := range []struct {
		name string
		to   *string
	}{{"lapse", &how.Lapse}, {"old_key", &how.OldKey}, {"request", &how.Request}} {
		value, ok := q.lookup(p.name)
		if ok && value == "" {
			return how, fault.New(fault.Argument, "The parameter %s is empty", p.name)
		}
		*p.to = value
	}
	return how, nil
}

func (a *api) keyRotatedAt(e *exchange) error {
	caller, err := a.identify(e)
	if err != nil {
		return err
	}
	role, at, err := a.core.KeyRotatedAt(e.r.Context(), caller, e.path[account], e.query.get("role"))
	if err != nil {
		return err
	}
	return e.answerJSON(func(to []byte) []byte {
		to = append(to, `{"role":`...)
		to = appendString(to, role)
		to = append(to, `,"timestamp":"`...)
		if !at.IsZero() {
			to = at.UTC().AppendFormat(to, time.RFC3339)
		}
		return append(to, `"}`...)
	})
}

// listKeys lists the API keys that the caller may rotate, without the keys.
func (a *api) listKeys(e *exchange) error {
	q := core.KeyQuery{Account: e.path[account], OlderThan: e.query.get("older_than")}
	var err error
	if q.Limit, q.Offset, err = e.query.resourcePage(a.listLimit); err != nil {
		return err
	}
	found, err := a.core.APIKeys(e.r.Context(), e.caller, q)
	if err != nil {
		return err
	}
	return answerList(e, found, appendKey)
}

// keyForms are the words for how a key became what it is.
var keyForms = map[row.KeyForm]string{row.KeyCreated: "created", row.KeyImmediate: "immediate", row.KeyStaged: "staged", row.KeyGrace: "grace"}

func appendKey(to []byte, k core.KeyView) []byte {
	to = append(to, `{"role":`...)
	to = appendString(to, k.Role)
	to = append(to, `,"form":`...)
	to = appendString(to, keyForms[k.Form])
	for _, moment := range []struct {
		name string
		at   time.Time
	}{{"rotated_at", k.RotatedAt}, {"last_used_at", k.LastUsedAt}, {"staged_until", k.StagedUntil}, {"old_key_until", k.OldKeyUntil}} {
		to = append(to, `,"`+moment.name+`":`...)
		if moment.at.IsZero() {
			to = append(to, "null"...)
			continue
		}
		to = moment.at.UTC().AppendFormat(append(to, '"'), time.RFC3339)
		to = append(to, '"')
	}
	if k.Overdue {
		return append(to, `,"overdue":true}`...)
	}
	return append(to, `,"overdue":false}`...)
}
