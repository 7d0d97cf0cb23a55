package ssh_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/ssh"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/sshtest"
	"rekey/internal/secret"
)

const prefix = "rotation/ssh/password/"

func withAdmin(a targettest.Account, kind, user, proof string) targettest.Account {
	if a.Annotations == nil {
		a.Annotations = map[string]string{}
	}
	a.Annotations[kind+"admin-username"], a.Annotations[kind+"admin-password"] = "admin-username", "admin-password"
	a.Values["admin-username"], a.Values["admin-password"] = user, proof
	return a
}

func TestPasswordsKeepThePromisesOfATarget(t *testing.T) {
	fails := targettest.Fails
	set := func(name, value string) func(targettest.Account) {
		return func(a targettest.Account) { a.Values[name] = value }
	}
	targettest.Suite{
		Kind:      ssh.Password(),
		Server:    "OpenSSH",
		Without:   targettest.Without{},
		Modes:     []targettest.Mode{targettest.Self, targettest.Admin},
		Account:   host.Passwords(t),
		Login:     host.Login,
		Foresees:  []targettest.Mode{targettest.Admin},
		Kept:      host.Password,
		Users:     []string{"a$(id)", `a'b"c`, "Größe", "a b;*", `a\b&|`, "`id`", "a@b%"},
		Passwords: []string{`it's "so" 1 \ $1 ; --`, " 1 space at both ends ", "Größe-Ключ-鍵-1", "p@ss:w/ord?1#[%41]", strings.Repeat("long1", 100)},
		BadValue:  func(string) string { return "with\ta-Tabulator1" },
		Log:       func(t *testing.T) string { return host.Log(t) },
		Trace:     "Accepted password for",
		Untrusted: map[string]targettest.Elsewhere{
			"another host's key":         fails(set("host-key", pam.Keys["ed25519"]), target.Refused, "not trusted"),
			"a host key of another kind": fails(set("host-key", "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="), target.Refused, "host-key"),
			"the key of another name":    fails(set("host-key", "elsewhere "+host.Keys["ed25519"]), target.Refused, "host-key"),
		},
		Elsewhere: map[string]targettest.Elsewhere{
			"a host key that is none":      fails(set("host-key", "trust me"), target.Refused, "host-key"),
			"an authority for host keys":   fails(set("host-key", "@cert-authority * "+host.Keys["ed25519"]), target.Refused, "cert-authority"),
			"a host that takes none of it": fails(set("url", "ldap://localhost"), target.Refused, "url"),
			"a URL with a password":        fails(set("url", "ssh://a:b@localhost"), target.Refused, "url"),
			"a name that is two":           fails(set("username", "a:b"), target.Refused, "account"),
			"a name that is an option":     fails(set("username", "-a"), target.Refused, "account"),
		},
	}.Run(t)
}

