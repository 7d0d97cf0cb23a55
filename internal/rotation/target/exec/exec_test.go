package exec_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/exec"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/exectest"
	"rekey/internal/secret"
)

const prefix = "rotation/exec/"

func TestItKeepsThePromisesOfATarget(t *testing.T) {
	program, err := exectest.Find(targettest.At(t))
	if err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Annotations[prefix+name] = value }
	}
	targettest.Suite{
		Kind:   exec.Kind(map[string]exec.Program{"passwords": {Path: program.Path, Args: program.Arguments()}, "missing": {Path: "/no/such/program"}}),
		Modes:  []targettest.Mode{targettest.Self},
		Server: "programs of our own",
		Without: targettest.Without{
			targettest.AdminPrivilege:  "who may do what is the program's business",
			targettest.OwnPrivilege:    "who may do what is the program's business",
			targettest.NetworkFaults:   "there is none between the server and a program; one that is silent, dies or leaves children behind is tested instead",
			targettest.UntrustedServer: "a program is named by the server's configuration",
			targettest.StatementLog:    "the program's business",
		},
		Account:   program.Account,
		Login:     program.Login,
		Keeps:     true,
		Users:     []string{`it's "so" $(id); --`, "Größe\n", "{}"},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1\r\n", "<p@ss&w/ord>", strings.Repeat("long1", 1000)},
		BadValue:  func(string) string { return "tiny" },
		Misspelt: []targettest.Misspelt{
			{Name: "an unknown one", Annotations: map[string]string{"program": "passwords", "lenght": "20"}, At: "lenght"},
			{Name: "no program", Annotations: map[string]string{}, At: "program"},
			{Name: "a program that is not allowed", Annotations: map[string]string{"program": "/bin/sh"}, At: "program"},
			{Name: "a charset that is none", Annotations: map[string]string{"program": "passwords", "charset": "runes"}, At: "charset"},
			{Name: "a value from nowhere", Annotations: map[string]string{"program": "passwords", "value": "found"}, At: "value"},
			{Name: "a parameter without a name", Annotations: map[string]string{"program": "passwords", "parameter/": "x"}, At: "parameter/"},
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"a program that is not there": targettest.Fails(set("program", "missing"), target.Refused, "cannot be started"),
			"a program not allowed":       targettest.Fails(set("program", "sh"), target.Refused, "rotation_programs"),
			"a user that is not there":    targettest.Fails(func(a targettest.Account) { a.Values["username"] = "nobody" }, target.Refused, "no such user"),
		},
	}.Run(t)
}

