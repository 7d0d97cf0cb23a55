package e2e

import (
	"strings"
	"testing"
)

// What is refused, with which status, and in which words: by an administrator, so that
// it is the input and not the caller that is wrong. Nothing changes by any of it.
func TestBadInputIsExplained(t *testing.T) {
	t.Parallel()
	s := openShop(t, "--log-level", "debug")
	admin := newClient(s.url).as(t, "admin", s.keys["admin"])
	const username = "/secrets/demo/variable/shop%2Fdb%2Fusername"
	admin.must(t, 201, "POST", username, "shop")
	byKey := basic("alice", s.keys["alice"])
	before := admin.listing(t)

	cases := []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		says                       string // part of the answer
	}{
		{"an empty value", "POST", username, "", nil, 422, "'value' may not be empty"},
		{"a blank value", "POST", username, " \n\t ", nil, 422, "'value' may not be empty"},
		{"a value over 20 MB", "POST", username, strings.Repeat("x", 20<<20+2), nil, 413, "larger than"},
		{"a value of an unknown kind", "POST", "/secrets/demo/webservice/x", "x", nil, 404, ""},
		{"a value of nothing", "POST", "/secrets/demo/variable/none", "x", nil, 404, "Variable 'none' not found in account 'demo'"},
		{"no public key", "POST", "/secrets/demo/public_key/user%2Falice%2Falice%40laptop", "nonsense", nil, 422, "Invalid public key format"},
		{"NUL in an id", "GET", "/secrets/demo/variable/a%00b", "", nil, 422, "string contains null byte"},
		{"an id that is not UTF-8", "GET", "/secrets/demo/variable/%ff", "", nil, 400, "it is not UTF-8"},
		{"a malformed query", "GET", username + "?version=%zz", "", nil, 400, "percent escape is malformed"},
		{"a version that is no number", "GET", username + "?version=abc", "", nil, 422, "'version'"},
		{"a version that is a fraction", "GET", username + "?version=1.5", "", nil, 422, "'version'"},
		{"a negative version", "GET", username + "?version=-1", "", nil, 404, "empty or not found"},
		{"version 0", "GET", username + "?version=0", "", nil, 404, "empty or not found"},
		{"a huge version", "GET", username + "?version=99999999999999999999", "", nil, 404, "empty or not found"},
		{"a batch of nothing", "GET", "/secrets?variable_ids=", "", nil, 422, "variable_ids"},
		{"a batch without a list", "GET", "/secrets", "", nil, 422, "variable_ids"},
		{"a batch with a hole", "GET", "/secrets?variable_ids=demo:variable:shop/db/username,,x", "", nil, 422, "variable_ids"},
		{"a batch with a short id", "GET", "/secrets?variable_ids=shop", "", nil, 404, "Variable shop is empty or not found"},
		{"limit is a word", "GET", "/resources/demo?limit=abc", "", nil, 422, "'limit' must be a positive integer"},
		{"limit is 0", "GET", "/resources/demo?limit=0", "", nil, 422, "'limit' must be a positive integer"},
		{"limit is negative", "GET", "/resources/demo?limit=-1", "", nil, 422, "'limit' must be a positive integer"},
		{"limit is a fraction", "GET", "/resources/demo?limit=1.5", "", nil, 422, "'limit' must be a positive integer"},
		{"limit is beyond 64 bits", "GET", "/resources/demo?limit=99999999999999999999", "", nil, 422, "'limit' must be a positive integer"},
		{"limit is beyond the longest page", "GET", "/resources/demo?limit=1001", "", nil, 422, "must not exceed 1000"},
		{"offset is negative", "GET", "/resources/demo?offset=-1", "", nil, 422, "'offset' must be an integer greater than or equal to 0"},
		{"offset is a float", "GET", "/resources/demo?offset=1e3", "", nil, 422, "'offset' must be an integer greater than or equal to 0"},
		{"limit of members is a word", "GET", "/roles/demo/layer/shop%2Fweb?members&limit=x", "", nil, 422, "'limit' must be a positive integer"},
		{"a check of nothing", "GET", "/resources/demo/variable/shop%2Fdb%2Fusername?check", "", nil, 422, "privilege"},
		{"an unknown kind", "GET", "/resources/demo/gadget/x", "", nil, 404, ""},
		{"no member", "POST", "/roles/demo/group/shop%2Freaders?members", "", nil, 422, "member=ACCOUNT:KIND:ID"},
		{"a member that is not there", "POST", "/roles/demo/group/shop%2Freaders?members&member=demo:host:none", "", nil, 404, "Host 'none' not found"},
		{"a weak password", "PUT", "/authn/demo/password", "short", []string{"Authorization", byKey}, 422, "12-128 characters"},
		{"an empty password", "PUT", "/authn/demo/password", "", []string{"Authorization", byKey}, 422, "12-128 characters"},
		{"a password with NUL", "PUT", "/authn/demo/password", "Good-PassWord-1\x00", []string{"Authorization", byKey}, 422, ""},
		{"a password of 9 KB", "PUT", "/authn/demo/password", strings.Repeat("Aa1!", 2304), []string{"Authorization", byKey}, 413, "larger than"},
		{"another one's password", "PUT", "/authn/demo/password?role=user:bob@shop", "Good-PassWord-1", []string{"Authorization", byKey}, 401, ""},
		{"a key of nobody", "PUT", "/authn/demo/api_key?role=a:b:c", "", nil, 404, "Resource 'a:b:c'"},
		{"a key that is too long", "POST", "/authn/demo/admin/authenticate", strings.Repeat("k", 9000), nil, 413, "larger than"},
		{"a key of bytes", "POST", "/authn/demo/admin/authenticate", "\x00\xff\xfe", nil, 401, ""},
		{"a login with NUL", "POST", "/authn/demo/ad%00min/authenticate", "x", nil, 401, ""},
		{"an unknown account", "POST", "/authn/none/admin/authenticate", "x", nil, 401, ""},
		{"an authenticator that is not there", "POST", "/authn-jwt/none/demo/authenticate", "x", nil, 401, ""},
		{"no right to make accounts", "POST", "/accounts", "id=more", nil, 403, ""},
		{"a forwarded address that is none", "GET", "/whoami", "", []string{"X-Forwarded-For", "office"}, 400, "'office', which is not an IP address"},
		{"an unknown path", "GET", "/no/such/path", "", nil, 404, ""},
		{"an unknown path without a token", "GET", "/no/such/path", "", []string{"Authorization", ""}, 401, "Authorization missing"},
		{"a token that is none", "GET", "/whoami", "", []string{"Authorization", `Token token="e30="`}, 401, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := admin.send(c.method, c.target, []byte(c.body), c.headers...)
			if err != nil || got.status != c.status || !strings.Contains(got.body, c.says) {
				t.Errorf("%.300v, %v, want %d %s", got, err, c.status, c.says)
			}
		})
	}
	unchanged(t, before, admin.listing(t))
}

