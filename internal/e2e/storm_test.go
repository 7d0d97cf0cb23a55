package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// hostile texts, as they go into a path: no bad one may be taken for a good one.
var hostile = []struct{ name, text string }{
	{"NUL", "%00"},
	{"NUL inside", "a%00b"},
	{"not UTF-8", "%ff%fe"},
	{"cut UTF-8", "%c3%28"},
	{"surrogate", "%ed%a0%80"},
	{"raw bytes", "\xff\xfe"},
	{"parent", ".."},
	{"encoded parent", "%2e%2e"},
	{"encoded path", "..%2f..%2fetc%2fpasswd"},
	{"empty", ""},
	{"colon", ":"},
	{"colons", "a:b:c:d"},
	{"full id", "demo%3avariable%3anone"},
	{"line breaks", "a%0d%0ab"},
	{"quotes", "'%22%60"},
	{"SQL", "'%20OR%201=1--"},
	{"bad escape", "%zz"},
	{"cut escape", "%"},
	{"template", "$%7bjndi:ldap://x%7d"},
	{"blank", "%20"},
	{"markup", "%3Cscript%3E"},
	{"right to left", "%e2%80%ae"},
	{"3 KB", strings.Repeat("x", 3<<10)},
	{"50 KB", strings.Repeat("y", 50<<10)},
	{"number", "99999999999999999999"},
	{"other account", "other"},
}

// parameters are the names that routes look for in a query.
var parameters = []string{
	"limit", "offset", "count", "version", "search", "role", "acting_as", "kind", "owner", "member",
	"filter[]", "privilege", "permission", "variable_ids", "account", "dryRun", "depth", "id",
}

var hostileValues = []string{
	"", "-1", "0", "1.5", "1e3", "+1", "abc", "NaN", "true", "null", "[]", "%00", "%ff", "%", "%zz",
	"99999999999999999999", "-99999999999999999999", "9223372036854775807", "a:b:c:d", "::", ",,,", "demo%3auser%3anone",
}

var hostileHeaders = [][]string{
	{"Accept", ";;;q=x"}, {"Accept", strings.Repeat("a/b,", 10000)}, {"Accept", "application/x.secretsmgr.v99+json"},
	{"Content-Type", "\xff"}, {"Content-Type", "multipart/form-data; boundary="}, {"Content-Encoding", "gzip"},
	{"X-Request-Id", strings.Repeat("i", 50000)}, {"X-Request-Id", "<script>\x7f"},
	{"X-Forwarded-For", "999.1.1.1"}, {"X-Forwarded-For", strings.Repeat("1.1.1.1,", 8000)}, {"X-Forwarded-For", "\xff"},
	{"Accept-Encoding", "base64,base64,;q=2"}, {"User-Agent", "\xff\xfe"}, {"Cookie", strings.Repeat("a=b;", 20000)},
	{"Range", "bytes=5-1"}, {"If-None-Match", "*"}, {"Expect", "200-maybe"}, {"X-Method-Override", "DELETE"},
}

var hostileTokens = []string{
	"Token", "Token token=", `Token token=""`, `Token token="%%%"`, `Token token="bm90IGpzb24="`, `Token token="e30="`,
	`Token token="bnVsbA=="`, `Token token="W10="`, "Basic", "Basic !!!", "Basic Og==", "Basic YTo=", "Bearer x", "\xff", ":",
	`Token token="` + strings.Repeat("A", 60000) + `"`, "Negotiate " + strings.Repeat("[", 1000),
	tokenHeader(`{"protected":"e30=","payload":"e30=","signature":"e30="}`),
	tokenHeader(`{"protected":"eyJhbGciOiJub25lIn0=","payload":"eyJzdWIiOiJhZG1pbiIsImlhdCI6MX0=","signature":""}`),
	tokenHeader(strings.Repeat("[", 20000)),
}

var hostileBodies = []string{
	"", "\x00", "\xff\xfe\xfd", "{", "[[[[", "null", `{"id":1}`, "id=%zz", "id=%00", "id=", strings.Repeat("[", 100000), strings.Repeat("a", 70000),
	"\xef\xbb\xbf", "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
}

