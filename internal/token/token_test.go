package token_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"rekey/internal/fault"
	"rekey/internal/secret"
	"rekey/internal/token"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB) *token.Key {
	t.Helper()
	key, err := token.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issue(t testing.TB, key *token.Key, subject string) []byte {
	t.Helper()
	issued, err := key.Issue(subject, noon, 8*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func TestATokenHasTheShapeThatClientsKnow(t *testing.T) {
	key := newKey(t)
	issued := issue(t, key, "host/<web>/01")
	shape := regexp.MustCompile(`^\{"protected":"([\w-]+=*)","payload":"([\w-]+=*)","signature":"([\w-]+=*)"\}$`)
	members := shape.FindStringSubmatch(string(issued))
	if members == nil {
		t.Fatalf("issued %s", issued)
	}
	var decoded [4][]byte
	for i := 1; i < 4; i++ {
		var err error
		if decoded[i], err = base64.URLEncoding.DecodeString(members[i]); err != nil {
			t.Fatalf("member %d is not padded base64url: %v", i, err)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	if want := `{"alg":"EdDSA","kid":"` + hex.EncodeToString(sum[:]) + `"}`; string(decoded[1]) != want {
		t.Errorf("protected is %s, want %s", decoded[1], want)
	}
	if want := fmt.Sprintf(`{"iat":%d,"sub":"host/<web>/01","exp":%d}`, noon.Unix(), noon.Unix()+480); string(decoded[2]) != want {
		t.Errorf("payload is %s, want %s", decoded[2], want)
	}
	if !ed25519.Verify(key.Public(), []byte(members[1]+"."+members[2]), decoded[3]) {
		t.Error("the signature is not over the padded members")
	}
}

func TestASubjectIsQuoted(t *testing.T) {
	key := newKey(t)
	for _, subject := range []string{`a"b\c`, "line\nbreak", "emoji 🔑", "x\",\"exp\":9"} {
		var members map[string]string
		if err := json.Unmarshal(issue(t, key, subject), &members); err != nil {
			t.Fatal(err)
		}
		payload, err := base64.URLEncoding.DecodeString(members["payload"])
		if err != nil {
			t.Fatal(err)
		}
		var claims struct{ Sub string }
		if err := json.Unmarshal(payload, &claims); err != nil || claims.Sub != subject {
			t.Errorf("%q came back as %q, %v", subject, claims.Sub, err)
		}
	}
	for _, bad := range []string{"", "\xff"} {
		if _, err := key.Issue(bad, noon, time.Minute); !fault.Is(err, fault.Invalid) {
			t.Errorf("subject %q: %v", bad, err)
		}
	}
}

func TestAKeySurvivesStorage(t *testing.T) {
	key := newKey(t)
	der, err := key.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := token.ParseKey(der)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != key.ID() || !bytes.Equal(issue(t, key, "alice"), issue(t, again, "alice")) {
		t.Error("the key came back as another")
	}
	text, err := key.PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" {
		t.Fatalf("PEM is %s", text)
	}
	if public, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil || !key.Public().Equal(public) {
		t.Errorf("the PEM is not the public key: %v", err)
	}
	if shown := fmt.Sprintf("%v %+v %x", key, key, key); strings.Contains(shown, hex.EncodeToString(der.Reveal()[16:24])) || !strings.Contains(shown, key.ID()) {
		t.Errorf("a key prints as %s", shown)
	}
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	if _, err := token.ParseKey(secret.FromString("not DER")); !fault.Is(err, fault.Internal) {
		t.Errorf("got %v", err)
	}
	if _, err := token.NewKey(strings.NewReader("short")); err == nil {
		t.Error("a source that ends gave a key")
	}
}

func TestTheSetOfKeysIsReplacedWhollyOrNotAtAll(t *testing.T) {
	key := newKey(t)
	keys := &token.Keys{}
	if err := keys.Replace([]token.VerificationKey{{Account: "acme", Public: key.Public()}}); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]token.VerificationKey{
		"one key for two accounts": {{Account: "a", Public: key.Public()}, {Account: "b", Public: key.Public()}},
		"a short key":              {{Account: "a", Public: key.Public()[:31]}},
	} {
		if err := keys.Replace(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := token.NewVerifier(keys).Verify(header(issue(t, key, "alice")), noon, client); err != nil {
		t.Errorf("after refused replacements: %v", err)
	}
}
