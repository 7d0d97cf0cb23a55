package targettest

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
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
