package delegate

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// Whatever a value looks like, and however a program writes it into its message, nobody
// gets to see it.
func TestAMessageTellsNoSecret(t *testing.T) {
	source := rand.New(rand.NewPCG(3, 4))
	alphabet := []rune("abcXYZ019 \"'\\/<>&%+=?#\n\té鍵")
	for range 2000 {
		value := make([]rune, 4+source.IntN(30))
		for i := range value {
			value[i] = alphabet[source.IntN(len(alphabet))]
		}
		v := string(value)
		if strings.TrimSpace(v) == "" {
			continue
		}
		s := secret.FromString(v)
		q := []Question{{Current: s}, {Next: s}, {Old: s}, {Value: s}, {Secrets: map[string]secret.Bytes{"token": s}}}[source.IntN(5)]
		written := []string{v, url.QueryEscape(v), url.PathEscape(v), hex.EncodeToString([]byte(v)), base64.StdEncoding.EncodeToString([]byte(v))}[source.IntN(5)]
		if got := q.discreet("refused: " + written + " is no good"); !strings.Contains(got, "not shown") {
			t.Fatalf("%q written as %q is shown as %q", v, written, got)
		}
	}
}

func TestAMessageIsOneLineOfWords(t *testing.T) {
	q := Question{Next: secret.FromString("new-Value-1"), Value: secret.FromString("no"), Variables: map[string]secret.Bytes{"username": secret.FromString("app1")}}
	for message, want := range map[string]string{
		"app1 is no user":        "app1 is no user", // neither what may be shown nor what is too short to tell is hidden
		"two\r\nlines\x00\x1b[m": "two lines [m",
		strings.Repeat("é", 500): strings.Repeat("é", 200) + "...",
		"\xff\xfe":               "\ufffd\ufffd",
	} {
		got := q.discreet(message)
		if got != want && utf8.ValidString(message) {
			t.Errorf("%q, want %q", got, want)
		}
		if strings.ContainsAny(got, "\r\n\x00\x1b") {
			t.Errorf("%q is not one line", got)
		}
	}
}

func TestWhatIsNoAnswer(t *testing.T) {
	for _, text := range []string{"", "ok", "[]", `"ok"`, `{"result":1}`, `{"result":"ok"`, `{"result":"ok"} {}`, `{"value":"` + strings.Repeat("x", maxAnswer) + `"}`} {
		if _, err := ParseAnswer([]byte(text)); err == nil || strings.Contains(err.Error(), "xxx") {
			t.Errorf("%.20s: %v", text, err)
		}
	}
}

func TestAProbeLeavesNoDoubtBehind(t *testing.T) {
	for operation, want := range map[string]target.Class{Apply: target.Uncertain, Retire: target.Uncertain, Probe: target.Unreachable} {
		if got := target.ClassOf((Question{Operation: operation}).Broken("it", "broke")); got != want {
			t.Errorf("%s: %s, want %s", operation, got, want)
		}
	}
}
