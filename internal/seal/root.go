package seal

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// Root is the key that wraps data keys. It is safe for concurrent use.
type Root struct {
	name string
	mark [markSize]byte
	aead cipher.AEAD
}

// markSize is the length of a root key's fingerprint in wrapped keys. It tells
// "another root key" from "damaged bytes" and reveals nothing: it is a truncated
// hash of 256 random bits.
const markSize = 8

const wrappedHeader = headerSize + markSize

// NewRootText draws a root key in the form that ParseRoot reads: standard base64
// of 32 bytes.
func NewRootText(rand io.Reader) (secret.Bytes, error) {
	key, err := draw(rand)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer clear(key)
	return secret.New(base64.StdEncoding.AppendEncode(nil, key)), nil
}

// ParseRoot reads a root key: standard base64 (RFC 4648 section 4) of 32 bytes,
// padded, on one line; blanks around it are trimmed. The name says where the text
// came from (an environment variable, a file) and appears in faults, which are of
// kind Invalid and do not contain the text.
func ParseRoot(name string, text secret.Bytes) (*Root, error) {
	refuse := func(format string, args ...any) error {
		e := fault.New(fault.Invalid, "the root key in %s %s", name, fmt.Sprintf(format, args...))
		e.Advice = "give standard base64 of 32 bytes (44 characters), as `rekey data-key generate` prints it"
		return e
	}
	trimmed := bytes.TrimSpace(text.Reveal())
	if len(trimmed) == 0 {
		return nil, refuse("is empty")
	}
	// The decoder would skip line breaks.
	if i := bytes.IndexAny(trimmed, "\r\n"); i >= 0 {
		return nil, refuse("is not base64: there is a line break at position %d", i+1)
	}
	key := make([]byte, base64.StdEncoding.DecodedLen(len(trimmed)))
	defer clear(key)
	n, err := base64.StdEncoding.Strict().Decode(key, trimmed)
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) {
		return nil, refuse("is not standard base64: position %d is wrong", int64(corrupt)+1)
	}
	if err != nil {
		return nil, refuse("is not standard base64")
	}
	if n != keySize {
		return nil, refuse("has %d bytes, not 32", n)
	}
	root := &Root{name: name}
	marked := append([]byte("rekey root key fingerprint\x00"), key[:n]...)
	hash := sha256.Sum256(marked)
	clear(marked)
	copy(root.mark[:], hash[:])
	if root.aead, err = newAEAD(key[:n]); err != nil {
		return nil, err
	}
	return root, nil
}

// Name says where the key came from.
func (r *Root) Name() string { return r.name }

// Fingerprint identifies the key in messages: 16 hexadecimal digits.
func (r *Root) Fingerprint() string { return fmt.Sprintf("%x", r.mark) }

// Format shows name and fingerprint, for every verb.
func (r *Root) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "[root key %s from %s]", r.Fingerprint(), r.name)
}

// NewDataKey draws a data key of the given id and wraps it for storage.
func (r *Root) NewDataKey(rand io.Reader, id uint32) (key *DataKey, wrapped []byte, err error) {
	raw, err := draw(rand)
	if err != nil {
		return nil, nil, err
	}
	wrapped = r.wrap(id, raw)
	aead, err := newAEAD(raw)
	if err != nil {
		return nil, nil, err
	}
	return &DataKey{id, aead}, wrapped, nil
}

// Unwrap makes the data key of this id from its stored form. It is a fault of kind
// Invalid that names this root key if another one wrapped it, and Internal if the
// stored bytes are damaged or of another id.
func (r *Root) Unwrap(id uint32, wrapped []byte) (*DataKey, error) {
	raw, err := r.unwrap(id, wrapped)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(raw)
	if err != nil {
		return nil, err
	}
	return &DataKey{id, aead}, nil
}

// Rewrap wraps a stored data key for another root key, so that the root key can be
// replaced without touching any value. The faults are those of Unwrap.
func (r *Root) Rewrap(to *Root, id uint32, wrapped []byte) ([]byte, error) {
	raw, err := r.unwrap(id, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	return to.wrap(id, raw), nil
}

// wrap makes format byte, id, fingerprint of the root key, nonce, ciphertext, tag.
func (r *Root) wrap(id uint32, raw []byte) []byte {
	wrapped := append(header(nil, formatWrapped, id), r.mark[:]...)
	return r.aead.Seal(wrapped, nil, raw, bound(formatWrapped, id, string(r.mark[:])))
}

func (r *Root) unwrap(id uint32, wrapped []byte) ([]byte, error) {
	if len(wrapped) != wrappedHeader+nonceSize+keySize+tagSize || wrapped[0] != formatWrapped {
		return nil, fault.New(fault.Internal, "the stored data key %d is damaged: it is not a wrapped key", id)
	}
	if stored := binary.BigEndian.Uint32(wrapped[1:]); stored != id {
		return nil, fault.New(fault.Internal, "the stored data key %d is damaged: it says that it is data key %d", id, stored)
	}
	if mark := wrapped[headerSize:wrappedHeader]; !bytes.Equal(mark, r.mark[:]) {
		e := fault.New(fault.Invalid, "the root key in %s (fingerprint %s) does not match: data key %d was wrapped by the root key with fingerprint %x",
			r.name, r.Fingerprint(), id, mark)
		e.Advice = "give the root key with which this data was made"
		return nil, e
	}
	raw, err := r.aead.Open(nil, nil, wrapped[wrappedHeader:], bound(formatWrapped, id, string(r.mark[:])))
	if err != nil {
		return nil, fault.Wrap(err, "the stored data key %d is damaged: it does not open with the root key in %s, which wrapped it", id, r.name)
	}
	return raw, nil
}

func draw(rand io.Reader) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(rand, key); err != nil {
		return nil, fault.Wrap(err, "drawing a key")
	}
	return key, nil
}
