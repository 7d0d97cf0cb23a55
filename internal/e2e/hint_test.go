package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// A key that cannot be one is refused like any other, but the server's log says what
// is wrong with it, and never the key.
func TestHintsAboutKeys(t *testing.T) {
	t.Parallel()
	s, adminKey := start(t)
	// A host, whose proof is compared with no slow hash of a password.
	key := newClient(s.url).as(t, "admin", adminKey).load(t, "POST", "root", "- !host robot\n")["host/robot"]
	cases := []struct{ name, key, hint string }{
		{"newline", key + "\n", "ends in a line break"},
		{"carriage return", key + "\r\n", "ends in a line break"},
		{"blank", key + " ", "ends in a blank"},
		{"quotes", `"` + key + `"`, "outside 0-9 a-z at position 1"},
		{"upper case", strings.ToUpper(key), "upper-case letter at position"},
		{"a letter that keys never have", "l" + key[1:], "a letter at position 1 that keys never have"},
		{"too short", key[:40], "has 40 characters, keys have 51 to 56"},
		{"too long", key + key, "characters, keys have 51 to 56"},
		{"empty", "", "is empty"},
		{"UTF-8 with a mark", "\ufeff" + key, "outside 0-9 a-z at position 1"},
	}
	doors := []struct {
		name string
		send func(c *client, key, id string) (answer, error)
	}{
		{"authenticate", func(c *client, key, id string) (answer, error) {
			return c.send("POST", "/authn/demo/host%2Frobot/authenticate", []byte(key), "X-Request-Id", id)
		}},
		{"login", func(c *client, key, id string) (answer, error) {
			return c.send("GET", "/authn/demo/login", nil, "Authorization", basic("host/robot", key), "X-Request-Id", id)
		}},
		{"rotate", func(c *client, key, id string) (answer, error) {
			return c.send("PUT", "/authn/demo/api_key", nil, "Authorization", basic("host/robot", key), "X-Request-Id", id)
		}},
	}
	c := newClient(s.url)
	for _, door := range doors {
		for _, test := range cases {
			if door.name != "authenticate" && test.key == "" {
				continue // without a password there are no credentials at all
			}
			t.Run(door.name+"/"+test.name, func(t *testing.T) {
				id := "hint-" + door.name + "-" + strings.ReplaceAll(test.name, " ", "-")
				got, err := door.send(c, test.key, id)
				if err != nil || got.status != http.StatusUnauthorized || got.body != "" {
					t.Fatalf("%v, %v", got, err)
				}
				line, err := s.await(&s.stderr, regexp.MustCompile(`.*level=WARN.*request_id=`+id+`\b.*`))
				if err != nil || !strings.Contains(line[0], test.hint) || !strings.Contains(line[0], "demo:host:robot") {
					t.Errorf("the log has %q, %v, want %q", line, err, test.hint)
				}
			})
		}
	}
	if got, err := c.authenticate("host/robot", key); err != nil || got.status != http.StatusOK {
		t.Errorf("the key itself: %v, %v", got, err)
	}
	if log := strings.ToLower(s.stderr.String()); strings.Contains(log, key) || strings.Contains(log, key[1:]) {
		t.Error("the log has the key")
	}
}
