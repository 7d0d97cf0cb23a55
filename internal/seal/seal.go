// Package seal is encryption at rest: a root key wraps data keys, data keys seal
// values.
//
// The root key (32 bytes, from the environment, a file or a key service) never
// touches a value. It wraps data keys, which are stored wrapped and held
// unwrapped in a [Keyring]. One data key is active: it seals what is new. All
// the others still open what they sealed, so that data can be re-sealed online.
//
// It promises:
//   - a sealed value opens only under the data key that it names and with the
//     additional data that it was sealed with, byte for byte. Callers bind a value
//     to its row and version through that text;
//   - a stream ([Writer], [Reader]) of any length takes little memory, and gives out only
//     what it has authenticated; what was changed, moved or cut off is refused;
//   - wrong keys and damaged bytes are faults in words, never a panic;
//   - no key is printed by any formatting verb, and this package's copies of a
//     key's bytes are zeroed when the cipher has been made of them.
//
// All encryption is AES-256-GCM (NIST SP 800-38D) with random 96-bit nonces. That
// mode allows 2^32 values for each data key: rotate data keys long before.
//
// It imports fault and secret.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// The first byte of everything that is stored says what it is.
const (
	formatSealed  = 'R' // a value sealed with a data key
	formatWrapped = 'K' // a data key wrapped by a root key
	formatStream  = 'S' // the key of a stream, wrapped by a root key
	formatConjur  = 'G' // a value sealed by Conjur
)

const (
	keySize    = 32
	nonceSize  = 12
	tagSize    = 16
	headerSize = 1 + 4 // format, data key id
)

// newAEAD makes the cipher of a key, which prepends a random nonce to what it
// seals, and zeroes the key's bytes.
func newAEAD(key []byte) (cipher.AEAD, error) {
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fault.Wrap(err, "making a cipher")
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return aead, fault.Wrap(err, "making a cipher")
}

// header is the start of sealed bytes: the format and the big-endian id of the
// data key.
func header(dst []byte, format byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, format), id)
}

// bound is what a seal authenticates beside its content: its own header and the
// caller's text.
func bound(format byte, id uint32, aad string) []byte {
	return append(header(make([]byte, 0, headerSize+len(aad)), format, id), aad...)
}

// KeyID tells which data key sealed a value.
func KeyID(sealed []byte) (uint32, error) {
	if len(sealed) < headerSize+nonceSize+tagSize {
		return 0, fault.New(fault.Internal, "a sealed value is damaged: it has %d bytes and needs at least %d", len(sealed), headerSize+nonceSize+tagSize)
	}
	if sealed[0] != formatSealed {
		return 0, fault.New(fault.Internal, "a sealed value is damaged: its format byte is 0x%02x and should be 0x%02x", sealed[0], formatSealed)
	}
	return binary.BigEndian.Uint32(sealed[1:]), nil
}

// DataKey is an unwrapped data key. It is ready to use, and safe for concurrent
// use.
type DataKey struct {
	id   uint32
	aead cipher.AEAD
}

// ID is the number by which sealed values name this key.
func (k *DataKey) ID() uint32 { return k.id }

func (k *DataKey) seal(plaintext secret.Bytes, aad string) []byte {
	sealed := make([]byte, 0, headerSize+nonceSize+plaintext.Len()+tagSize)
	sealed = header(sealed, formatSealed, k.id)
	return k.aead.Seal(sealed, nil, plaintext.Reveal(), bound(formatSealed, k.id, aad))
}

func (k *DataKey) open(sealed []byte, aad string) (secret.Bytes, error) {
	plaintext, err := k.aead.Open(nil, nil, sealed[headerSize:], bound(formatSealed, k.id, aad))
	if err != nil {
		return secret.Bytes{}, &fault.Error{
			Kind:    fault.Internal,
			Message: "a sealed value does not open: it was changed, or it belongs to another row or version",
			Log:     "bound to " + aad,
			Cause:   err,
		}
	}
	return secret.New(plaintext), nil
}
