package client

import (
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

type answers func() *http.Response

func (a answers) RoundTrip(*http.Request) (*http.Response, error) { return a(), nil }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Given a server that never ends its answer, then a command fails, and a stream of
// events goes on.
func TestAnAnswerHasAnEnd(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		length     int64
		fails      bool
	}{
		{"as long as it may be", "application/json", longestAnswer, false},
		{"longer", "application/json", longestAnswer + 1, true},
		{"of no kind", "", longestAnswer + 1, true},
		{"events", "text/event-stream; charset=utf-8", longestAnswer + 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &wire{ctx: t.Context(), next: answers(func() *http.Response {
				return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {c.kind}}, Body: io.NopCloser(io.LimitReader(endless{}, c.length))}
			})}
			request, err := http.NewRequest("GET", "http://localhost/", nil)
			check(t, err)
			response, err := w.RoundTrip(request)
			check(t, err)
			_, err = io.Copy(io.Discard, response.Body)
			if fault.Is(err, fault.Unavailable) != c.fails || err != nil && !strings.Contains(err.Error(), "256 MiB") {
				t.Error(err)
			}
		})
	}
}

// Given answers that ask for acknowledgements, then the session knows the newest of each, once;
// what makes no sense is passed over.
func TestAnAnswerAsksForAcknowledgements(t *testing.T) {
	said := []string{"acme%3Avariable%3Aa%26b=7&acme%3Avariable%3Ac=1", "acme%3Avariable%3Ac=2", "", "%zz=1", "nothing=1&acme%3Avariable%3Ad=x&acme%3Avariable%3Ad=3&acme%3Avariable%3Ae=0"}
	next := 0
	s := &Session{wire: &wire{ctx: t.Context(), next: answers(func() *http.Response {
		next++
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Rekey-Acknowledge": {said[next-1]}}, Body: http.NoBody}
	})}}
	for range said {
		request, err := http.NewRequest("GET", "http://localhost/", nil)
		check(t, err)
		_, err = s.wire.RoundTrip(request)
		check(t, err)
	}
	if asked := s.Asked(); !maps.Equal(asked, map[ident.ID]int{"acme:variable:a&b": 7, "acme:variable:c": 2}) {
		t.Errorf("%v", asked)
	}
	if asked := s.Asked(); len(asked) != 0 {
		t.Errorf("again: %v", asked)
	}
}