// shot is one bad request.
type shot struct {
	door    door
	what    string
	target  string
	token   string
	headers []string
	body    string
}

// The storm: every hostile text at every place of every route, by an administrator who
// may do everything, and every hostile credential. Nothing of it may be the server's
// fault, and nothing may change. A refusal of what was sent says why.
func TestStormOfBadRequests(t *testing.T) {
	t.Parallel()
	s := openShop(t, "--log-level", "debug")
	admin := newClient(s.url).as(t, "admin", s.keys["admin"])
	for _, id := range []string{"shop%2Fdb%2Fusername", "shop%2Fdb%2Fpassword"} {
		admin.must(t, 201, "POST", "/secrets/demo/variable/"+id, "the value of "+id)
	}
	before := admin.listing(t)

	shots := make(chan shot)
	var group sync.WaitGroup
	for range 4 {
		w := newWire(t, s.server)
		group.Go(func() {
			for shot := range shots {
				fire(t, w, shot)
			}
		})
	}
	count := 0
	shoot := func(x shot) {
		x.headers = append(x.headers, x.door.headers()...)
		shots <- x
		count++
	}
	for _, d := range doors(t) {
		for _, slot := range d.slots() {
			for _, h := range hostile {
				shoot(shot{d, h.name, d.target(slot, h.text, ""), admin.token, nil, "x"})
			}
		}
		for _, p := range parameters {
			for _, v := range hostileValues {
				shoot(shot{d, p + "=" + v, d.target(-1, "", p+"="+v), admin.token, nil, "x"})
			}
		}
		for _, h := range hostileHeaders {
			shoot(shot{d, fmt.Sprintf("%s: %.20q", h[0], h[1]), d.target(-1, "", ""), admin.token, h, "x"})
		}
		for _, token := range hostileTokens {
			shoot(shot{d, fmt.Sprintf("Authorization: %.40q", token), d.target(-1, "", ""), token, nil, "x"})
		}
		for _, body := range hostileBodies {
			for _, kind := range []string{"application/json", "application/x-www-form-urlencoded", "text/plain"} {
				shoot(shot{d, fmt.Sprintf("%s %.20q", kind, body), d.target(-1, "", ""), admin.token, []string{"Content-Type", kind}, body})
			}
		}
	}
	close(shots)
	group.Wait()

	unchanged(t, before, admin.listing(t))
	now, most := s.memory(t)
	t.Logf("%d requests; the server has %d MB in memory, at most %d MB", count, now>>20, most>>20)
	if most > stormMemory {
		t.Errorf("the server took %d MB", most>>20)
	}
}

// stormMemory is more than the server may have in memory, in bytes: small bad requests
// cost no more than small good ones. The race detector takes several times as much.
const stormMemory = 200 << 20 * raceFactor

// silent are the statuses of refusals that may say no more than the status.
var silent = map[int]bool{
	http.StatusUnauthorized: true, http.StatusForbidden: true, http.StatusNotFound: true,
	http.StatusNotAcceptable: true, http.StatusExpectationFailed: true, // about the headers of these names
}

func fire(t *testing.T, w *wire, x shot) {
	got, err := w.request(x.door.method, x.target, x.token, x.headers, x.body)
	if err != nil {
		// Once more on a new connection: the old one may just have been closed.
		got, err = w.request(x.door.method, x.target, x.token, x.headers, x.body)
	}
	fails := func(why string) {
		t.Errorf("%s with %s: %s: %.300v %v\n%.200s", x.door, x.what, why, got, err, x.target)
	}
	switch {
	case err != nil:
		fails("no answer")
	case got.status == http.StatusNotImplemented && strings.Contains(x.target, "/status"):
	case got.status >= 500:
		fails("the server's fault")
	case got.status < 400 && x.door.method != "GET" && x.door.method != "HEAD":
		fails("accepted")
	case got.status >= 400 && !silent[got.status] && len(bytes.TrimSpace([]byte(got.body))) == 0:
		fails("no reason")
	}
}
