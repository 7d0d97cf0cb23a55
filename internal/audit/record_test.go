package audit_test

import (
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rekey/internal/audit"
)

var noon = time.Date(2026, 3, 1, 13, 0, 0, 7_900_000, time.FixedZone("CET", 3600))

func line(r *audit.Record) string { return string(audit.AppendRFC5424(nil, r)) }

func TestARecordIsWrittenAsRFC5424(t *testing.T) {
	r := &audit.Record{
		Time: noon, RequestID: "d1b2", Facility: audit.Authpriv, Severity: audit.Notice,
		MsgID: "policy", Operation: "add", Result: audit.Success,
		Subject: []audit.Pair{{Name: "role", Value: "acme:user:bob"}}, Auth: []audit.Pair{{Name: "user", Value: "acme:user:admin"}},
		ClientIP: "10.1.2.3", Policy: []audit.Pair{{Name: "id", Value: "acme:policy:root"}, {Name: "version", Value: "3"}},
		Message: "acme:user:admin added role acme:user:bob",
	}
	want := `<85>1 2026-03-01T12:00:00.007Z - conjur d1b2 policy [auth@43868 user="acme:user:admin"][subject@43868 role="acme:user:bob"]` +
		`[client@43868 ip="10.1.2.3"][action@43868 result="success" operation="add"]` +
		`[policy@43868 id="acme:policy:root" version="3"] acme:user:admin added role acme:user:bob`
	if got := line(r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(audit.AppendRFC5424([]byte("before "), r)); got != "before "+want {
		t.Errorf("appended: %s", got)
	}
}

func TestWithoutARequestTheProcessIsNamed(t *testing.T) {
	if got := line(&audit.Record{MsgID: "x"}); !strings.Contains(got, " - conjur "+strconv.Itoa(os.Getpid())+" x [") {
		t.Errorf("got %s", got)
	}
}

func TestValuesAndMessagesAreEscaped(t *testing.T) {
	cases := []struct{ name, text, value, message string }{
		{"plain", "db/password", "db/password", "db/password"},
		{"delimiters", `a"b\c]d`, `a\"b\\c\]d`, `a"b\c]d`},
		{"line end", "a\nb\r\tc", `a\nb\r\tc`, `a\nb\r\tc`},
		{"controls", "\x00\x1b[0m\x7f", `\x00\x1b[0m\x7f`, `\x00\x1b[0m\x7f`},
		{"C1 controls and line separators", "\u0085\u2028", `\xc2\x85\xe2\x80\xa8`, `\xc2\x85\xe2\x80\xa8`},
		{"letters", "Zürich 日本 🔑", "Zürich 日本 🔑", "Zürich 日本 🔑"},
		{"not UTF-8", "a\xffb", `a\xffb`, `a\xffb`},
		{"the replacement character itself", "\ufffd", "\ufffd", "\ufffd"},
		{"empty", "", "", ""},
	}
	for _, c := range cases {
		got := line(&audit.Record{Subject: []audit.Pair{{Name: "role", Value: c.text}}, ClientIP: c.text, Message: c.text})
		if !strings.Contains(got, `[subject@43868 role="`+c.value+`"]`) || !strings.Contains(got, `ip="`+c.value+`"`) || !strings.HasSuffix(got, `"] `+c.message) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestNamesAreTokens(t *testing.T) {
	got := line(&audit.Record{RequestID: "a b]\n" + strings.Repeat("x", 200), MsgID: "",
		Subject: []audit.Pair{{Name: `k="] y`, Value: "v"}, {Name: strings.Repeat("n", 40), Value: "w"}}})
	for _, part := range []string{" a_b__" + strings.Repeat("x", 123) + " - [", ` k____y="v"`, " " + strings.Repeat("n", 32) + `="w"]`} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is not in %s", part, got)
		}
	}
}

// Whatever the parts are, a record is one line of the grammar, and an attacker who
// chooses a value cannot add an element.
func TestEveryRecordIsOneLineOfTheGrammar(t *testing.T) {
	element := `\[[a-z]+@43868( [^\x00-\x20"=\]\x7f-\x{10ffff}]{1,32}="([^"\\\]]|\\["\\\]nrt]|\\x[0-9a-f]{2})*")*\]`
	grammar := regexp.MustCompile(`^<\d{1,3}>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z - conjur [!-~]{1,128} [!-~]{1,32} (` + element + `){4,5} [^\x00-\x1f\x7f]*$`)
	const nasty = "ab =\"\\]\n\r\t\x00\x1b\x7f\xff\u00fc\u2028[1@"
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		text := func() string {
			b := make([]byte, random.IntN(40))
			for i := range b {
				if b[i] = byte(random.Uint32()); random.IntN(2) == 0 {
					b[i] = nasty[random.IntN(len(nasty))]
				}
			}
			return string(b)
		}
		pairs := func() []audit.Pair {
			p := make([]audit.Pair, random.IntN(4))
			for i := range p {
				p[i] = audit.Pair{Name: text(), Value: text()}
			}
			return p
		}
		got := line(&audit.Record{
			Time: noon, RequestID: text(), Facility: audit.Auth, Severity: audit.Info, MsgID: "list",
			Operation: "list", Result: audit.Success, Subject: pairs(), Auth: pairs(),
			ClientIP: text(), Policy: pairs(), Message: text(),
		})
		if !grammar.MatchString(got) {
			t.Fatalf("seed %d: not of the grammar: %q", seed, got)
		}
	}
}

func BenchmarkAppendRFC5424(b *testing.B) {
	o := audit.Origin{Role: "acme:host:apps/web-01", ClientIP: "10.1.2.3", RequestID: "0f8fad5b-d9cb-469f-a165-70867728950e", Time: noon}
	r, dst := o.Fetch("acme:variable:db/password", 0, nil), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		dst = audit.AppendRFC5424(dst[:0], r)
	}
}
