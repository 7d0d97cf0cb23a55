package agent

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/secret"
	"rekey/internal/secretsyml"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestBackoffGrowsToABound(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 500 * time.Millisecond, 2: time.Second, 5: 8 * time.Second, 7: longestBackoff, 1000: longestBackoff} {
		if got := backoff(failures, 1); got != want {
			t.Errorf("%d failures: at most %v, want %v", failures, got, want)
		}
		if got := backoff(failures, 0.5); got != want/2 {
			t.Errorf("%d failures: %v is no part of %v", failures, got, want)
		}
	}
}

func TestADutyNotesHowItGoes(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	d := newDuty("x", nil)
	broken := errors.New("broken")
	d.note(0, broken, log)
	if s := d.state(); s.OK || s.Failures != 1 || s.Error != "broken" || !s.LastSuccess.IsZero() {
		t.Errorf("%+v", s)
	}
	d.note(0, broken, log)
	if wait := d.note(time.Minute, nil, log); wait != time.Minute {
		t.Error(wait)
	}
	if s := d.state(); !s.OK || s.Failures != 0 || s.Failed != 2 || s.Error != "" || s.LastSuccess.IsZero() {
		t.Errorf("%+v", s)
	}
	if wait := d.note(0, nil, log); wait != shortest {
		t.Errorf("it is done again in %v", wait)
	}
}

func TestLifeOfAToken(t *testing.T) {
	payload := func(claims string) string {
		return `{"protected":"e30=","payload":"` + base64.StdEncoding.EncodeToString([]byte(claims)) + `","signature":""}`
	}
	for token, want := range map[string]time.Duration{
		payload(`{"iat":1000,"exp":1120}`): 2 * time.Minute,
		payload(`{"iat":1000}`):            usualLife,
		payload(`{"iat":1000,"exp":10}`):   usualLife,
		payload(`nonsense`):                usualLife,
		"nonsense":                         usualLife,
	} {
		if got := life(secret.FromString(token)); got != want {
			t.Errorf("%s: %v, want %v", token, got, want)
		}
	}
}

func TestPlansAreCompletedAndChecked(t *testing.T) {
	rotating := func(every time.Duration, grace string) Plan {
		p := Usual()
		p.RotateEvery, p.OldKey = every, grace
		return p
	}
	for every, want := range map[time.Duration]string{time.Hour: "PT900S", time.Minute: "PT60S", 50 * time.Millisecond: "PT0.05S"} {
		p := rotating(every, "")
		if err := p.Check(); err != nil || p.OldKey != want {
			t.Errorf("every %v: an old key goes on for %s, %v; want %s", every, p.OldKey, err, want)
		}
	}
	with := func(change func(*Plan)) Plan {
		p := Usual()
		change(&p)
		return p
	}
	for name, p := range map[string]Plan{
		"old_key is 'soon'":       rotating(time.Hour, "soon"),
		"longer than":             rotating(time.Hour, "PT2H"),
		"poll is too short":       with(func(p *Plan) { p.Poll = 0 }),
		"one of secret, template": with(func(p *Plan) { p.Files = []File{{To: "x"}} }),
		"the file ''":             with(func(p *Plan) { p.Files = []File{{Secret: "x"}} }),
		"no command":              with(func(p *Plan) { p.Command = &Command{} }),
		"health is '0.0.0.0:1'":   with(func(p *Plan) { p.Health = "0.0.0.0:1" }),
		"health is 'unix:'":       with(func(p *Plan) { p.Health = "unix:" }),
	} {
		if err := p.Check(); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), name) || advice(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, address := range []string{"", "unix:/x", "127.0.0.1:0", "[::1]:80", "localhost:80"} {
		check(t, checkAddress(address))
	}
}

func TestAPlanIsReadFromAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "agent.yml")
	write := func(name, text string) { check(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	write("secrets.yml", "common: {A: !var $app/x}\nprod: {B: y}\n")
	write("agent.yml", `
identity: /etc/conjur.identity
rotate_every: PT1H
old_key: PT5M
token_file: run/token
poll: 10
timeout: PT3S
health: 127.0.0.1:9180
files:
- {to: a, secret: x}
- {to: /b, template: t, mode: "0640", owner: "12", group: "34"}
exec:
  command: [app, -x]
  secrets: secrets.yml
  section: prod
  values: {app: shop}
  on_change: hup
  stop_after: PT1M
`)
	got := Usual()
	check(t, ReadPlan(path, &got))
	want := Plan{
		Identity: "/etc/conjur.identity", RotateEvery: time.Hour, OldKey: "PT5M", TokenFile: dir + "/run/token",
		Poll: 10 * time.Second, Timeout: 3 * time.Second, Health: "127.0.0.1:9180",
		Files: []File{{To: dir + "/a", Secret: "x"}, {To: "/b", Template: dir + "/t", Look: &client.Look{Mode: 0o640, UID: 12, GID: 34}}},
		Command: &Command{Args: []string{"app", "-x"}, Signal: syscall.SIGHUP, StopAfter: time.Minute, Entries: []secretsyml.Entry{
			{Name: "A", Text: "shop/x", Variable: true, Line: 1, Column: 10}, {Name: "B", Text: "y", Line: 2, Column: 8}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	check(t, got.Check())
}

func TestMistakesInTheFileHavePositions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.yml")
	for text, want := range map[string]string{
		"poll: 1\nrotate: 1":               "line 2, column 1: 'rotate' is not known here",
		"poll: 1\npoll: 1":                 "line 2, column 1: 'poll' is there twice",
		"poll: soon":                       "line 1, column 7: 'soon' is no length of time",
		"rotate_every: 0":                  "line 1, column 15: '0' is no length of time",
		"identity: [x]":                    "line 1, column 11: here goes a text",
		"files: {to: x}":                   "line 1, column 8: here goes a list",
		"files:\n- {to: x, mod: 1}":        "line 2, column 11: 'mod' is not known here",
		"files:\n- {to: x, mode: '999'}":   "line 2, column 3: the mode '999'",
		"files:\n- {to: x, owner: no one}": "there is no user 'no one'",
		"files:\n- {to: x, group: no one}": "there is no group 'no one'",
		"exec: {on_change: hop}":           "line 1, column 7: there is no signal 'hop'",
		"exec: {secrets: none.yml}":        "the list of secrets cannot be read",
		"- x":                              "line 1, column 1: here goes a mapping",
		"a: 'b":                            "is not YAML",
	} {
		check(t, os.WriteFile(path, []byte(text), 0o600))
		plan := Usual()
		if err := ReadPlan(path, &plan); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) || advice(err) == "" {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if err := ReadPlan(path+".none", &Plan{}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// Given a template, it is asked for what it wants until all of that is there.
func TestTemplatesSayWhatTheyWant(t *testing.T) {
	to := filepath.Join(t.TempDir(), "x")
	fs, err := newFiles([]File{{To: to, Text: `{{if eq (secret "kind") "a"}}{{secret "a" | base64}}{{else}}{{secret "b"}}{{end}}`}})
	check(t, err)
	have := values{}
	for _, want := range []string{"kind", "a", ""} {
		missing, err := fs.missing(have)
		check(t, err)
		if len(missing) > 0 && missing[0] == "b" { // while the kind is not known, it seems not to be a
			missing = missing[1:]
		}
		if got := strings.Join(missing, ","); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("it wants %s, not %s", got, want)
		}
		if want != "" {
			have[want] = secret.FromString("a")
		}
	}
	written, err := fs.write(have)
	if text, _ := os.ReadFile(to); err != nil || written != 1 || string(text) != "YQ==" {
		t.Errorf("%d, %q, %v", written, text, err)
	}
	if written, err := fs.write(have); written != 0 || err != nil {
		t.Errorf("what has not changed is written: %d, %v", written, err)
	}
}

func TestAFailedTemplateDoesNotTellValues(t *testing.T) {
	fs, err := newFiles([]File{{To: filepath.Join(t.TempDir(), "x"), Text: `{{index (secret "a") (secret "a")}}`}})
	check(t, err)
	_, err = fs.write(values{"a": secret.FromString("hunter2")})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
	if _, err := newFiles([]File{{To: "x", Text: "{{secre"}}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, err := newFiles([]File{{To: "x", Template: "there-is-none"}}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestWhatACommandGets(t *testing.T) {
	c := newChild(&Command{Entries: []secretsyml.Entry{
		{Name: "A", Text: "a", Variable: true}, {Name: "B", Text: "b", Variable: true, Default: "x"}, {Name: "C", Text: "c"},
		{Name: "D", Text: "a", Variable: true, File: true},
	}}, nil, slog.New(slog.DiscardHandler), &counts{}, nil)
	defer func() { check(t, c.end(context.Canceled)) }()
	got, rewritten, err := c.environment(values{"a": secret.FromString("1"), "b": secret.Bytes{}})
	check(t, err)
	if want := []string{"A=1", "B=x", "C=c"}; !reflect.DeepEqual(got[:3], want) || !rewritten {
		t.Errorf("%q, %v", got, rewritten)
	}
	path := strings.TrimPrefix(got[3], "D=")
	if text, err := os.ReadFile(path); err != nil || string(text) != "1" {
		t.Errorf("%q, %v", text, err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if again, rewritten, err := c.environment(values{"a": secret.FromString("1")}); err != nil || rewritten || !reflect.DeepEqual(again, got) {
		t.Errorf("%q, %v, %v", again, rewritten, err)
	}
	if _, _, err := c.environment(values{"a": secret.FromString("\x00")}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestSignalsHaveNames(t *testing.T) {
	for text, want := range map[string]syscall.Signal{"": 0, "restart": 0, "HUP": syscall.SIGHUP, "sigusr1": syscall.SIGUSR1} {
		if got, err := ParseChange(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := ParseChange("hop"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

// What an agent cannot do it says before it begins.
func TestWhatCannotBeDoneIsSaid(t *testing.T) {
	for name, value := range map[string]string{"HOME": t.TempDir(), "CONJURRC": "", "CONJUR_APPLIANCE_URL": "http://127.0.0.1:1",
		"CONJUR_ACCOUNT": "demo", "CONJUR_CREDENTIAL_STORAGE": "file", "CONJUR_AUTHN_LOGIN": "host/x", "CONJUR_AUTHN_API_KEY": "y"} {
		t.Setenv(name, value)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	for want, plan := range map[string]Plan{
		"there is nothing to do":     Usual(),
		"come from: environment":     {RotateEvery: time.Hour, Poll: time.Second},
		"a command is not run once":  {Command: &Command{Args: []string{"x"}}, Poll: time.Second},
		"a template cannot be read:": {Files: []File{{To: "x", Template: "none"}}, Poll: time.Second},
	} {
		if err := Once(t.Context(), plan, log); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	unreadable := func() (Plan, error) { return Plan{}, fmt.Errorf("no plan") }
	if err := Run(t.Context(), unreadable, log); err == nil || err.Error() != "no plan" {
		t.Error(err)
	}
}
