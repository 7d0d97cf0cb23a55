package ssh_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/ssh"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/sshtest"
	"rekey/internal/secret"
)

const keyPrefix = "rotation/ssh/key/"

func TestKeysKeepThePromisesOfATarget(t *testing.T) {
	fails := targettest.Fails
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	targettest.Suite{
		Kind:   ssh.Key(),
		Server: "OpenSSH",
		Without: targettest.Without{
			targettest.RefusedValue:     "a host takes any key that can be made",
			targettest.HostilePasswords: "what is no key is refused before the host hears of it",
		},
		Modes:   []targettest.Mode{targettest.Self, targettest.Admin},
		Account: host.KeyPairs(t),
		Credential: func(t *testing.T, password string) target.Credential {
			if password == "" || strings.Contains(password, "\x00") {
				return credential(password)
			}
			return credential(sshtest.Private(t, password))
		},
		Login:    host.Login,
		Foresees: []targettest.Mode{targettest.Self, targettest.Admin},
		Kept:     host.KeyFile,
		Keeps:    true,
		Users:    []string{"a$(id)", `a'b"c`, "Größe", "a b;*", `a\b&|`, "`id`"},
		Misspelt: []targettest.Misspelt{
			{Name: "an unknown one", Annotations: map[string]string{"length": "20"}, At: "length"},
			{Name: "a type that cannot be made", Annotations: map[string]string{"type": "dsa"}, At: "type"},
			{Name: "a file that is none", Annotations: map[string]string{"file": ".ssh/"}, At: "file"},
			{Name: "half an administrator", Annotations: map[string]string{"admin-password": "p"}, At: "admin-username"},
		},
		Log:   func(t *testing.T) string { return host.Log(t) },
		Trace: "Accepted publickey for",
		Untrusted: map[string]targettest.Elsewhere{
			"another host's key": fails(set("host-key", pam.Keys["ed25519"]), target.Refused, "not trusted"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"a name that is an identity": fails(set("username", "#0"), target.Refused, "account"),
			"a URL with a mode":          fails(set("url", "localhost?sslmode=disable"), target.Refused, "sslmode"),
		},
	}.Run(t)
}

// keyed is an account with authorized keys.
func keyed(t *testing.T, lines ...string) (user, file string) {
	t.Helper()
	user = sshtest.Name()
	host.Add(t, sshtest.Account{User: user, Password: "-"})
	host.Authorize(t, user, lines...)
	return user, filepath.Join(host.Home(user), ".ssh/authorized_keys")
}

func content(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// swap rotates the key named "first", and retires it.
func swap(t *testing.T, made target.Target) target.Credential {
	t.Helper()
	current := credential(sshtest.Private(t, "first"))
	next, err := made.Candidate(current)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Apply(within(t), current, next); err != nil {
		t.Fatal(err)
	}
	if err := made.Probe(within(t), next); err != nil {
		t.Fatal(err)
	}
	if err := made.Retire(within(t), next, current); err != nil {
		t.Fatal(err)
	}
	return next
}

func TestForeignLinesStayAsTheyAre(t *testing.T) {
	options := `from="127.0.0.1,::1",environment="A=a \"b\" c",no-pty `
	before := "# my keys\r\n\n" + sshtest.Public("foreign") + " somebody@else\n" + options
	after := "  the old comment\n\tnot a key at all\nno-pty " + sshtest.Public("another") + "\nssh-dss AAAA broken\n" + sshtest.Public("last")
	user, file := keyed(t)
	if err := os.WriteFile(file, []byte(before+sshtest.Public("first")+after), 0o640); err != nil {
		t.Fatal(err)
	}
	sshtest.Do(t, "", "chmod", "640", file)
	owner, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	next := swap(t, bind(t, ssh.Key(), targettest.Account{Values: host.Values(user)}))
	if got, want := content(t, file), before+next["public-key"].RevealString()+after; got != want {
		t.Errorf("%q\nwant\n%q", got, want)
	}
	now, err := os.Stat(file)
	if err != nil || now.Mode() != owner.Mode() || fmt.Sprint(ids(now)) != fmt.Sprint(ids(owner)) {
		t.Errorf("mode and owner are %s %v, want %s %v (%v)", now.Mode(), ids(now), owner.Mode(), ids(owner), err)
	}
	if left, err := filepath.Glob(filepath.Dir(file) + "/.*"); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v behind (%v)", left, err)
	}
}

func TestAKeyIsSwappedOnHostsOfManyKinds(t *testing.T) {
	root := func(t *testing.T, a targettest.Account) targettest.Account {
		return withAdmin(a, keyPrefix, "root", sshtest.Private(t, "root"))
	}
	for name, test := range map[string]struct {
		before func(t *testing.T, user, file string)
		admin  func(*testing.T, targettest.Account) targettest.Account
		typed  string
		check  func(t *testing.T, user, file string)
	}{
		"an RSA key": {typed: "rsa-3072"},
		"a link to the file": {before: func(t *testing.T, user, file string) {
			sshtest.Do(t, "", "mv", file, filepath.Dir(file)+"/real")
			sshtest.Do(t, "", "ln", "-s", "real", file)
		}, check: func(t *testing.T, user, file string) {
			if to, err := os.Readlink(file); err != nil || to != "real" {
				t.Errorf("the link leads to %q (%v)", to, err)
			}
		}},
		"a link to the directory": {before: func(t *testing.T, user, file string) {
			sshtest.Do(t, "", "mv", filepath.Dir(file), host.Home(user)+"/real")
			sshtest.Do(t, "", "ln", "-s", "real", filepath.Dir(file))
		}},
		"by root, of who has no shell": {admin: root, before: func(t *testing.T, user, file string) {
			sshtest.Do(t, "", "usermod", "-s", "/usr/sbin/nologin", user)
		}},
		"by root, of who has no file": {admin: root, before: func(t *testing.T, user, file string) { sshtest.Do(t, "", "rm", "-r", filepath.Dir(file)) }},
		"by root, of who has a command": {admin: root, before: func(t *testing.T, user, file string) {
			host.Authorize(t, user, `command="echo no" `+sshtest.Public("first"))
		}, check: func(t *testing.T, user, file string) {
			if !strings.HasPrefix(content(t, file), `command="echo no" ssh-ed25519`) {
				t.Error("the command is gone")
			}
		}},
		"a shell with other words": {before: func(t *testing.T, user, file string) { sshtest.Do(t, "", "usermod", "-s", "/bin/bash", user) }},
		"a shell that greets": {before: func(t *testing.T, user, file string) {
			sshtest.Do(t, "", "usermod", "-s", host.Script(t, `echo "welcome $USER"; printf more; exec /bin/sh "$@"`), user)
		}},
		"a minimal host": {before: func(t *testing.T, user, file string) {
			bin := host.Home(user) + "/bin"
			sshtest.Do(t, "", "mkdir", bin)
			sshtest.Do(t, "", "busybox", "--install", "-s", bin)
			sshtest.Do(t, "", "usermod", "-s", host.Script(t, `PATH=~/bin exec ~/bin/sh "$@"`), user)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, file := keyed(t, sshtest.Public("first"))
			if test.before != nil {
				test.before(t, user, file)
			}
			a := targettest.Account{Values: host.Values(user)}
			if test.admin != nil {
				a = test.admin(t, a)
			}
			if test.typed != "" {
				a.Annotations = map[string]string{keyPrefix + "type": test.typed}
			}
			next := swap(t, bind(t, ssh.Key(), a))
			if got := content(t, file); strings.Contains(got, sshtest.Public("first")) || !strings.Contains(got, next["public-key"].RevealString()) {
				t.Errorf("the file has %q", got)
			}
			if test.check != nil {
				test.check(t, user, file)
			}
		})
	}
}

func TestWhatCannotBeSwappedIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		before func(t *testing.T, user, file string)
		file   string
		words  string
	}{
		"no shell": {words: "no shell", before: func(t *testing.T, user, file string) { sshtest.Do(t, "", "usermod", "-s", "/usr/sbin/nologin", user) }},
		"a command of its own": {words: "command of its own", before: func(t *testing.T, user, file string) {
			host.Authorize(t, user, `command="echo no" `+sshtest.Public("first"))
		}},
		"a file elsewhere": {words: "annotation file", file: ".ssh/other"},
		"a directory":      {words: "not a file", file: ".ssh"},
		"a read-only file": {words: "not a file", before: func(t *testing.T, user, file string) { sshtest.Do(t, "", "chmod", "400", file) }},
		"somebody else's directory": {words: "cannot be written", before: func(t *testing.T, user, file string) {
			sshtest.Do(t, "", "chown", "root", filepath.Dir(file))
			sshtest.Do(t, "", "chmod", "755", filepath.Dir(file))
		}},
		"a file without end": {words: "longer", before: func(t *testing.T, user, file string) {
			host.Authorize(t, user, sshtest.Public("first"), strings.Repeat("#"+strings.Repeat("x", 99)+"\n", 15_000))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, file := keyed(t, sshtest.Public("first"))
			if test.before != nil {
				test.before(t, user, file)
			}
			a := targettest.Account{Values: host.Values(user)}
			if test.file != "" {
				a.Annotations = map[string]string{keyPrefix + "file": test.file}
			}
			made := bind(t, ssh.Key(), a)
			was := content(t, file)
			next, err := made.Candidate(nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = made.Apply(within(t), credential(sshtest.Private(t, "first")), next)
			if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v, want a refusal with %q", err, test.words)
			}
			if content(t, file) != was {
				t.Error("the file has changed")
			}
		})
	}
}

