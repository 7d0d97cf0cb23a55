package webhook_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/webhook"
	"rekey/internal/secret"
)

const prefix = "rotation/webhook/"

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	fails := targettest.Fails
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	targettest.Suite{
		Kind:   webhook.Kind(time.Now),
		Modes:  []targettest.Mode{targettest.Self},
		Server: "an HTTPS server of our own",
		Without: targettest.Without{
			targettest.AdminPrivilege: "who may do what is the receiver's business",
			targettest.OwnPrivilege:   "who may do what is the receiver's business",
			targettest.StatementLog:   "the receiver's business",
		},
		Account:   server.Account,
		Login:     server.Login,
		Keeps:     true,
		Users:     []string{`it's "so" $(id); --`, "Größe\n", "{}"},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1\r\n", "<p@ss&w/ord>", strings.Repeat("long1", 1000)},
		BadValue:  func(string) string { return "tiny" },
		Misspelt: []targettest.Misspelt{
			{Name: "an unknown one", Annotations: map[string]string{"lenght": "20"}, At: "lenght"},
			{Name: "a program", Annotations: map[string]string{"program": "x"}, At: "program"},
			{Name: "a length that is none", Annotations: map[string]string{"length": "long"}, At: "length"},
		},
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     fails(func(a targettest.Account) { a.Values["url"] = strings.Replace(server.URL, "localhost", "127.0.0.1", 1) }, target.Refused, "another host"),
			"no TLS":                         fails(set("url", "http://localhost/"), target.Refused, "https"),
			"a URL with a password":          fails(set("url", "https://a:b@localhost/"), target.Refused, "https"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"another key":               fails(set("signing-key", "another key of some length"), target.Refused, "signature"),
			"a short key":               fails(set("signing-key", "short"), target.Refused, "signing-key"),
			"a user that is not there":  fails(set("username", "nobody"), target.Refused, "no such user"),
			"a place that is not there": fails(set("url", server.URL+"/elsewhere"), target.Refused, "404"),
		},
	}.Run(t)
}

