package config_test

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/config"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

// problems unfolds the joined error of Load.
func problems(t *testing.T, err error) (all []config.Problem) {
	t.Helper()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("want joined problems, got %v", err)
	}
	for _, e := range joined.Unwrap() {
		var p config.Problem
		if !errors.As(e, &p) {
			t.Fatalf("want a Problem, got %T %v", e, e)
		}
		all = append(all, p)
	}
	return all
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rekey.yml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	file := writeFile(t, "user_authorization_token_ttl: 100\n")
	flags := map[string]string{"user-token-ttl": "400"}
	for _, c := range []struct {
		name    string
		src     config.Sources
		want    time.Duration
		comment string
	}{
		{"default", config.Sources{}, 480 * time.Second, "default"},
		{"file", config.Sources{File: file}, 100 * time.Second, "file " + file + " line 1"},
		{"file named by the environment", config.Sources{Environ: []string{"REKEY_CONFIG=" + file}}, 100 * time.Second, "file " + file + " line 1"},
		{"environment over file", config.Sources{File: file, Environ: []string{"CONJUR_USER_AUTHORIZATION_TOKEN_TTL=200"}},
			200 * time.Second, "environment CONJUR_USER_AUTHORIZATION_TOKEN_TTL"},
		{"rekey's own name over Conjur's", config.Sources{Environ: []string{"CONJUR_USER_AUTHORIZATION_TOKEN_TTL=200", "REKEY_USER_AUTHORIZATION_TOKEN_TTL=5m"}},
			300 * time.Second, "environment REKEY_USER_AUTHORIZATION_TOKEN_TTL"},
		{"blank environment is not set", config.Sources{File: file, Environ: []string{"REKEY_USER_AUTHORIZATION_TOKEN_TTL= \t", "CONJUR_USER_AUTHORIZATION_TOKEN_TTL="}},
			100 * time.Second, "file " + file + " line 1"},
		{"flag over all", config.Sources{File: file, Flags: flags, Environ: []string{"REKEY_USER_AUTHORIZATION_TOKEN_TTL=300"}},
			400 * time.Second, "flag --user-token-ttl"},
		{"blank flag is not given", config.Sources{File: file, Flags: map[string]string{"user-token-ttl": ""}}, 100 * time.Second, "file " + file + " line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			loaded, err := config.Load(c.src)
			if err != nil {
				t.Fatal(err)
			}
			if loaded.UserTokenTTL != c.want {
				t.Errorf("got %v, want %v", loaded.UserTokenTTL, c.want)
			}
			i := slices.IndexFunc(loaded.Values, func(v config.Value) bool { return v.Key == "user_authorization_token_ttl" })
			if v := loaded.Values[i]; v.Source != c.comment || v.Text != fmt.Sprint(c.want.Seconds()) {
				t.Errorf("shown as %q from %q, want source %q", v.Text, v.Source, c.comment)
			}
		})
	}
}

