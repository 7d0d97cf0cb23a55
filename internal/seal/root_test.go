package seal_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/seal"
	"rekey/internal/secret"
)

func TestRootKeysAreStrictBase64Of32Bytes(t *testing.T) {
	for name, text := range map[string]string{"bare": rootText, "with a line end": rootText + "\n", "among blanks": " \t" + rootText + "\r\n"} {
		if _, err := seal.ParseRoot("REKEY_DATA_KEY", secret.FromString(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cases := []struct{ name, text, want string }{
		{"nothing", "", "is empty"},
		{"blanks", " \n", "is empty"},
		{"padding missing", strings.TrimRight(rootText, "="), "not standard base64"},
		{"url-safe", strings.Repeat("-_", 21) + "A=", "position 1 is wrong"},
		{"line break inside", rootText[:20] + "\n" + rootText[20:], "line break at position 21"},
		{"16 bytes", "AAECAwQFBgcICQoLDA0ODw==", "has 16 bytes, not 32"},
		{"33 bytes", strings.Repeat("AAAA", 11), "has 33 bytes, not 32"},
		{"loose last bits", rootText[:42] + "9=", "position 4"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := seal.ParseRoot("/etc/rekey/root.key", secret.FromString(c.text))
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the root key in /etc/rekey/root.key") {
				t.Fatalf("got %v", err)
			}
			if len(c.text) > 8 && strings.Contains(err.Error(), c.text[:8]) {
				t.Errorf("the fault shows the key: %v", err)
			}
		})
	}
}

func TestAWrappedKeyUnwrapsToTheSameKey(t *testing.T) {
	root := newRoot(t, "REKEY_DATA_KEY")
	key, wrapped, err := root.NewDataKey(rand.Reader, 5)
	if err != nil {
		t.Fatal(err)
	}
	before, after := &seal.Keyring{}, &seal.Keyring{}
	if before.Add(key) != nil || before.Activate(5) != nil {
		t.Fatal("the new key was refused")
	}
	again, err := root.Unwrap(5, wrapped)
	if err != nil || again.ID() != 5 || after.Add(again) != nil {
		t.Fatal(err)
	}
	if opened, err := after.Open(mustSeal(t, before, "value", "row"), "row"); err != nil || opened.RevealString() != "value" {
		t.Errorf("after a restart: %v", err)
	}
}

func TestTheWrongRootKeyIsNamed(t *testing.T) {
	right, wrong := newRoot(t, "REKEY_DATA_KEY"), newRoot(t, "/run/secrets/root")
	_, wrapped, err := right.NewDataKey(rand.Reader, 5)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.Unwrap(5, wrapped)
	if !fault.Is(err, fault.Invalid) {
		t.Fatalf("got %v", err)
	}
	for _, part := range []string{"/run/secrets/root", wrong.Fingerprint(), right.Fingerprint(), "data key 5"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
}

func TestADamagedWrappedKeyIsNoticed(t *testing.T) {
	root := newRoot(t, "REKEY_DATA_KEY")
	_, wrapped, err := root.NewDataKey(rand.Reader, 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := root.Unwrap(6, wrapped); !fault.Is(err, fault.Internal) {
		t.Errorf("unwrapped as another id: %v", err)
	}
	for i := range wrapped {
		changed := bytes.Clone(wrapped)
		changed[i] ^= 1
		if _, err := root.Unwrap(5, changed); err == nil {
			t.Errorf("byte %d changed: unwrapped", i)
		}
		if _, err := root.Unwrap(5, wrapped[:i]); err == nil {
			t.Errorf("cut to %d bytes: unwrapped", i)
		}
	}
	changed := bytes.Clone(wrapped)
	changed[4] = 6 // the id, under which the key must not open either
	if _, err := root.Unwrap(6, changed); !fault.Is(err, fault.Internal) {
		t.Errorf("renumbered: %v", err)
	}
}

func TestTheRootKeyCanBeReplaced(t *testing.T) {
	from, to := newRoot(t, "old"), newRoot(t, "new")
	key, wrapped, err := from.NewDataKey(rand.Reader, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.Rewrap(from, 1, wrapped); !fault.Is(err, fault.Invalid) {
		t.Errorf("the wrong way round: %v", err)
	}
	rewrapped, err := from.Rewrap(to, 1, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := from.Unwrap(1, rewrapped); !fault.Is(err, fault.Invalid) {
		t.Errorf("the old root key still unwraps: %v", err)
	}
	again, err := to.Unwrap(1, rewrapped)
	if err != nil {
		t.Fatal(err)
	}
	before, after := &seal.Keyring{}, &seal.Keyring{}
	if before.Add(key) != nil || before.Activate(1) != nil || after.Add(again) != nil {
		t.Fatal("the ring refused a key")
	}
	if _, err := after.Open(mustSeal(t, before, "value", "row"), "row"); err != nil {
		t.Error(err)
	}
}

func TestADryWellGivesNoKey(t *testing.T) {
	short := bytes.NewReader(make([]byte, 31))
	if _, _, err := newRoot(t, "a test").NewDataKey(short, 1); err == nil {
		t.Error("made a key of 31 bytes")
	}
}

func TestConjursSealedValuesOpen(t *testing.T) {
	key, err := seal.ParseRoot("CONJUR_DATA_KEY", secret.FromString(rootText))
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ plaintext, aad, sealed string }{
		{"s3cret!", "myorg:variable:db/password", "47b1bac3679e85bff4908ae716055d4d4c202122232425262728292a2ba109c50209ec3b"},
		{"hf-token", "", "47b601b084dff887fab87d05ab42e82ae4202122232425262728292a2bba5c8b0403f37f60"},
	}
	for _, c := range cases {
		sealed, err := hex.DecodeString(c.sealed)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := seal.OpenConjur(key, sealed, c.aad)
		if err != nil || opened.RevealString() != c.plaintext {
			t.Errorf("%s: %q, %v", c.plaintext, opened.RevealString(), err)
		}
		if _, err := seal.OpenConjur(key, sealed, c.aad+"x"); !fault.Is(err, fault.Invalid) {
			t.Errorf("opened for another row: %v", err)
		}
		if _, err := seal.OpenConjur(newRoot(t, "CONJUR_DATA_KEY"), sealed, c.aad); err == nil || !strings.Contains(err.Error(), "CONJUR_DATA_KEY") {
			t.Errorf("opened with another key: %v", err)
		}
		for n := range sealed {
			if _, err := seal.OpenConjur(key, sealed[:n], c.aad); !fault.Is(err, fault.Invalid) {
				t.Fatalf("cut to %d bytes: %v", n, err)
			}
		}
		sealed[0] = 'R'
		if _, err := seal.OpenConjur(key, sealed, c.aad); !fault.Is(err, fault.Invalid) {
			t.Errorf("opened another format: %v", err)
		}
	}
}
