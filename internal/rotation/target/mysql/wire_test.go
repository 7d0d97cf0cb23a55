package mysql

import (
	"context"
	"errors"
	"io"
	"math/rand"
	"net"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// greeting is what a server of a plugin says first.
func greeting(plugin string) string {
	return "\x0a8.4.0\x00\x01\x00\x00\x00saltsalt\x00\xff\xf7\x2d\x02\x00\xff\xdf\x15" + strings.Repeat("\x00", 10) + "pepperpepper\x00" + plugin + "\x00"
}

// speak answers a client with packets, one for each thing that it says, and gives all
// that it said.
func speak(t *testing.T, security transport.Security, packets ...string) (heard string, err error) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	// Both may wait for each other: then the server hangs up.
	hangUp := time.AfterFunc(50*time.Millisecond, func() { server.Close() })
	defer hangUp.Stop()
	said := make(chan string, 1)
	go func() {
		defer server.Close()
		var all []byte
		for i, p := range packets {
			server.Write(append([]byte{byte(len(p)), byte(len(p) >> 8), 0, byte(2 * i)}, p...)) // the client sees what is missing
			buffer := make([]byte, 4096)
			n, err := server.Read(buffer)
			all = append(all, buffer[:n]...)
			if err != nil {
				break
			}
		}
		said <- string(all)
	}()
	_, err = connect(context.Background(), client, security, "db", "user", "a-password")
	client.Close()
	return <-said, err
}

func security(t *testing.T, mode string) transport.Security {
	t.Helper()
	s, err := transport.NewSecurity(mode, secret.Bytes{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAServerNeverSeesThePasswordUnlessItIsVerified(t *testing.T) {
	plain := security(t, transport.Disable)
	for _, test := range []struct {
		name    string
		packets []string
		want    error
	}{
		{"by the hash that it asks for", []string{greeting(native), "\x00\x00\x00\x02\x00\x00\x00"}, nil},
		{"by the newer hash", []string{greeting(caching), "\x01\x03"}, io.EOF},
		{"it wants the password itself", []string{greeting(caching), "\x01\x04"}, errNotProven},
		{"it wants it in clear", []string{greeting(native), "\xfemysql_clear_password\x00" + strings.Repeat("s", 21)}, pluginError{"mysql_clear_password"}},
		{"it switches to a known hash", []string{greeting("other"), "\xfe" + caching + "\x00" + strings.Repeat("s", 21), "\x01\x04"}, errNotProven},
	} {
		t.Run(test.name, func(t *testing.T) {
			heard, err := speak(t, plain, test.packets...)
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if strings.Contains(heard, "a-password") {
				t.Error("the password was shown")
			}
		})
	}
	heard, err := speak(t, security(t, transport.VerifyFull), strings.Replace(greeting(native), "\xff\xf7", "\xff\xf3", 1))
	if !errors.Is(err, errNoTLS) || heard != "" {
		t.Errorf("a server without TLS: %v, and it heard %q", err, heard)
	}
}

func TestWhatAServerSaysCannotHarm(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	good := []string{greeting(native), greeting(caching), "\x01\x04", "\xff\x15\x04#28000no", "\xfe" + native + "\x00" + strings.Repeat("s", 21), "\x00", ""}
	for range 300 {
		var packets []string
		for range 1 + random.Intn(4) {
			p := []byte(good[random.Intn(len(good))])
			for range random.Intn(4) {
				if len(p) > 0 {
					p[random.Intn(len(p))] = byte(random.Int())
				}
			}
			packets = append(packets, string(p[:len(p)-random.Intn(len(p)/2+1)]))
		}
		heard, err := speak(t, security(t, transport.Disable), packets...)
		if strings.Contains(heard, "a-password") {
			t.Fatalf("%q: the password was shown", packets)
		}
		if err != nil && strings.Contains(err.Error(), "a-password") {
			t.Fatalf("%q: the error tells the password", packets)
		}
	}
}

func TestStatementsForEachServer(t *testing.T) {
	for _, test := range []struct {
		version       string
		self          bool
		hashed, shown string
	}{
		{"10.11.6-MariaDB", true, "SET PASSWORD = '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'", "SET PASSWORD = PASSWORD('password')"},
		{"5.5.5-10.4-MariaDB", false, "SET PASSWORD FOR 'a'@'%' = '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'", "SET PASSWORD FOR 'a'@'%' = PASSWORD('password')"},
		{"8.0.36", true, "", "ALTER USER USER() IDENTIFIED BY 'password'"},
		{"8.4.0", false, "", "ALTER USER 'a'@'%' IDENTIFIED BY 'password'"},
	} {
		hashed, shown := statements(test.version, "'a'@'%'", test.self, "password")
		if hashed != test.hashed || shown != test.shown {
			t.Errorf("%s, self %v: %s and %s", test.version, test.self, hashed, shown)
		}
	}
	if got := quote(`it's a \ "quote"`); got != `'it''s a \\ "quote"'` {
		t.Error(got)
	}
}

func TestAnswersAreClassified(t *testing.T) {
	s := &server{address: transport.Address{Host: "db", Port: "3306"}, accountHost: "%"}
	for _, test := range []struct {
		err              error
		login, statement target.Class
	}{
		{&serverError{accessDenied, "x"}, target.AuthFailed, target.Refused},
		{&serverError{tooManyConnections, "x"}, target.Unreachable, target.Refused},
		{&serverError{shutdown, "x"}, target.Unreachable, target.Uncertain},
		{&serverError{deadlock, "x"}, target.Refused, target.Unreachable},
		{&serverError{badPassword, "x"}, target.Refused, target.Refused},
		{&serverError{syntaxError, "near 'secret'"}, target.Refused, target.Refused},
		{pluginError{"dialog"}, target.Refused, target.Uncertain},
		{errMalformed, target.Refused, target.Uncertain},
		{io.EOF, target.Unreachable, target.Uncertain},
	} {
		for what, got := range map[error]target.Class{s.loginFailure(test.err): test.login, s.statementFailure("u", test.err): test.statement} {
			if target.ClassOf(what) != got || strings.Contains(what.Error(), "secret") {
				t.Errorf("%v: %v, want %v", test.err, what, got)
			}
		}
	}
}

func TestWhatSaysNothingOfAChangeIsNoRefusal(t *testing.T) {
	s := &server{address: transport.Address{Host: "db", Port: "3306"}, accountHost: "%"}
	for code, told := range map[uint16]bool{notPreparable: false, tooManyPrepared: false, noSuchUser: true, privilegeMissing: true} {
		if got, err := foreseen(s.statementFailure("u", &serverError{code, "x"})); got != told || (err != nil) != told {
			t.Errorf("%d: %v, %v", code, got, err)
		}
	}
	if told, err := foreseen(nil); !told || err != nil {
		t.Error(told, err)
	}
}