func bind(t *testing.T, a targettest.Account, now func() time.Time) target.Target {
	t.Helper()
	return targettest.Bind(t, webhook.Kind(now), a)
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func credential(value string) target.Credential {
	return target.Credential{target.Main: secret.FromString(value)}
}

var current, next = credential("old-Value-1"), credential("new-Value-1")

func TestTheStatusDecidesTheClass(t *testing.T) {
	const fine = target.Class(0)
	for path, want := range map[string]struct{ apply, probe, retire target.Class }{
		"200": {fine, fine, fine},
		"202": {fine, fine, fine},
		"204": {fine, fine, fine},
		"301": {target.Refused, target.Refused, target.Refused},
		"307": {target.Refused, target.Refused, target.Refused},
		"400": {target.Refused, target.Refused, target.Refused},
		"401": {target.AuthFailed, target.AuthFailed, target.Refused},
		"403": {target.AuthFailed, target.AuthFailed, target.Refused},
		"404": {target.Refused, target.Refused, target.Refused},
		"408": {target.Uncertain, target.Unreachable, target.Uncertain},
		"409": {target.Refused, target.Refused, target.Refused},
		"422": {target.Refused, target.Refused, target.Refused},
		"429": {target.Unreachable, target.Unreachable, target.Unreachable},
		"500": {target.Uncertain, target.Unreachable, target.Uncertain},
		"502": {target.Uncertain, target.Unreachable, target.Uncertain},
		"503": {target.Unreachable, target.Unreachable, target.Unreachable},
		"504": {target.Uncertain, target.Unreachable, target.Uncertain},
		"200?body=" + url.QueryEscape(`{"result":"refused","message":"no"}`): {target.Refused, target.Refused, target.Refused},
		"200?body=" + url.QueryEscape(`{"result":"perhaps"}`):                {target.Uncertain, target.Unreachable, target.Uncertain},
		"200?body=" + url.QueryEscape("<html>hello</html>"):                  {fine, fine, fine},
		"409?body=" + url.QueryEscape(`{"message":"new-Value-1 is known"}`):  {target.Refused, target.Refused, target.Refused},
		"500?body=" + url.QueryEscape(`{"result":"ok"}`):                     {target.Uncertain, target.Unreachable, target.Uncertain},
	} {
		t.Run(path, func(t *testing.T) {
			a := server.Of("app")
			a.Values["url"] = server.URL + "/always/" + path
			made := bind(t, a, time.Now)
			check := func(what string, err error, want target.Class) {
				if want == 0 && err != nil || want != 0 && (err == nil || target.ClassOf(err) != want) {
					t.Errorf("%s: %v, want %s", what, err, want)
				}
				if err != nil && (strings.Contains(err.Error(), "new-Value-1") || strings.Contains(err.Error(), "/always")) {
					t.Errorf("%s: %v tells too much", what, err)
				}
			}
			_, err := made.Apply(within(t, 20*time.Second), current, next)
			check("apply", err, want.apply)
			if e, ok := err.(*target.Error); ok && e.BadValue != (path == "422") {
				t.Errorf("a bad value: %v", e.BadValue)
			}
			check("probe", made.Probe(within(t, 20*time.Second), next), want.probe)
			check("retire", made.Retire(within(t, 20*time.Second), next, current), want.retire)
		})
	}
}

func TestAServerThatDoesNotComeToAnEnd(t *testing.T) {
	a := server.Of("app")
	a.Values["url"] = server.URL + "/slow"
	made := bind(t, a, time.Now)
	_, err := made.Apply(within(t, time.Second), current, next)
	if target.ClassOf(err) != target.Uncertain {
		t.Errorf("apply: %v", err)
	}
	if err := made.Probe(within(t, time.Second), next); target.ClassOf(err) != target.Unreachable {
		t.Errorf("probe: %v", err)
	}
	a.Values["url"] = server.URL + "/endless"
	if _, err := bind(t, a, time.Now).Apply(within(t, 20*time.Second), current, next); err != nil {
		t.Errorf("what is too long for an answer is none: %v", err)
	}
}

func TestAnOldSignatureIsRefused(t *testing.T) {
	server.Create(t, "late", "old-Value-1")
	for name, test := range map[string]struct {
		clock func() time.Time
		want  target.Class
	}{
		"now":           {time.Now, 0},
		"ten minutes":   {func() time.Time { return time.Now().Add(-10 * time.Minute) }, target.Refused},
		"in the future": {func() time.Time { return time.Now().Add(10 * time.Minute) }, target.Refused},
	} {
		err := bind(t, server.Of("late"), test.clock).Probe(within(t, 20*time.Second), current)
		if test.want == 0 && err != nil || test.want != 0 && target.ClassOf(err) != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The request goes where it was told, signed, whatever the environment says of proxies.
func TestTheRequestIsAsThePageSays(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	var got *http.Request
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Write([]byte(`{"value":"issued-Value-1"}`))
	}))
	defer s.Close()
	a := server.Of("app")
	a.Annotations[prefix+"value"] = "issued"
	a.Values["url"] = s.URL + "/a%20b?token=hidden"
	a.Values["ca"] = pemOf(s)
	made := bind(t, a, func() time.Time { return time.Unix(1700000000, 0) })
	issued, err := made.Apply(within(t, 20*time.Second), current, nil)
	if err != nil || issued[target.Main].RevealString() != "issued-Value-1" {
		t.Fatalf("%v", err)
	}
	if got.Method != "POST" || got.RequestURI != "/a%20b?token=hidden" || got.Header.Get("Content-Type") != "application/json" ||
		got.Header.Get("Rekey-Timestamp") != "1700000000" || !strings.HasPrefix(got.Header.Get("Rekey-Signature"), "v1=") {
		t.Errorf("%s %s %v", got.Method, got.RequestURI, got.Header)
	}
	if identity := made.Identity(); strings.Contains(identity, "hidden") || !strings.Contains(identity, "ca sha256:") {
		t.Errorf("the identity is %s", identity)
	}
}

func pemOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}
