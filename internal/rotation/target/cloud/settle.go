package cloud

import (
	"context"
	"time"

	"rekey/internal/rotation/target"
)

// Fresh marks, by being there, a credential that has just been issued. It is nobody's
// variable, so the mark is gone when the credential is published.
const Fresh = "fresh"

// The pauses between attempts to log in with a fresh credential: the first, and the
// longest.
const (
	first   = 200 * time.Millisecond
	longest = 3 * time.Second
)

// Settle calls login until it accepts a fresh credential: a cloud needs some seconds until
// all of it knows a new key. It ends, with the last refusal, before the context does.
func Settle(ctx context.Context, c target.Credential, login func() error) error {
	_, fresh := c[Fresh]
	for pause := first; ; pause = min(2*pause, longest) {
		err := login()
		if !fresh || err == nil || target.ClassOf(err) != target.AuthFailed {
			return err
		}
		if end, ok := ctx.Deadline(); !ok || time.Until(end) < pause+longest {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
