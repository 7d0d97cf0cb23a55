package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fence is a block of a page.
type fence struct {
	info, text string
	line       int
}

func fences(t *testing.T, page string) (found []fence) {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$").FindAllSubmatchIndex(content, -1) {
		found = append(found, fence{string(content[at[2]:at[3]]), string(content[at[4]:at[5]]), 1 + strings.Count(string(content[:at[0]]), "\n")})
	}
	return found
}

// The page about the agent does what it says, from its first line to its last.
func TestAgentPage(t *testing.T) {
	server := start(t, "server", "--data-dir", newDataDir(t), "--listen", "127.0.0.1:0", "--account", "demo")
	admin := server.await(t, &server.stdout, `API key for admin: (\S+)`)[1]
	url := server.await(t, &server.stderr, `address=(http://\S+)`)[1]
	dir := t.TempDir()
	run := func(script string) string {
		t.Helper()
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir, "CONJUR_CREDENTIAL_STORAGE=file", "CONJUR_APPLIANCE_URL="+url, "CONJUR_ACCOUNT=demo", "ADMIN="+admin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", script, err, out)
		}
		return string(out)
	}
	loaded := run(`rekey login -i admin -p "$ADMIN" >&2
cat >shop.yml <<END
- !policy
  id: shop
  body:
  - !host web-1
  - &all [ !variable db/username, !variable db/password, !variable level ]
  - !permit { role: !host web-1, privileges: [ read, execute ], resource: *all }
END
rekey policy load -b root -f shop.yml
rekey variable set -i shop/db/username -v bob >&2
rekey variable set -i shop/db/password -v correct >&2
rekey variable set -i shop/level -v debug >&2`)
	key := regexp.MustCompile(`"api_key": "([a-z0-9]+)"`).FindStringSubmatch(loaded)[1]
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	write("web.identity", fmt.Sprintf("machine %s/authn\n  login host/shop/web-1\n  password %s\n", url, key))

	wants := map[string]func(out string) bool{ // by a part of an example
		"--token-file": func(string) bool {
			return read("password") == "correct" && json.Valid([]byte(read("token")))
		},
		"--rotate-now": func(string) bool { return !strings.Contains(read("web.identity"), key) },
		"db.tmpl":      func(out string) bool { return strings.HasSuffix(out, `{"user": "bob", "password": "correct"}`+"\n") },
		"-f secrets.yml": func(out string) bool {
			return strings.Contains(out, "bob correct debug eu-west-1\n")
		},
		"agent.yml": func(out string) bool {
			info, err := os.Stat(filepath.Join(dir, "password"))
			return strings.Contains(out, "hello bob") && err == nil && info.Mode() == 0o640
		},
		"/health": func(out string) bool {
			return strings.Contains(out, `"ok": true`) && strings.Contains(out, "\nrekey_agent_duty_ok{duty=\"identity\"} 1\n")
		},
	}
	for _, f := range fences(t, "../../docs/agent.md") {
		kind, name, _ := strings.Cut(f.info, " ")
		switch {
		case name != "":
			write(name, f.text)
		case kind == "sh":
			out := run(f.text)
			for part, right := range wants {
				if strings.Contains(f.text, part) {
					delete(wants, part)
					if !right(out) {
						t.Errorf("line %d: not what is wanted:\n%s", f.line, out)
					}
				}
			}
		case kind != "text":
			t.Errorf("line %d: a block of no known kind: %s", f.line, f.info)
		}
	}
	for part := range wants {
		t.Errorf("no example has %s", part)
	}
}
