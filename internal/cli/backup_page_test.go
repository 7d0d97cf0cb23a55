package cli_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The page about backups does what it says, from its first line to its last. Once
// something is restored, the commands speak to the restored server.
func TestBackupPage(t *testing.T) {
	home, data := t.TempDir(), newDataDir(t)
	var url string
	run := func(script string) string {
		t.Helper()
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = home
		cmd.Env = append(os.Environ(), "HOME="+home, "REKEY_DATA_DIR="+data, "CONJUR_CREDENTIAL_STORAGE=file", "CONJUR_APPLIANCE_URL="+url, "CONJUR_ACCOUNT=demo")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", script, err, out)
		}
		return string(out)
	}
	serve := func(dir string) *process {
		t.Helper()
		p := start(t, "server", "--data-dir", dir, "--listen", "127.0.0.1:0", "--account", "demo")
		url = p.await(t, &p.stderr, `address=(http://\S+)`)[1]
		return p
	}
	first := serve(data)
	admin := first.await(t, &first.stdout, `API key for admin: (\S+)`)[1]
	login := "rekey login -i admin -p " + admin
	run(login + `
cat >shop.yml <<END
- !policy
  id: shop
  body:
  - !variable cache/url
  - !variable cache/username
  - !variable
    id: cache/password
    annotations: { rotation/rotator: redis/password, rotation/ttl: PT1H }
  - !variable
    id: other/password
    annotations: { rotation/rotator: redis/password, rotation/ttl: PT1H }
END
rekey policy load -b root -f shop.yml
rekey variable set -i shop/cache/url -v 127.0.0.1:1
rekey variable set -i shop/cache/username -v shop
rekey variable set -i shop/cache/password -v first
`)
	wants := map[string][]string{ // by a part of an example
		"backup monday":     {"Wrote monday.backup: ", "\nDigest "},
		"--check":           {"monday.backup is complete: "},
		"--data-dir new":    {"Restored monday.backup: "},
		"list":              {"shop/cache/password  suspended, paused", "shop/other/password  suspended, paused"},
		"plan":              {"accepted", "unreachable"},
		"resume shop":       {"Resumed"},
		"--restored":        {"demo:variable:shop/other/password"},
		"--resume-rotation": {"Restored moving.backup: "},
		"store copy":        {"Copied "},
	}
	for _, f := range fences(t, "../../docs/backup.md") {
		if f.info == "text" {
			continue
		}
		if f.info != "sh" {
			t.Errorf("line %d: a block of no known kind: %s", f.line, f.info)
		}
		out := run(f.text)
		for part, words := range wants {
			if !strings.Contains(f.text, part) {
				continue
			}
			delete(wants, part)
			for _, word := range words {
				if !strings.Contains(out, word) {
					t.Errorf("line %d: %q is not in\n%s", f.line, word, out)
				}
			}
		}
		if strings.Contains(f.text, "--data-dir new") {
			serve(home + "/new")
			run(login)
		}
	}
	for part := range wants {
		t.Errorf("no example has %s", part)
	}
}