func TestTheOldKeyStaysWhereItsSuccessorIsMissing(t *testing.T) {
	user, file := keyed(t, sshtest.Public("first"))
	made := bind(t, ssh.Key(), withAdmin(targettest.Account{Values: host.Values(user)}, keyPrefix, "root", sshtest.Private(t, "root")))
	err := made.Retire(within(t), credential(sshtest.Private(t, "next")), credential(sshtest.Private(t, "first")))
	if target.ClassOf(err) != target.Refused || !strings.Contains(content(t, file), sshtest.Public("first")) {
		t.Errorf("%v, and the file has %q", err, content(t, file))
	}
}

func TestPrivateKeysThatCannotBeUsedAreRefused(t *testing.T) {
	user, _ := keyed(t, sshtest.Public("first"))
	made := bind(t, ssh.Key(), targettest.Account{Values: host.Values(user)})
	locked := t.TempDir() + "/locked"
	sshtest.Do(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "passphrase", "-f", locked)
	small := t.TempDir() + "/small"
	sshtest.Do(t, "", "ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", small)
	for words, key := range map[string]string{"passphrase": content(t, locked), "2048": content(t, small), "cannot be read": "-----BEGIN nothing"} {
		err := made.Probe(within(t), target.Credential{target.Main: secret.FromString(key)})
		if target.ClassOf(err) != target.Refused || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want a refusal with %q", err, words)
		}
	}
}

