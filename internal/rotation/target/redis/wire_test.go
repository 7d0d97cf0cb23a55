package redis

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

func TestAnAnswerIsReadOrRefused(t *testing.T) {
	for _, test := range []struct {
		text string
		some bool
		err  error
	}{
		{"+OK\r\n", true, nil},
		{":1\r\n", true, nil},
		{"$-1\r\n", false, nil},
		{"*-1\r\n", false, nil},
		{"$2\r\nhi\r\n", true, nil},
		{"*2\r\n$2\r\nhi\r\n*1\r\n:1\r\n", true, nil},
		{"-NOPERM no\r\n", false, serverError("NOPERM no")},
		{"", false, io.EOF},
		{"+OK", false, io.EOF},
		{"$5\r\nhi", false, io.EOF},
		{"\r\n", false, errMalformed},
		{"HTTP/1.1 400\r\n", false, errMalformed},
		{"$-2\r\n", false, errMalformed},
		{"$x\r\n", false, errMalformed},
		{"$99999999\r\n", false, errMalformed},
		{strings.Repeat("*1\r\n", 9), false, errMalformed},
		{"+" + strings.Repeat("x", 9999) + "\r\n", false, errMalformed},
	} {
		w := &wire{reader: bufio.NewReader(strings.NewReader(test.text))}
		some, err := w.answer(0)
		if some != test.some || !errors.Is(err, test.err) {
			t.Errorf("%.20q: %v and %v, want %v and %v", test.text, some, err, test.some, test.err)
		}
	}
}

func TestAnswersAreClassified(t *testing.T) {
	s := &server{address: transport.Address{Host: "db", Port: "6379"}}
	for text, want := range map[string]target.Class{
		"WRONGPASS invalid": target.AuthFailed, "NOPERM no": target.Refused, "ERR what 'secret'": target.Refused, "OTHER": target.Refused,
		"LOADING": target.Unreachable, "READONLY You can't": target.Unreachable, "ERR max number of clients reached": target.Unreachable,
	} {
		if err := s.failure(serverError(text), transport.Lost); target.ClassOf(err) != want || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

// An answer that makes no sense says nothing about whether the change happened.
func TestNonsenseAfterTheChangeIsUncertain(t *testing.T) {
	client, far := net.Pipe()
	defer client.Close()
	go func() {
		defer far.Close()
		buffer := make([]byte, 4096)
		for _, answer := range []string{"*0\r\n", "+OK\r\n", "?\r\n"} { // GETUSER, SAVE, SETUSER
			if _, err := far.Read(buffer); err != nil {
				return
			}
			if _, err := io.WriteString(far, answer); err != nil {
				return
			}
		}
	}()
	s := &session{&wire{client, bufio.NewReader(client)}, &server{address: transport.Address{Host: "db", Port: "1"}}, "boss", func() bool { return true }}
	if err := s.change(t.Context(), "user", "#00"); target.ClassOf(err) != target.Uncertain {
		t.Errorf("%v, want it to be uncertain", err)
	}
}

// Whoever may write the variables must not be able to give commands to other servers.
func TestLineBreaksAreSentToNobody(t *testing.T) {
	system, err := open(password.Place{
		Settings: map[string]string{"sslmode": "disable"}, Values: map[string]secret.Bytes{"url": secret.FromString("mail.example.com:25")},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			t.Error("it connects")
			return nil, errors.New("no")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range [][2]string{{"x\r\nQUIT", "x"}, {"x", "x\nQUIT"}, {"x", "x\rQUIT"}} {
		_, err := system.Login(t.Context(), words[0], secret.FromString(words[1]))
		var refused *target.Error
		if !errors.As(err, &refused) || refused.Class != target.Refused || !strings.Contains(err.Error(), "line break") {
			t.Errorf("%q: %v", words, err)
		}
	}
}
