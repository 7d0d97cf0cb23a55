package httpapi

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"rekey/internal/fault"
)

func TestClientIP(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	cases := []struct {
		name, peer string
		forwarded  []string
		want       string // "" for a refusal
	}{
		{"no header", "192.0.2.1:4711", nil, "192.0.2.1"},
		{"peer that is not trusted", "192.0.2.1:4711", []string{"1.2.3.4"}, "192.0.2.1"},
		{"garbage from one that is not trusted", "192.0.2.1:4711", []string{"garbage"}, "192.0.2.1"},
		{"private networks are not trusted by themselves", "192.168.0.1:1", []string{"1.2.3.4"}, "192.168.0.1"},
		{"loopback", "127.0.0.1:1", []string{"1.2.3.4"}, "1.2.3.4"},
		{"loopback, version 6", "[::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"the last that is not trusted", "10.1.1.1:1", []string{"6.6.6.6, 1.2.3.4, 10.2.2.2"}, "1.2.3.4"},
		{"all trusted: the first", "10.1.1.1:1", []string{"10.9.9.9, 10.2.2.2"}, "10.9.9.9"},
		{"several headers", "10.1.1.1:1", []string{"6.6.6.6", "1.2.3.4"}, "1.2.3.4"},
		{"ports", "10.1.1.1:1", []string{"1.2.3.4:99"}, "1.2.3.4"},
		{"port, version 6", "10.1.1.1:1", []string{"[2001:db8::1]:99"}, "2001:db8::1"},
		{"brackets", "10.1.1.1:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"mapped version 4", "[::ffff:10.1.1.1]:1", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		{"trusted version 6", "[fd00::1]:1", []string{"1.2.3.4, fd00::2"}, "1.2.3.4"},
		{"empty", "10.1.1.1:1", []string{""}, "10.1.1.1"},
		{"empty elements", "10.1.1.1:1", []string{"1.2.3.4,, "}, "1.2.3.4"},
		{"garbage", "127.0.0.1:1", []string{"1.2.3.4, unknown"}, ""},
		{"garbage before a good one", "127.0.0.1:1", []string{"<x>, 1.2.3.4"}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
			if c.forwarded != nil {
				r.Header["X-Forwarded-For"] = c.forwarded
			}
			got, err := clientIP(r, trusted)
			if c.want == "" {
				if !fault.Is(err, fault.BadRequest) {
					t.Errorf("%v %v", got, err)
				}
				return
			}
			if err != nil || got.String() != c.want {
				t.Errorf("%v %v, want %s", got, err, c.want)
			}
		})
	}
	t.Run("a peer without an address", func(t *testing.T) {
		got, err := clientIP(&http.Request{RemoteAddr: "@", Header: http.Header{"X-Forwarded-For": {"1.2.3.4"}}}, trusted)
		if err != nil || got.IsValid() {
			t.Errorf("%v %v", got, err)
		}
	})
}

func TestRequestID(t *testing.T) {
	for sent, want := range map[string]string{
		"abc-123_X@y":            "abc-123_X@y",
		"a b\r\nc<d>":            "abcd",
		"///":                    "",
		strings.Repeat("x", 300): strings.Repeat("x", 255),
	} {
		if got := requestID([]string{sent}); got != want {
			t.Errorf("%q: %q", sent, got)
		}
	}
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if got := requestID(nil); !uuid.MatchString(got) || got == requestID(nil) {
		t.Errorf("%q is not a fresh UUID", got)
	}
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("1.2.3.4, [::1]:80")
	f.Add("fe80::1%eth0,,")
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"X-Forwarded-For": {header}}}
		if ip, err := clientIP(r, nil); (err == nil) != ip.IsValid() {
			t.Fatalf("%v %v", ip, err)
		}
		if id := requestID([]string{header}); len(id) > requestIDLimit || strings.ContainsAny(id, " \r\n\t\"<>") {
			t.Fatalf("%q", id)
		}
	})
}