// bind makes a target of an account.
func bind(t *testing.T, kind target.Kind, a targettest.Account) target.Target {
	t.Helper()
	return targettest.Bind(t, kind, a)
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func credential(value string) target.Credential {
	return target.Credential{target.Main: secret.FromString(value)}
}

const (
	first  = "first-Password-1"
	second = "other-Kennwort-2"
)

func TestAPasswordIsChangedOnHostsOfManyKinds(t *testing.T) {
	root := func(t *testing.T, a targettest.Account) targettest.Account {
		return withAdmin(a, prefix, "root", sshtest.Private(t, "root"))
	}
	for name, test := range map[string]struct {
		server  *sshtest.Server
		account sshtest.Account
		before  func(t *testing.T, user string)
		admin   func(*testing.T, targettest.Account) targettest.Account
	}{
		"by the user, where PAM asks":     {server: pam},
		"by the user, of an old password": {server: host, before: func(t *testing.T, user string) { sshtest.Do(t, "", "chage", "-d", "2020-01-01", "-M", "30", user) }},
		"by the user, as on Debian":       {server: debian},
		"by the user, of an old password on Debian": {server: debian, before: func(t *testing.T, user string) {
			sshtest.Do(t, "", "chage", "-d", "2020-01-01", "-M", "30", user)
		}},
		"by root, with a key":          {server: host, admin: root},
		"by root, where PAM asks":      {server: pam, admin: root},
		"by root, of who has no shell": {server: host, account: sshtest.Account{Shell: "/usr/sbin/nologin"}, admin: root},
		"by root, of who was locked": {server: host, admin: root, before: func(t *testing.T, user string) {
			sshtest.Do(t, "", "usermod", "-L", user)
		}},
		"by sudo that asks nothing": {server: host, admin: func(t *testing.T, a targettest.Account) targettest.Account {
			user := sshtest.Name()
			host.Add(t, sshtest.Account{User: user, Password: "admin-Password-1", Sudo: []string{"ALL=(root) NOPASSWD: /usr/sbin/chpasswd -e"}})
			return withAdmin(a, prefix, user, "admin-Password-1")
		}},
		"by sudo, with a key": {server: host, admin: func(t *testing.T, a targettest.Account) targettest.Account {
			user := sshtest.Name()
			host.Add(t, sshtest.Account{User: user, Password: "admin-Password-1", Sudo: []string{"ALL=(root) NOPASSWD: /usr/sbin/chpasswd -e"}})
			host.Authorize(t, user, sshtest.Public(user))
			return withAdmin(a, prefix, user, sshtest.Private(t, user))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.account.User, test.account.Password = sshtest.Name(), first
			test.server.Add(t, test.account)
			if test.before != nil {
				test.before(t, test.account.User)
			}
			a := targettest.Account{Values: test.server.Values(test.account.User)}
			if test.admin != nil {
				a = test.admin(t, a)
			}
			made := bind(t, ssh.Password(), a)
			if _, err := made.Apply(within(t), credential(first), credential(second)); err != nil {
				t.Fatal(err)
			}
			if err := made.Probe(within(t), credential(second)); err != nil {
				t.Error(err)
			}
			if err := made.Probe(within(t), credential(first)); target.ClassOf(err) != target.AuthFailed {
				t.Errorf("the old password: %v", err)
			}
			if test.account.Shell == "" && !test.server.Login(t, test.account.User, second) {
				t.Error("another client does not get in")
			}
		})
	}
}

func TestTwoAccountsTakeTurns(t *testing.T) {
	a, b := sshtest.Name(), sshtest.Name()
	host.Add(t, sshtest.Account{User: a, Password: first})
	host.Add(t, sshtest.Account{User: b, Password: "-"})
	host.Authorize(t, a, sshtest.Public(a))
	with := withAdmin(targettest.Account{Values: host.Values(a)}, prefix, "root", sshtest.Private(t, "root"))
	with.Annotations[prefix+"users"] = a + "," + b
	made := bind(t, ssh.Password(), with)
	current := credential(first)
	current["username"] = secret.FromString(a)
	next, err := made.Candidate(current)
	if err != nil || next["username"].RevealString() != b {
		t.Fatalf("%v: it is not the turn of %s", err, b)
	}
	if _, err := made.Apply(within(t), current, next); err != nil {
		t.Fatal(err)
	}
	for _, c := range []target.Credential{current, next} {
		if err := made.Probe(within(t), c); err != nil {
			t.Error(err)
		}
	}
	if err := made.Retire(within(t), next, current); err != nil {
		t.Fatal(err)
	}
	if err := made.Probe(within(t), current); target.ClassOf(err) != target.AuthFailed {
		t.Errorf("the password of the account whose turn is over: %v", err)
	}
	if !host.Login(t, a, sshtest.Private(t, a)) || !host.Login(t, b, next[target.Main].RevealString()) {
		t.Error("its key is shut out, too, or the other one does not get in")
	}
}

func TestWhatAHostRefusesTheUserIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		next, words string
		bad         bool
		shell       string
		before      func(t *testing.T, user string)
	}{
		"too short":     {next: "aB1", words: "rule", bad: true},
		"the same":      {next: first, words: "rule", bad: true},
		"too soon":      {next: second, words: "minimum age", before: func(t *testing.T, user string) { sshtest.Do(t, "", "chage", "-m", "10", user) }},
		"no shell":      {next: second, words: "no shell", shell: "/usr/sbin/nologin"},
		"another talk":  {next: second, words: "not understood", shell: "echo 'Your token:'; printf 'Token: '; read t"},
		"endless words": {next: second, words: "too much", shell: "while :; do echo y; done"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := sshtest.Name()
			if strings.Contains(test.shell, " ") {
				test.shell = host.Script(t, test.shell)
			}
			host.Add(t, sshtest.Account{User: user, Password: first, Shell: test.shell})
			if test.before != nil {
				test.before(t, user)
			}
			made := bind(t, ssh.Password(), targettest.Account{Values: host.Values(user)})
			_, err := made.Apply(within(t), credential(first), credential(test.next))
			var e *target.Error
			if test.next == first && err == nil {
				return // it is the one that works
			}
			if !errors.As(err, &e) || e.Class != target.Refused || e.BadValue != test.bad || !strings.Contains(e.Message, test.words) {
				t.Errorf("%v, want a refusal with %q", err, test.words)
			}
			if err := made.Probe(within(t), credential(first)); err != nil {
				t.Errorf("the present password: %v", err)
			}
		})
	}
}

