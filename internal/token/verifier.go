package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"rekey/internal/fault"
)

// ErrMissing says that a request carries no token: there is no Authorization
// header, it is of another scheme, or the token is the JSON null. Routes that need
// no token go on.
var ErrMissing error = refused("Authorization missing", "")

// Verifier checks the tokens of requests. It remembers those that it found good
// until they expire, so that a role that makes many requests costs one check of a
// signature. It is safe for concurrent use.
type Verifier struct {
	keys       *Keys
	remembered *memory
}

// NewVerifier verifies with these keys, as they are at each verification.
func NewVerifier(keys *Keys) *Verifier {
	return &Verifier{keys, newMemory()}
}

// Verify reads an Authorization header at the given time, for a request that comes
// from an address. Its faults are ErrMissing, and
//
//   - Unauthenticated "Malformed authorization token": not JSON, or JSON that is
//     neither an object nor a string;
//   - Unauthenticated "token contains unrecognized claims";
//   - Unauthenticated "Unauthorized: Invalid token": everything else that is wrong
//     with it; the Log member says what;
//   - Forbidden "IP address rejected": the token is for other networks.
//
// All are Public. None has any of the token.
func (v *Verifier) Verify(authorization string, now time.Time, client netip.Addr) (Claims, error) {
	token := v.remembered.get(authorization)
	if token != nil {
		// What was true of the token stays true, but for these two.
		if key, known := v.keys.find(token.kid, now); !known || key.Account != token.claims.Account {
			v.remembered.forget(authorization)
			return Claims{}, invalid(errKey)
		}
		if !now.Before(token.claims.ExpiresAt) {
			v.remembered.forget(authorization)
			return Claims{}, invalid(errExpired)
		}
	} else {
		document, ok := Parse(authorization)
		if !ok {
			return Claims{}, ErrMissing
		}
		var err error
		if token, err = v.check(document, now); err != nil {
			return Claims{}, err
		}
		v.remembered.put(authorization, token, now)
	}
	if !allows(token.claims.Networks, client) {
		return Claims{}, &fault.Error{Kind: fault.Forbidden, Message: "IP address rejected", Public: true,
			Log: "the token of " + string(token.claims.Role) + " is not for use from " + client.String()}
	}
	return token.claims, nil
}

func (v *Verifier) check(document []byte, now time.Time) (*verified, error) {
	document = bytes.TrimSpace(document)
	if !json.Valid(document) {
		return nil, refused("Malformed authorization token", "it is not base64 of JSON")
	}
	switch document[0] {
	case 'n':
		return nil, ErrMissing
	case '{', '"':
	default:
		return nil, refused("Malformed authorization token", "it is neither an object nor a string")
	}
	token, err := verify(document, v.keys, now)
	switch {
	case err == nil:
		return token, nil
	case errors.Is(err, errUnrecognized):
		return nil, refused("token contains unrecognized claims", "")
	}
	return nil, invalid(err)
}

// allows tells whether an address is in one of the networks; nil allows all.
func allows(networks []netip.Prefix, client netip.Addr) bool {
	if networks == nil {
		return true
	}
	client = client.Unmap().WithZone("")
	for _, network := range networks {
		if network.Contains(client) {
			return true
		}
	}
	return false
}

func invalid(why error) error { return refused("Unauthorized: Invalid token", why.Error()) }

func refused(message, why string) *fault.Error {
	return &fault.Error{Kind: fault.Unauthenticated, Message: message, Public: true, Log: why}
}
