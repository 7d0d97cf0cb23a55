package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/seal"
	"rekey/internal/secret"
)

const rootText = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" // bytes 00..1f

func newRoot(t testing.TB, name string) *seal.Root {
	t.Helper()
	text, err := seal.NewRootText(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.ParseRoot(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// newRing has the data keys of these ids, the last of which is active.
func newRing(t testing.TB, ids ...uint32) *seal.Keyring {
	t.Helper()
	root, ring := newRoot(t, "a test"), &seal.Keyring{}
	for _, id := range ids {
		key, _, err := root.NewDataKey(rand.Reader, id)
		if err == nil {
			err = ring.Add(key)
		}
		if err == nil {
			err = ring.Activate(id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return ring
}

func mustSeal(t testing.TB, ring *seal.Keyring, plaintext, aad string) []byte {
	t.Helper()
	sealed, err := ring.Seal(secret.FromString(plaintext), aad)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestWhatIsSealedOpensOnlyWithTheSameText(t *testing.T) {
	ring := newRing(t, 7)
	random := mathrand.New(mathrand.NewPCG(1, 0))
	text := func(alphabet int) string {
		b := make([]byte, random.IntN(20))
		for i := range b {
			b[i] = byte(random.IntN(alphabet))
		}
		return string(b)
	}
	for range 1000 {
		plaintext, aad, other := []byte(text(256)), text(2), text(2) // a small alphabet: near misses
		sealed, err := ring.Seal(secret.New(plaintext), aad)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := ring.Open(sealed, aad)
		if err != nil || !bytes.Equal(opened.Reveal(), plaintext) {
			t.Fatalf("opened %d bytes, %v", opened.Len(), err)
		}
		if _, err := ring.Open(sealed, other); err == nil && other != aad {
			t.Fatalf("sealed for %q, opened for %q", aad, other)
		}
	}
}

func TestSealedBytesNameTheirKeyAndNeverRepeat(t *testing.T) {
	ring := newRing(t, 0x01020304)
	a, b := mustSeal(t, ring, "value", "row"), mustSeal(t, ring, "value", "row")
	if want := []byte{'R', 1, 2, 3, 4}; !bytes.HasPrefix(a, want) || len(a) != 5+12+len("value")+16 {
		t.Errorf("sealed as %x", a)
	}
	if id, err := seal.KeyID(a); err != nil || id != 0x01020304 {
		t.Errorf("KeyID = %d, %v", id, err)
	}
	if bytes.Equal(a[5:17], b[5:17]) || bytes.Contains(a, []byte("value")) {
		t.Error("the nonce was used twice, or the value is readable")
	}
}

func TestAChangedBitIsNoticed(t *testing.T) {
	ring := newRing(t, 1, 2)
	sealed := mustSeal(t, ring, "value", "row")
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if _, err := ring.Open(changed, "row"); !fault.Is(err, fault.Internal) {
				t.Fatalf("bit %d of byte %d changed: %v", bit, i, err)
			}
		}
	}
	for n := range sealed {
		if _, err := ring.Open(sealed[:n], "row"); !fault.Is(err, fault.Internal) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestTheDataKeyChangesOnline(t *testing.T) {
	// Given a value of key 1, when key 2 becomes active, then both values open ...
	ring := newRing(t, 1)
	old := mustSeal(t, ring, "old", "row")
	next, _, err := newRoot(t, "a test").NewDataKey(rand.Reader, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Activate(2); !fault.Is(err, fault.NotFound) {
		t.Errorf("activated a key that is not there: %v", err)
	}
	if err := ring.Add(next); err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(next); !fault.Is(err, fault.Conflict) {
		t.Errorf("added twice: %v", err)
	}
	if err := ring.Activate(2); err != nil {
		t.Fatal(err)
	}
	fresh := mustSeal(t, ring, "fresh", "row")
	if id, _ := seal.KeyID(fresh); id != 2 {
		t.Errorf("sealed with key %d", id)
	}
	for _, sealed := range [][]byte{old, fresh} {
		if _, err := ring.Open(sealed, "row"); err != nil {
			t.Error(err)
		}
	}
	// ... and when key 1 goes, only the new one.
	if err := ring.Remove(2); !fault.Is(err, fault.Conflict) {
		t.Errorf("removed the active key: %v", err)
	}
	if err := ring.Remove(1); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Open(old, "row"); err == nil || !strings.Contains(err.Error(), "data key 1") {
		t.Errorf("opened with a key that is gone: %v", err)
	}
	if id, ok := ring.Active(); !ok || id != 2 || fmt.Sprint(ring.IDs()) != "[2]" {
		t.Errorf("active %d of %v", id, ring.IDs())
	}
}

func TestSealingGoesOnWhileKeysChange(t *testing.T) {
	ring, root := newRing(t, 0), newRoot(t, "a test")
	var sealers sync.WaitGroup
	for range 4 {
		sealers.Go(func() {
			for range 500 {
				sealed, err := ring.Seal(secret.FromString("value"), "row")
				if err == nil {
					_, err = ring.Open(sealed, "row")
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for id := uint32(1); id <= 50; id++ {
		key, _, err := root.NewDataKey(rand.Reader, id)
		if err == nil {
			err = ring.Add(key)
		}
		if err == nil {
			err = ring.Activate(id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sealers.Wait()
}

func TestAnEmptyRingSealsNothing(t *testing.T) {
	ring := &seal.Keyring{}
	if _, err := ring.Seal(secret.FromString("value"), "row"); !fault.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
	if _, ok := ring.Active(); ok || ring.Remove(3) != nil {
		t.Error("an empty ring has a key")
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	root, err := seal.ParseRoot("REKEY_DATA_KEY", secret.FromString(rootText))
	if err != nil {
		t.Fatal(err)
	}
	key, _, err := root.NewDataKey(bytes.NewReader(bytes.Repeat([]byte("K"), 32)), 1)
	if err != nil {
		t.Fatal(err)
	}
	ring := &seal.Keyring{}
	if err := ring.Add(key); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, v := range []any{root, key, ring} {
		fmt.Fprintf(&text, "%v %+v %#v %s %x %d\n", v, v, v, v, v, v)
		slog.New(slog.NewTextHandler(&text, nil)).Info("key", "key", v)
		if b, err := json.Marshal(v); err == nil {
			text.Write(b)
		}
	}
	for _, leak := range []string{"KKKK", "4b4b4b4b", "75 75 75", "00010203", "AAECAw", "1 2 3 4"} {
		if strings.Contains(text.String(), leak) {
			t.Errorf("%q is in %s", leak, text.String())
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	ring, value := newRing(b, 1), secret.New(make([]byte, 64))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Seal(value, "acme:variable:db/password\x003"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	ring := newRing(b, 1)
	sealed := mustSeal(b, ring, strings.Repeat("x", 64), "acme:variable:db/password\x003")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.Open(sealed, "acme:variable:db/password\x003"); err != nil {
			b.Fatal(err)
		}
	}
}
