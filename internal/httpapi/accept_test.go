package httpapi

import "testing"

func TestAccept(t *testing.T) {
	cases := []struct {
		name, header string
		want         accept
		ok           bool
	}{
		{"absent", "", accept{}, true},
		{"anything", "*/*", accept{varied: true}, true},
		{"known", "application/json", accept{media: mediaJSON, varied: true}, true},
		{"with parameters", "application/json; charset=utf-8", accept{media: mediaJSON, varied: true}, true},
		{"capitals", "Application/JSON", accept{media: mediaJSON, varied: true}, true},
		{"position", "application/json, text/html", accept{media: mediaJSON, varied: true}, true},
		{"quality before position", "text/html;q=0.5, application/json;q=0.9", accept{media: mediaJSON, varied: true}, true},
		{"not wanted", "application/json;q=0", accept{varied: true}, true},
		{"unknown type", "application/foo", accept{varied: true}, true},
		{"unknown, then known", "application/foo, text/plain", accept{media: mediaText, varied: true}, true},
		{"empty elements", ",text/plain,", accept{media: mediaText, varied: true}, true},
		{"browser", "text/html, */*", accept{}, true},
		{"browser with qualities", "text/html,application/xml;q=0.9,*/*;q=0.8", accept{}, true},
		{"Java", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", accept{}, true},
		{"star", "text/plain, *; q=.2", accept{media: mediaText, varied: true}, true},
		{"second version", v2Type, accept{media: mediaV2, varied: true, v2: true}, true},
		{"second version and another", v2Type + ", text/html", accept{media: mediaV2, varied: true}, true},
		{"no slash", "foo", accept{}, false},
		{"backslash", `text\plain`, accept{}, false},
		{"malformed after a good one", "application/json, foo", accept{}, false},
		{"two slashes", "a/b/c", accept{}, false},
		{"empty subtype", "text/", accept{}, false},
		{"malformed parameter", "text/html; (x)", accept{}, false},
		{"odd quality", "text/html; q=high", accept{varied: true}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, ok := parseAccept(c.header)
			if ok != c.ok || got != c.want {
				t.Errorf("%+v, %t; want %+v, %t", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestAcceptsBase64(t *testing.T) {
	for header, want := range map[string]bool{
		"":               false,
		"base64":         true,
		"gzip, Base64 ":  true,
		"base64;q=1":     false,
		"base64url":      false,
		",,base64":       true,
		"gzip, deflate,": false,
	} {
		if got := acceptsBase64(header); got != want {
			t.Errorf("%q: %t", header, got)
		}
	}
}

func FuzzAccept(f *testing.F) {
	f.Add("text/html, */*;q=0.8")
	f.Add(";;,;q=,*/*,\x00")
	f.Fuzz(func(t *testing.T, header string) {
		a, ok := parseAccept(header)
		if !ok && a != (accept{}) {
			t.Fatal("a refused header means nothing")
		}
		acceptsBase64(header)
	})
}