// bound is a target of a shell script.
func bound(t *testing.T, text string, annotations map[string]string) target.Target {
	t.Helper()
	all := map[string]string{prefix + "program": "script"}
	maps.Copy(all, annotations)
	made, err := exec.Kind(map[string]exec.Program{"script": {Path: script(t, text), Args: []string{"one", "two words"}}}).
		Bind(target.Binding{Annotations: all, Values: map[string]secret.Bytes{"url": secret.FromString("here"), "token": secret.FromString("t0p secret")}, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func credential(value string) target.Credential {
	return target.Credential{target.Main: secret.FromString(value)}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestWhatAProgramDoesDecidesTheClass(t *testing.T) {
	for name, test := range map[string]struct {
		script       string
		apply, probe target.Class // 0: no error
		words        string
	}{
		"done":                     {`cat > /dev/null; echo '{"result":"ok"}'`, 0, 0, ""},
		"done without reading":     {`echo '{"result":"ok","more":[1]}'`, 0, 0, ""},
		"unreachable":              {`echo '{"result":"unreachable","message":"busy"}'`, target.Unreachable, target.Unreachable, "busy"},
		"wrong":                    {`echo '{"result":"authentication failed"}'`, target.AuthFailed, target.AuthFailed, "does not say why"},
		"refused":                  {`printf %s '{"result":"refused","message":"no\nsuch \u0007thing"}'`, target.Refused, target.Refused, "no such thing"},
		"uncertain":                {`echo '{"result":"uncertain"}'`, target.Uncertain, target.Uncertain, "script"},
		"an unknown result":        {`echo '{"result":"fine"}'`, target.Uncertain, target.Unreachable, "no result"},
		"nothing":                  {`cat > /dev/null`, target.Uncertain, target.Unreachable, "no JSON"},
		"words":                    {`echo done`, target.Uncertain, target.Unreachable, "no JSON"},
		"half an answer":           {`printf '{"result":"ok"'`, target.Uncertain, target.Unreachable, "no JSON"},
		"two answers":              {`echo '{"result":"ok"}{"result":"ok"}'`, target.Uncertain, target.Unreachable, "no JSON"},
		"a failure after the fact": {`echo '{"result":"ok"}'; exit 3`, target.Uncertain, target.Unreachable, "exit status 3"},
		"killed":                   {`kill -9 $$`, target.Uncertain, target.Unreachable, "killed"},
		"endless output":           {`while :; do echo '                                                            '; done`, target.Uncertain, target.Unreachable, "too long"},
		"a long message":           {`printf '{"result":"refused","message":"%1000s"}' x | tr ' ' y`, target.Refused, target.Refused, "..."},
		"a child that stays":       {`sleep 60 & echo '{"result":"ok"}'`, target.Uncertain, target.Unreachable, "left a process"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made := bound(t, test.script, nil)
			_, err := made.Apply(within(t, 20*time.Second), credential("old-Value-1"), credential("new-Value-1"))
			check(t, "apply", err, test.apply, test.words)
			check(t, "retire", made.Retire(within(t, 20*time.Second), credential("new-Value-1"), credential("old-Value-1")), test.apply, test.words)
			check(t, "probe", made.Probe(within(t, 20*time.Second), credential("new-Value-1")), test.probe, test.words)
		})
	}
}

func check(t *testing.T, what string, err error, want target.Class, words string) {
	t.Helper()
	switch {
	case want == 0 && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != 0 && (err == nil || target.ClassOf(err) != want || !strings.Contains(err.Error(), words) || len(err.Error()) > 400):
		t.Errorf("%s: %v, want %s with %q", what, err, want, words)
	}
}

func TestWhatAProgramRepeatsIsNotShown(t *testing.T) {
	for _, message := range []string{"new-Value-1", "bad: bmV3LVZhbHVlLTE=", "6e65772d56616c75652d31", "t0p+secret", "the old-Value-1 is worn"} {
		made := bound(t, `echo '{"result":"refused","message":"`+message+`"}'`, map[string]string{prefix + "secrets": "token", prefix + "variables": "url"})
		_, err := made.Apply(within(t, 20*time.Second), credential("old-Value-1"), credential("new-Value-1"))
		if err == nil || !strings.Contains(err.Error(), "repeats a value") || strings.Contains(err.Error(), message) {
			t.Errorf("%v", err)
		}
	}
	made := bound(t, `echo "new-Value-1 on standard error" >&2; exit 1`, nil)
	if _, err := made.Apply(within(t, 20*time.Second), nil, credential("new-Value-1")); err == nil || strings.Contains(err.Error(), "standard error") {
		t.Errorf("%v", err)
	}
}

func TestADeadlineKillsAllThatTheProgramStarted(t *testing.T) {
	for name, text := range map[string]string{
		"in the foreground": `echo $$ > DIR/one; sh -c 'echo $$ > DIR/two; sleep 60; echo no'`,
		"in the background": `echo $$ > DIR/one; (trap "" TERM HUP; sleep 60) & echo $! > DIR/two; wait`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			made := bound(t, strings.ReplaceAll(text, "DIR", dir), nil)
			begin := time.Now()
			_, err := made.Apply(within(t, time.Second), nil, credential("new-Value-1"))
			check(t, "apply", err, target.Uncertain, "in time")
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			for _, name := range []string{"one", "two"} {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
				if err != nil {
					t.Fatal(err)
				}
				if !gone(pid) {
					t.Errorf("process %s lives on", name)
				}
			}
		})
	}
}

// gone waits until a process has died.
func gone(pid int) bool {
	for range 200 {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(state), ") Z ") || syscall.Kill(pid, 0) != nil {
			return true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return false
}

func TestAProgramFindsItsQuestionAndNothingElse(t *testing.T) {
	t.Setenv("REKEY_DATA_KEY", "the root key")
	dir := t.TempDir()
	made := bound(t, `cat > `+dir+`/question; env > `+dir+`/environment; printf '%s|' "$@" > `+dir+`/arguments; pwd > `+dir+`/directory; echo '{"result":"ok","value":"issued-Value-1"}'`,
		map[string]string{prefix + "variables": "url", prefix + "secrets": "token", prefix + "parameter/zone": "a b", prefix + "value": "issued"})
	next, err := made.Candidate(nil)
	if err != nil || next != nil {
		t.Fatalf("%v %v, want no candidate", next, err)
	}
	got, err := made.Apply(within(t, 20*time.Second), credential("old-Value-1"), nil)
	if err != nil || got[target.Main].RevealString() != "issued-Value-1" {
		t.Fatal(err)
	}
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, part := range []string{`"operation":"apply"`, `"parameters":{"zone":"a b"}`, `"variables":{"url":"here"}`, `"secrets":{"token":"t0p secret"}`, `"current":"old-Value-1"`, `"id":"`} {
		if !strings.Contains(text("question"), part) {
			t.Errorf("the question is %s, without %s", text("question"), part)
		}
	}
	if env := text("environment"); strings.Contains(env, "REKEY") || strings.Contains(env, "HOME="+os.Getenv("HOME")+"\n") {
		t.Errorf("the environment has %s", env)
	}
	if text("arguments") != "one|two words|" || text("directory") != "/\n" {
		t.Errorf("arguments %s in directory %s", text("arguments"), text("directory"))
	}
	if identity := made.Identity(); !strings.Contains(identity, `url "here"`) || !strings.Contains(identity, `zone "a b"`) || strings.Contains(identity, "t0p") {
		t.Errorf("the identity is %s", identity)
	}
}

func TestAnIssuedValueMustBeThere(t *testing.T) {
	made := bound(t, `echo '{"result":"ok"}'`, map[string]string{prefix + "value": "issued"})
	_, err := made.Apply(within(t, 20*time.Second), credential("old-Value-1"), nil)
	check(t, "apply", err, target.Uncertain, "no value")
}

func TestValuesThatAreNoTextAreRefused(t *testing.T) {
	made := bound(t, `echo '{"result":"ok"}'`, nil)
	check(t, "probe", made.Probe(within(t, 20*time.Second), credential("\xff\xfe")), target.Refused, "UTF-8")
}
