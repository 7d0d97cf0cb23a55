package seal

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// Keyring holds the unwrapped data keys by id, one of which is active. Its zero
// value is an empty ring. Keys can be added, activated and removed while others
// seal and open; sealing and opening never wait.
type Keyring struct {
	change  sync.Mutex // held by whoever replaces current
	current atomic.Pointer[ring]
}

// ring is one state of a Keyring; it never changes.
type ring struct {
	keys   map[uint32]*DataKey
	active *DataKey
}

func (k *Keyring) load() ring {
	if r := k.current.Load(); r != nil {
		return *r
	}
	return ring{}
}

// Add makes a key known: values that it sealed can be opened. It is a Conflict if
// there is a key of that id.
func (k *Keyring) Add(key *DataKey) error {
	k.change.Lock()
	defer k.change.Unlock()
	r := k.load()
	if _, known := r.keys[key.id]; known {
		return fault.New(fault.Conflict, "data key %d is in the key ring already", key.id)
	}
	keys := maps.Clone(r.keys)
	if keys == nil {
		keys = map[uint32]*DataKey{}
	}
	keys[key.id] = key
	k.current.Store(&ring{keys, r.active})
	return nil
}

// Activate makes the key of this id the one that seals from now on. It is a fault
// of kind NotFound if it was not added.
func (k *Keyring) Activate(id uint32) error {
	k.change.Lock()
	defer k.change.Unlock()
	r := k.load()
	key, known := r.keys[id]
	if !known {
		return unknown(id)
	}
	k.current.Store(&ring{r.keys, key})
	return nil
}

// Remove forgets a key that no value is sealed with any more. The active key
// cannot be removed: Conflict. Removing an unknown key changes nothing.
func (k *Keyring) Remove(id uint32) error {
	k.change.Lock()
	defer k.change.Unlock()
	r := k.load()
	if r.active != nil && r.active.id == id {
		return fault.New(fault.Conflict, "data key %d is the active one: activate another before removing it", id)
	}
	keys := maps.Clone(r.keys)
	delete(keys, id)
	k.current.Store(&ring{keys, r.active})
	return nil
}

// Active is the id of the key that seals; ok is false if there is none yet.
func (k *Keyring) Active() (id uint32, ok bool) {
	if active := k.load().active; active != nil {
		return active.id, true
	}
	return 0, false
}

// IDs lists the ids of the keys in the ring, in ascending order.
func (k *Keyring) IDs() []uint32 {
	return slices.Sorted(maps.Keys(k.load().keys))
}

// Seal encrypts a value with the active key and binds it to aad, which must say
// whose value it is: the same text opens it, no other does. The result is the
// format byte, the big-endian id of the data key (4 bytes), a random nonce (12
// bytes), ciphertext and tag (16 bytes).
func (k *Keyring) Seal(plaintext secret.Bytes, aad string) ([]byte, error) {
	active := k.load().active
	if active == nil {
		return nil, fault.New(fault.Internal, "nothing can be sealed: no data key is active")
	}
	return active.seal(plaintext, aad), nil
}

// Open decrypts a sealed value. Damaged bytes, an unknown data key and another
// aad than it was sealed with are Internal faults: they never come from what a
// client sent.
func (k *Keyring) Open(sealed []byte, aad string) (secret.Bytes, error) {
	id, err := KeyID(sealed)
	if err != nil {
		return secret.Bytes{}, err
	}
	key, known := k.load().keys[id]
	if !known {
		return secret.Bytes{}, &fault.Error{
			Kind:    fault.Internal,
			Message: fmt.Sprintf("a value is sealed with data key %d, which is not in the key ring", id),
			Advice:  "restore the row of that data key from a backup, or wait until this node has caught up",
		}
	}
	return key.open(sealed, aad)
}

func unknown(id uint32) error {
	e := fault.New(fault.NotFound, "data key %d is not in the key ring", id)
	e.Target, e.ID = "data_key", fmt.Sprint(id)
	return e
}

// Format shows the ids of the keys, for every verb.
func (k *Keyring) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "[data keys %v]", k.IDs()) }

// Format shows the id, for every verb.
func (k *DataKey) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "[data key %d]", k.id) }
