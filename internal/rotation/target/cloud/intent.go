package cloud

import (
	"errors"
	"slices"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// Intent is what is known of an account's keys before one more is issued. It is durable
// before the request leaves. If the answer is lost, a key that is not among Known and was
// made soon after Asked is most likely the one that nobody has the secret of.
//
// Most likely is not certain: somebody else may have made a key in the same minutes, and
// the API does not say who did. So such a key is reported, and an operator decides; or it
// is deleted, where annotation lost-keys declares that nobody else makes keys for the
// account while it is rotated. A key that was there before is never deleted.
type Intent struct {
	Known []string
	Asked time.Time // by the clock of the API
}

const (
	known = "known"
	asked = "asked"
)

// Credential is the intent as target.Surveyor returns it.
func (i Intent) Credential() target.Credential {
	return target.Credential{
		known: secret.FromString(strings.Join(i.Known, " ")),
		asked: secret.FromString(i.Asked.UTC().Format(time.RFC3339)),
	}
}

// ReadIntent reads it again. What is none is an intent by which no key is lost.
func ReadIntent(c target.Credential) Intent {
	at, err := time.Parse(time.RFC3339, c[asked].RevealString())
	if err != nil {
		return Intent{}
	}
	return Intent{Known: strings.Fields(c[known].RevealString()), Asked: at}
}

// The time in which a key must have been made that was asked for after a survey: the
// clocks of an API's servers differ a little, and a request may be long on its way.
const (
	early = time.Minute
	late  = 15 * time.Minute
)

// Lost tells whether a key, made at some moment, is most likely one that was issued with
// its answer lost.
func (i Intent) Lost(id string, made time.Time) bool {
	return !i.Asked.IsZero() && !slices.Contains(i.Known, id) && made.After(i.Asked.Add(-early)) && made.Before(i.Asked.Add(late))
}

// The values of annotation lost-keys.
const (
	LostKeys = "lost-keys"
	Report   = "report"
	Delete   = "delete"
)

// CheckLostKeys is for Kind.Settings.
func CheckLostKeys(text string) error {
	if text != Report && text != Delete {
		return errors.New("it is neither report nor delete")
	}
	return nil
}