func TestThePasswordIsOnNoCommandLine(t *testing.T) {
	user, spied := sshtest.Name(), make(chan string)
	host.Add(t, sshtest.Account{User: user, Password: first})
	stop := make(chan struct{})
	go func() { spied <- spy(stop, first, second, "$6$") }()
	for _, made := range []target.Target{
		bind(t, ssh.Password(), targettest.Account{Values: host.Values(user)}),
		bind(t, ssh.Password(), withAdmin(targettest.Account{Values: host.Values(user)}, prefix, "root", sshtest.Private(t, "root"))),
	} {
		for _, change := range [][2]string{{first, second}, {second, first}} {
			if _, err := made.Apply(within(t), credential(change[0]), credential(change[1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	if found := <-spied; found != "" {
		t.Errorf("a command line holds it: %q", found)
	}
}

func TestThePinnedKeyIsAskedForAmongSeveral(t *testing.T) {
	user := sshtest.Name()
	host.Add(t, sshtest.Account{User: user, Password: first})
	for name, keys := range map[string]string{
		"ed25519": host.Keys["ed25519"],
		"rsa":     host.Keys["rsa"],
		"both, as ssh-keyscan writes them": fmt.Sprintf("# comment\n[localhost]:%d %s\r\nelsewhere %s\n\n[localhost]:%d,other %s\n",
			host.Port, host.Keys["rsa"], pam.Keys["rsa"], host.Port, host.Keys["ed25519"]),
		"the name without port": "localhost " + host.Keys["rsa"],
	} {
		a := targettest.Account{Values: host.Values(user)}
		a.Values["host-key"] = keys
		if err := bind(t, ssh.Password(), a).Probe(within(t), credential(first)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheIdentityNamesTheHostKey(t *testing.T) {
	of := func(keys string) string {
		a := targettest.Account{Values: host.Values("app")}
		a.Values["host-key"] = keys
		return bind(t, ssh.Password(), a).Identity()
	}
	if of(host.Keys["rsa"]) == of(pam.Keys["rsa"]) || !strings.Contains(of(host.Keys["rsa"]), "SHA256:") {
		t.Error("another host key is not another identity")
	}
	if of(host.Keys["rsa"]+"\n"+host.Keys["ed25519"]) != of(host.Keys["ed25519"]+" root@host\n"+host.Keys["rsa"]) {
		t.Error("the order of the host keys and their comments make another identity")
	}
}

func TestAHostThatWantsMoreThanAPasswordIsTold(t *testing.T) {
	old := func(t *testing.T, user string) { sshtest.Do(t, "", "chage", "-d", "2020-01-01", "-M", "30", user) }
	for name, test := range map[string]struct {
		server *sshtest.Server
		proof  string
		before func(*testing.T, string)
		want   target.Class
		words  string
	}{
		"keys only":                      {keysOnly, first, nil, target.Refused, "does not take a password"},
		"a second proof":                 {twoProofs, first, nil, target.Refused, "more than one proof"},
		"no second try":                  {impatient, second, nil, target.AuthFailed, ""},
		"a new password, where PAM asks": {pam, first, old, target.Refused, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := sshtest.Name()
			test.server.Add(t, sshtest.Account{User: user, Password: first})
			if test.before != nil {
				test.before(t, user)
			}
			err := bind(t, ssh.Password(), targettest.Account{Values: test.server.Values(user)}).Probe(within(t), credential(test.proof))
			if target.ClassOf(err) != test.want || err != nil && !strings.Contains(err.Error(), test.words) {
				t.Errorf("%v, want %s with %q", err, test.want, test.words)
			}
		})
	}
}

func TestAnAccountThatOnlyMovesFilesNeedsAnAdministrator(t *testing.T) {
	user := sshtest.Name()
	host.Add(t, sshtest.Account{User: user, Password: first, Shell: host.Script(t, "exec sleep 60")})
	host.Authorize(t, user, sshtest.Public("first"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := bind(t, ssh.Password(), targettest.Account{Values: host.Values(user)}).Apply(ctx, credential(first), credential(second))
	if target.ClassOf(err) != target.Unreachable || !strings.Contains(err.Error(), "administrator") {
		t.Errorf("password: %v", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = bind(t, ssh.Key(), targettest.Account{Values: host.Values(user)}).Apply(ctx, credential(sshtest.Private(t, "first")), credential(sshtest.Private(t, "next")))
	if target.ClassOf(err) != target.Unreachable || !strings.Contains(err.Error(), "administrator") {
		t.Errorf("key: %v", err)
	}
}