// Whatever names are, a line of the audit is a record and a line of the log is an entry.
func TestNamesForgeNoLines(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/audit"
	s := openShop(t, "--log-level", "debug", "--audit", "file:"+file)
	admin := newClient(s.url).as(t, "admin", s.keys["admin"])
	const forged = "%0A%3C85%3E1%20forged%0D%0Atime=1%20level=ERROR%E2%80%A8forged"
	admin.load(t, "POST", "root", `- !variable "a\n<85>1 forged\r\ntime=1 forged\u2028forged"`)
	for _, target := range []string{"/resources/demo/variable/" + forged, "/resources/demo?search=" + forged, "/secrets?variable_ids=demo:variable:" + forged} {
		if _, err := admin.send("GET", target, nil, "User-Agent", "x\tforged", "X-Request-Id", "forged<85>"); err != nil {
			t.Error(err)
		}
	}
	if got, err := admin.send("POST", "/authn/demo/"+forged+"/authenticate", []byte("forged\n<85>1 forged")); err != nil || got.status != 401 {
		t.Errorf("%v, %v", got, err)
	}
	s.terminate(t)
	records := 0
	for line := range strings.Lines(read(t, file)) {
		if records++; !strings.HasPrefix(line, "<8") || !strings.Contains(line, " - conjur ") {
			t.Errorf("in the audit stands %q", line)
		}
	}
	if records < 5 {
		t.Errorf("there are %d records", records)
	}
	for line := range strings.Lines(s.stderr.String()) {
		if strings.Contains(line, "forged") && !strings.HasPrefix(line, "time=2") {
			t.Errorf("in the log stands %q", line)
		}
	}
}
