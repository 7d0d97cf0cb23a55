package seal

import (
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// OpenConjur opens a value that Conjur sealed with this key: the byte 'G', a
// 16-byte tag, a 12-byte nonce and the ciphertext, AES-256-GCM. Its data key has
// the same text form as a root key, so that ParseRoot reads it. A wrong key, other
// aad and damaged bytes are faults of kind Invalid.
func OpenConjur(key *Root, sealed []byte, aad string) (secret.Bytes, error) {
	const start = 1 + tagSize + nonceSize
	if len(sealed) < start || sealed[0] != formatConjur {
		return secret.Bytes{}, fault.New(fault.Invalid, "a value to import is not in Conjur's sealed form: it should begin with 'G' and have at least %d bytes", start)
	}
	tag, nonce, ciphertext := sealed[1:1+tagSize], sealed[1+tagSize:start], sealed[start:]
	joined := make([]byte, 0, len(sealed)-1)
	joined = append(append(append(joined, nonce...), ciphertext...), tag...)
	plaintext, err := key.aead.Open(nil, nil, joined, []byte(aad))
	if err != nil {
		return secret.Bytes{}, &fault.Error{
			Kind:    fault.Invalid,
			Message: "a value to import does not open with the key in " + key.name + ": it was sealed with another key, or it was changed",
			Advice:  "give the CONJUR_DATA_KEY of the server from which the data comes",
			Log:     "bound to " + aad,
			Cause:   err,
		}
	}
	return secret.New(plaintext), nil
}