// Somebody else writes between the moment in which the file was read and the one in
// which the new one takes its place: the account's sync does it.
func TestAnEditOfSomebodyElseIsNotLost(t *testing.T) {
	for name, test := range map[string]struct {
		times string
		ends  bool
	}{
		"once":     {times: "1", ends: true},
		"for ever": {times: "999"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user, file := keyed(t, sshtest.Public("first"))
			bin := host.Home(user) + "/bin"
			sshtest.Do(t, "", "mkdir", bin)
			sshtest.Do(t, "", "install", "-m", "755", host.Script(t, `n=$(grep -c edited "$HOME/.ssh/authorized_keys"); [ "$n" -ge `+test.times+` ] || echo "# edited" >> "$HOME/.ssh/authorized_keys"`), bin+"/sync")
			sshtest.Do(t, "", "usermod", "-s", host.Script(t, `PATH=~/bin:$PATH exec /bin/sh "$@"`), user)
			made := bind(t, ssh.Key(), targettest.Account{Values: host.Values(user)})
			next, err := made.Candidate(nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = made.Apply(within(t), credential(sshtest.Private(t, "first")), next)
			got := content(t, file)
			switch {
			case test.ends && (err != nil || !strings.Contains(got, "# edited") || !strings.Contains(got, next["public-key"].RevealString())):
				t.Errorf("%v, and the file has %q", err, got)
			case !test.ends && (target.ClassOf(err) != target.Unreachable || strings.Count(got, "# edited") != 3 || strings.Contains(got, next["public-key"].RevealString())):
				t.Errorf("%v, and the file has %q", err, got)
			}
			if left, err := filepath.Glob(filepath.Dir(file) + "/.*"); err != nil || len(left) != 0 {
				t.Errorf("it leaves %v behind (%v)", left, err)
			}
		})
	}
}