func TestValuesOfAllTypes(t *testing.T) {
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	file := writeFile(t, `# as in a Conjur configuration
trusted_proxies:
  - 10.0.0.0/8
  - "::1"
authn_api_key_default: no
api_resource_list_limit_max: 0
extensions: []
telemetry_enabled: true
rotation_overdue_limit: 90m
`)
	loaded, err := config.Load(config.Sources{File: file, Environ: []string{
		"REKEY_DATA_DIR=/srv/rekey", "CONJUR_DATA_KEY=" + key, "SECRETS_VERSION_LIMIT=3", "POLICIES_VERSION_LIMIT=4",
		"CONJUR_USERS_IN_ROOT_POLICY_ONLY=true", "CONJUR_LOG_LEVEL=WARN", "REKEY_LOG_FORMAT=json", "REKEY_AUDIT=file:/var/log/audit",
		"REKEY_LISTEN=[::1]:0", "REKEY_ACCOUNT=demo", "REKEY_LISTN=x", "CONJUR_PASSWORD_ALICE=Hunter2", "CONJUR_AUTHENTICATORS=authn-jwt/ci",
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(loaded.TrustedProxies, loaded.APIKeyDefault, loaded.ListLimitMax, loaded.DataDir, loaded.DataKeyFile, loaded.SecretVersions,
		loaded.PolicyVersions, loaded.UsersInRootOnly, loaded.LogLevel == slog.LevelWarn, loaded.LogFormat, loaded.Audit, loaded.Listen, loaded.Account, loaded.DataKey.Len(), loaded.Telemetry, loaded.RotationOverdueLimit)
	want := "[10.0.0.0/8 ::1/128] false 0 /srv/rekey /srv/rekey/root.key 3 4 true true json file:/var/log/audit [::1]:0 demo 44 true 1h30m0s\n"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if password := loaded.Passwords["ALICE"]; password.RevealString() != "Hunter2" || len(loaded.Passwords) != 1 {
		t.Errorf("passwords %v", loaded.Passwords)
	}
	for _, want := range []string{"line 7: extensions", "REKEY_LISTN is not a setting", "CONJUR_AUTHENTICATORS has no effect"} {
		if !strings.Contains(strings.Join(loaded.Warnings, "\n"), want) {
			t.Errorf("no warning about %s in %q", want, loaded.Warnings)
		}
	}
	for _, v := range loaded.Values {
		if strings.Contains(v.Text, key) || strings.Contains(fmt.Sprint(v.Plain(&loaded.Config)), key) {
			t.Errorf("%s shows the key", v.Key)
		}
	}
}

func TestEveryProblemIsReportedAtOnceWithItsSource(t *testing.T) {
	file := writeFile(t, "secrets_version_limit: 0\nlistn: 1.2.3.4:80\naudit: {to: stdout}\n")
	_, err := config.Load(config.Sources{File: file,
		Flags:   map[string]string{"log-format": "xml", "tls-certificate": "/no/such/file"},
		Environ: []string{"CONJUR_TRUSTED_PROXIES=10.0.0.0/8,nonsense", "REKEY_DATA_KEY=hunter2", "CONJUR_HOST_AUTHORIZATION_TOKEN_TTL=18001", "REKEY_TLS_SELF_SIGNED=maybe"},
	})
	var got []string
	for _, p := range problems(t, err) {
		got = append(got, p.Setting+" | "+p.Source)
		if p.Message == "" || p.Remedy == "" {
			t.Errorf("%s: message %q, remedy %q", p.Setting, p.Message, p.Remedy)
		}
	}
	slices.Sort(got)
	want := []string{
		"audit | file " + file + " line 3",
		"data_key | environment REKEY_DATA_KEY",
		"host_authorization_token_ttl | environment CONJUR_HOST_AUTHORIZATION_TOKEN_TTL",
		"listn | file " + file + " line 2",
		"log_format | flag --log-format",
		"secrets_version_limit | file " + file + " line 1",
		"tls_certificate | flag --tls-certificate",
		"tls_key | default",
		"tls_self_signed | environment REKEY_TLS_SELF_SIGNED",
		"trusted_proxies | environment CONJUR_TRUSTED_PROXIES",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the message has the value of a secret setting")
	}
}

func TestProgramsForRotations(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o700, "text": 0o600, "open": 0o707} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	good := filepath.Join(dir, "good")
	file := writeFile(t, "rotation_programs:\n  - one="+good+"\n  - two = "+good+"  --floor 3\n")
	loaded, err := config.Load(config.Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Program{{Name: "one", Path: good, Args: []string{}}, {Name: "two", Path: good, Args: []string{"--floor", "3"}}}
	if !reflect.DeepEqual(loaded.RotationPrograms, want) {
		t.Errorf("got %v, want %v", loaded.RotationPrograms, want)
	}
	for text, want := range map[string]string{
		"reset":                           "name=/path",
		"=/bin/sh":                        "name=/path",
		"a b=/bin/sh":                     "name=/path",
		"reset=sh -c true":                "slash",
		"a=" + good + ",a=/bin/sh":        "two programs",
		"a=" + filepath.Join(dir, "none"): "no such file",
		"a=" + filepath.Join(dir, "text"): "not a program",
		"a=" + filepath.Join(dir, "open"): "everybody",
		"a=" + dir:                        "not a program",
	} {
		_, err := config.Load(config.Sources{Environ: []string{"REKEY_ROTATION_PROGRAMS=" + text}})
		if err == nil {
			t.Errorf("%s: no problem", text)
			continue
		}
		if found := problems(t, err); len(found) != 1 || found[0].Setting != "rotation_programs" || !strings.Contains(found[0].Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := config.LoadLocal(config.Sources{Environ: []string{"REKEY_ROTATION_PROGRAMS=a=/no/such/program"}}); err != nil {
		t.Errorf("a local command stumbles over a program that is not there: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	for _, c := range []struct{ name, content, want string }{
		{"not YAML", "listen: [", "is not YAML"},
		{"not a mapping", "- listen", "is not a mapping"},
		{"given twice", "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", "is there twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := config.Load(config.Sources{File: writeFile(t, c.content)})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, content := range []string{"", "# nothing\n", "---\n", "listen:\n"} {
		if _, err := config.Load(config.Sources{File: writeFile(t, content)}); err != nil {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := config.Load(config.Sources{File: "/no/such/file"}); err == nil {
		t.Error("a named file that is missing was passed over")
	}
}

func TestPlainHTTPStaysOnTheMachine(t *testing.T) {
	for _, c := range []struct {
		listen string
		flags  map[string]string
		ok     bool
	}{
		{"127.0.0.1:80", nil, true}, {"127.9.9.9:80", nil, true}, {"[::1]:80", nil, true}, {"localhost:80", nil, true},
		{"0.0.0.0:80", nil, false}, {":80", nil, false}, {"[::]:80", nil, false}, {"example.org:80", nil, false}, {"192.0.2.1:80", nil, false},
		{"0.0.0.0:80", map[string]string{"tls-self-signed": "true"}, true},
		{"0.0.0.0:80", map[string]string{"tls-terminated-by-proxy": "true"}, true},
	} {
		flags := map[string]string{"listen": c.listen}
		for name, value := range c.flags {
			flags[name] = value
		}
		_, err := config.Load(config.Sources{Flags: flags})
		if (err == nil) != c.ok {
			t.Errorf("%s with %v: %v", c.listen, c.flags, err)
		}
	}
}

func TestALocalCommandDoesNotStumbleOverServerSettings(t *testing.T) {
	src := config.Sources{Environ: []string{"REKEY_LISTEN=0.0.0.0:80", "REKEY_TLS_KEY=/no/such/file", "SECRETS_VERSION_LIMIT=7"}}
	if _, err := config.Load(src); err == nil {
		t.Fatal("the server accepts it")
	}
	loaded, err := config.LoadLocal(src)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.SecretVersions != 7 || loaded.Listen != "" {
		t.Errorf("got %+v", loaded.Config)
	}
}

func TestNoNameIsUsedTwice(t *testing.T) {
	loaded, err := config.Load(config.Sources{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, v := range loaded.Values {
		for _, name := range append([]string{v.Key, "--" + v.Flag}, v.Env...) {
			if other, dup := seen[name]; dup && name != "--" {
				t.Errorf("%s names both %s and %s", name, other, v.Key)
			}
			seen[name] = v.Key
		}
		if v.Doc == "" || v.Type == "" {
			t.Errorf("%s is not documented", v.Key)
		}
	}
}

func TestTheReferencePageIsCurrent(t *testing.T) {
	const path = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(path, []byte(config.Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != config.Markdown() {
		t.Error("docs/configuration.md is not what the table says: go test ./internal/config -update")
	}
}
