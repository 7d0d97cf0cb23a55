package mongodb_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/mongodb"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/mongodbtest"
	"rekey/internal/secret"
)

const prefix = "rotation/mongodb/password/"

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	other, err := targettest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	go targettest.Accept(plain, alone.Serve)
	fails := targettest.Fails
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	alone.Create(t, "app.elder", "entry-Password-1", mongodbtest.User{Self: true, Mechanisms: []string{"SCRAM-SHA-1"}})
	targettest.Suite{
		Kind:     mongodb.Kind(),
		Server:   "a server of our own that checks SCRAM-SHA-256 and privileges as MongoDB documents them, and that the official Go driver logs in to; no MongoDB",
		Without:  targettest.Without{targettest.StatementLog: "a server of our own has none"},
		Modes:    []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		Account:  alone.Account,
		Login:    alone.Login,
		Foresees: []targettest.Mode{targettest.Self, targettest.Admin, targettest.Alternating},
		Users:    []string{`Robert"}); db.dropAllUsers(); //`, `{"$gt": ""}`, "100%41%", "Größe名", "a.b$c=2C=d", strings.Repeat("x", 200)},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]&tls=false",
			`{"$gt": ""}`, "ﬁrst ligature Ⅸ", strings.Repeat("long1", 15)},
		BadValue: func(string) string { return "a bell\aPassword" },
		Untrusted: map[string]targettest.Elsewhere{
			"an authority that did not sign": fails(set("/pki/ca", other.PEM), target.Refused, "unknown authority"),
			"another host's certificate":     fails(set("url", fmt.Sprintf("127.0.0.1:%d", alone.Port)), target.Refused, "another host"),
			"a server without TLS":           fails(set("url", "localhost:"+port(plain)), target.Unreachable, "lost"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"users of another database":   fails(set("url", alone.URL("")), target.AuthFailed, "does not accept"),
			"a user of another mechanism": fails(set("username", "elder"), target.Refused, "SCRAM-SHA-256"),
			"another replica set":         fails(set("url", alone.URL("app?replicaSet=rs9")), target.Refused, "replica set"),
			"a secondary alone":           fails(set("url", secondary.URL("app")), target.Unreachable, "not the primary"),
			"a URL with a password":       fails(set("url", "mongodb://some:one@localhost"), target.Refused, "variables of their own"),
			"no TLS wanted":               fails(set("url", alone.URL("?tls=false")), target.Refused, "TLS"),
			"a parameter":                 fails(set("url", alone.URL("?tlsInsecure=true")), target.Refused, "tlsInsecure"),
			"names of members in DNS":     fails(set("url", "mongodb+srv://cluster.example.com"), target.Refused, "members"),
			"no TLS by annotation":        fails(func(a targettest.Account) { a.Annotations[prefix+"sslmode"] = "disable" }, target.Refused, "TLS"),
			"an authority that is none":   fails(set("/pki/ca", "trust me"), target.Refused, "PEM"),
		},
	}.Run(t)
}

func port(l net.Listener) string { return fmt.Sprint(l.Addr().(*net.TCPAddr).Port) }

