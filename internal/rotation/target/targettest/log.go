package targettest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// generated are the passwords that a kind has made in the course of a suite.
type generated struct {
	mu  sync.Mutex
	all []string
}

// add remembers a password, or the lines of a private key, each of which is too much.
func (g *generated) add(value string) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") {
			g.all = append(g.all, line)
		}
	}
}

// log: a target that takes a verifier has written down no password that it was given.
func (s Suite) log(t *testing.T) {
	text := s.Log(t)
	if n := strings.Count(text, s.Trace); s.Trace == "" || n < 10 {
		t.Fatalf("the log has %q %d times only: it does not see what it should", s.Trace, n)
	}
	if found := Leak(text, s.made.all); found != "" {
		t.Errorf("the log has a password that was made: %s", found)
	}
}

// Leak is the line of a text in which one of some passwords is, in clear, in hexadecimal
// digits or in base 64; empty if none is.
func Leak(text string, passwords []string) string {
	// There are many passwords, and logs are long, so they are looked up and not searched.
	forms := map[int]map[string]bool{}
	for _, p := range passwords {
		for _, form := range []string{p, hex.EncodeToString([]byte(p)), strings.ToUpper(hex.EncodeToString([]byte(p))), base64.RawStdEncoding.EncodeToString([]byte(p))} {
			if forms[len(form)] == nil {
				forms[len(form)] = map[string]bool{}
			}
			forms[len(form)][form] = true
		}
	}
	for size, known := range forms {
		for at := 0; at+size <= len(text); at++ {
			if known[text[at:at+size]] {
				begin := strings.LastIndexByte(text[:at], '\n') + 1
				line, _, _ := strings.Cut(text[begin:], "\n")
				return line
			}
		}
	}
	return ""
}

// SendsAVerifier checks that what a kind sends to change a password, without TLS around it,
// does not have the new one. The account has the password "old-Password-1".
func SendsAVerifier(t *testing.T, kind target.Kind, a Account) {
	t.Helper()
	var heard overheard
	values := map[string]secret.Bytes{}
	for name, v := range a.Values {
		values[name] = secret.FromString(v)
	}
	made, err := kind.Bind(target.Binding{Annotations: a.Annotations, Values: values, Dial: heard.dial, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	current := target.Credential{target.Main: secret.FromString("old-Password-1")}
	next, err := made.Candidate(current)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := made.Apply(ctx, current, next); err != nil {
		t.Fatal(err)
	}
	said := heard.String()
	if !strings.Contains(said, a.Values["username"]) {
		t.Errorf("not even the name of the user is heard: %q", said)
	}
	if found := Leak(said, []string{next[target.Main].RevealString()}); found != "" {
		t.Errorf("the new password is sent: %q", found)
	}
}

// overheard is all that is said to whomever it dials.
type overheard struct {
	mu   sync.Mutex
	said strings.Builder
}

func (o *overheard) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.String()
}

func (o *overheard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	return &spoken{conn, o}, err
}

type spoken struct {
	net.Conn
	to *overheard
}

func (s *spoken) Write(b []byte) (int, error) {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	s.to.said.Write(b)
	return s.Conn.Write(b)
}