func bind(t *testing.T, values map[string]string) target.Target {
	t.Helper()
	made, err := tryBind(values)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func tryBind(values map[string]string) (target.Target, error) {
	secrets := map[string]secret.Bytes{"ca": secret.FromString(authority.PEM), "username": secret.FromString("app")}
	for name, v := range values {
		secrets[name] = secret.FromString(v)
	}
	var d net.Dialer
	return mongodb.Kind().Bind(target.Binding{Annotations: map[string]string{prefix + "ca": "ca"}, Values: secrets, Dial: d.DialContext, Rand: rand.Reader})
}

func credential(password string) target.Credential {
	return target.Credential{target.Main: secret.FromString(password)}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Given the members of a set, of which one is silent and one a secondary, when the password
// rotates, then the primary is asked, whichever it is.
func TestThePrimaryOfASetIsAsked(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	primary.Create(t, "admin.app", "old-Password-1", mongodbtest.User{Self: true})
	made := bind(t, map[string]string{"url": fmt.Sprintf("mongodb://localhost:%s,localhost:1,localhost:%d,localhost:%d/?replicaSet=rs0&tls=true", port(silent), secondary.Port, primary.Port)})
	next := credential("new-Password-1")
	if _, err := made.Apply(within(t, 4*time.Second), credential("old-Password-1"), next); err != nil {
		t.Fatal(err)
	}
	if !primary.Accepts("admin", "app", "new-Password-1") || secondary.Seen("updateUser") != 1 {
		t.Error("the primary does not have it")
	}
	made = bind(t, map[string]string{"url": fmt.Sprintf("localhost:1,localhost:%d", secondary.Port)})
	if err := made.Probe(within(t, 4*time.Second), next); target.ClassOf(err) != target.Unreachable {
		t.Errorf("without a primary: %v", err)
	}
}

func TestAnAddressSaysAllThatMatters(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"db", "db:1", "db,other", "mongodb://db/app", "mongodb://db/?replicaSet=rs", "[::1]:27017"} {
		identity := bind(t, map[string]string{"url": text}).Identity()
		if other, ok := seen[identity]; ok {
			t.Errorf("%s and %s have identity %s", text, other, identity)
		}
		seen[identity] = text
	}
	for text, same := range map[string]string{"mongodb://db:27017/?authSource=admin": "db", " mongodb://db/admin\n": "db", "mongodb://db/?authSource=app&ssl=true": "mongodb://db/app"} {
		if bind(t, map[string]string{"url": text}).Identity() != bind(t, map[string]string{"url": same}).Identity() {
			t.Errorf("%s is not %s", text, same)
		}
	}
	for _, text := range []string{"https://db", "db,", "db:", "db:0", "db:65536", "a b", "[::g]", "mongodb://db/%zz", "mongodb://db/?authSource=", "mongodb://db/?authSource=a.b", "mongodb://db/?x=%zz", "/tmp/mongodb.sock"} {
		if _, err := tryBind(map[string]string{"url": text}); target.ClassOf(err) != target.Refused {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWhatAServerSaysHasAClass(t *testing.T) {
	site := targettest.At(t)
	f, err := mongodbtest.Start(site)
	if err != nil {
		t.Fatal(err)
	}
	made := bind(t, map[string]string{"url": f.URL(""), "ca": site.Authority.PEM})
	concern := bson.D{{Key: "ok", Value: 1.0}, {Key: "writeConcernError", Value: bson.D{{Key: "code", Value: int32(64)}}}}
	for _, test := range []struct {
		command string
		answer  bson.D
		class   target.Class
		words   string
	}{
		{"hello", mongodbtest.Failure(59, ""), target.Refused, "older"},
		{"hello", mongodbtest.Failure(91, ""), target.Unreachable, "now"},
		{"hello", bson.D{{Key: "ok", Value: "yes"}}, target.Refused, "protocol"},
		{"hello", bson.D{{Key: "ok", Value: 1.0}, {Key: "isWritablePrimary", Value: "yes"}}, target.Refused, "protocol"},
		{"saslStart", mongodbtest.Failure(18, ""), target.AuthFailed, "does not accept"},
		{"saslStart", mongodbtest.Failure(334, ""), target.Refused, "SCRAM-SHA-256"},
		{"saslStart", mongodbtest.Failure(11600, ""), target.Unreachable, "now"},
		{"saslStart", mongodbtest.Failure(8000, ""), target.Refused, "8000"},
		{"saslStart", bson.D{{Key: "ok", Value: 1.0}, {Key: "done", Value: true}}, target.Refused, "prove"},
		{"saslContinue", bson.D{{Key: "ok", Value: 1.0}, {Key: "done", Value: true}, {Key: "payload", Value: []byte("v=AAAA")}}, target.Refused, "prove"},
		{"updateUser", mongodbtest.Failure(11, ""), target.Refused, "authSource"},
		{"updateUser", mongodbtest.Failure(13, ""), target.Refused, "changeOwnPassword"},
		{"updateUser", mongodbtest.Failure(10107, ""), target.Unreachable, "any more"},
		{"updateUser", mongodbtest.Failure(189, ""), target.Uncertain, "interrupted"},
		{"updateUser", mongodbtest.Failure(2, ""), target.Refused, "error 2"},
		{"updateUser", concern, target.Uncertain, "most members"},
		{"updateUser", bson.D{{Key: "ok", Value: "yes"}}, target.Uncertain, "after the change"},
	} {
		f.Create(t, "admin.app", "old-Password-1", mongodbtest.User{Self: true})
		f.Answer(test.command, test.answer)
		_, err := made.Apply(within(t, 5*time.Second), credential("old-Password-1"), credential("new-Password-1"))
		if target.ClassOf(err) != test.class || err == nil || !strings.Contains(err.Error(), test.words) || strings.Contains(err.Error(), "in words") {
			t.Errorf("%s answers %v: %v, want %v with %q", test.command, test.answer, err, test.class, test.words)
		}
	}
}

// A server that does not know the user's password cannot pretend to: it learns nothing, and
// is not taken for the right one.
func TestAServerHasToProveThatItKnowsTheUser(t *testing.T) {
	alone.Create(t, "admin.proof", "another-Password-1", mongodbtest.User{Self: true})
	err := bind(t, map[string]string{"url": alone.URL(""), "username": "proof"}).Probe(within(t, 5*time.Second), credential("old-Password-1"))
	if target.ClassOf(err) != target.AuthFailed {
		t.Error(err)
	}
}

// Whatever somebody says in place of a server, it neither harms nor is it believed.
func TestWhatIsNoMessageCannotHarm(t *testing.T) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan []byte, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write(<-said) // the client tells
			_ = conn.Close()
		}
	}()
	made := bind(t, map[string]string{"url": "localhost:" + port(l)})
	for _, text := range []string{"", "HTTP/1.1 400 Bad Request\r\n\r\n", strings.Repeat("\x00", 64), strings.Repeat("\xff", 64),
		"\x1a\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00",
		"\x15\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\xdd\x07\x00\x00\x01\x00\x00\x00\x00",
		"\x1a\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\xdd\x07\x00\x00\x00\x00\x00\x00\x01\x05\x00\x00\x00\x00"} {
		said <- []byte(text)
		if err := made.Probe(within(t, 5*time.Second), credential("old-Password-1")); err == nil || target.ClassOf(err) != target.Refused && target.ClassOf(err) != target.Unreachable {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	dir := t.TempDir()
	if err := authority.Issue(dir, "localhost"); err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(dir+"/server.crt", dir+"/server.key")
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}}
}
