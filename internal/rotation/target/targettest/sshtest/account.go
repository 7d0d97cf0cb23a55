package sshtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"rekey/internal/rotation/target/targettest"
)

// Name is one for an account of this run's.
func Name() string { return strings.ToLower("rk" + rand.Text()[:8]) }

// Account is how an account is made.
type Account struct {
	User, Password string
	Shell          string   // "/bin/sh" if empty
	Sudo           []string // what sudoers allows it
}

// Add makes an account, and its home, and removes it after the test.
func (s *Server) Add(t testing.TB, a Account) {
	t.Helper()
	shell := a.Shell
	if shell == "" {
		shell = "/bin/sh"
	}
	Do(t, "", "useradd", "--badname", "-N", "-m", "-k", "/dev/null", "-d", s.Home(a.User), "-s", shell, "-c", marked(), "--", a.User)
	t.Cleanup(func() { Do(t, "", "userdel", "-f", "--", a.User) })
	Do(t, a.User+":"+crypted(t, a.Password)+"\n", "chpasswd", "-e")
	if len(a.Sudo) > 0 {
		allow(t, a.User+" "+strings.Join(a.Sudo, "\n"+a.User+" "))
	}
}

// Home is named by what cannot do harm in a path.
func (s *Server) Home(user string) string { return fmt.Sprintf("%s/home/%x", s.dir, user) }

// Password is what it keeps of the password of an account.
func (s *Server) Password(t *testing.T, user string) string {
	return printed(t, "getent", "shadow", user)
}

// KeyFile is what it keeps of the keys of an account.
func (s *Server) KeyFile(t *testing.T, user string) string {
	return printed(t, "sh", "-c", "cd $0; ls -lan --time-style=full-iso . .ssh; cat .ssh/authorized_keys", s.Home(user))
}

func printed(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	out, err := exec.Command(name, arguments...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, arguments, err)
	}
	return string(out)
}

// crypted hashes a password by what Perl knows of crypt(3).
func crypted(t testing.TB, password string) string {
	t.Helper()
	c := exec.Command("perl", "-e", `my $p = <STDIN>; print crypt($p, '$6$saltsalt$')`)
	c.Stdin = strings.NewReader(password)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// allow adds a rule to sudoers.
func allow(t testing.TB, rule string) {
	t.Helper()
	f, err := os.OpenFile(sudoers(strconv.Itoa(os.Getpid())), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o440)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(rule + "\n"); err != nil {
		t.Fatal(err)
	}
}

// Do runs a program that has to succeed.
func Do(t testing.TB, input, name string, arguments ...string) {
	t.Helper()
	path, err := targettest.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, arguments...)
	c.Stdin = strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v: %s", name, arguments, err, out)
	}
}

// Login tells whether OpenSSH's client gets in, with a password or a private key.
func (s *Server) Login(t *testing.T, user, proof string) bool {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	method := "password,keyboard-interactive"
	if strings.HasPrefix(proof, "-----BEGIN") {
		method = "publickey"
		write("key", proof, 0o600)
	}
	// Names that the command line refuses can be in a file.
	write("config", "User \""+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(user)+"\"\n", 0o600)
	write("known", fmt.Sprintf("[localhost]:%d %s\n", s.Port, s.Keys["ed25519"]), 0o600)
	write("askpass", "#!/bin/sh\nprintf '%s\\n' \"$PROOF\"\n", 0o700)
	c := exec.Command("ssh", "-F", dir+"/config", "-p", strconv.Itoa(s.Port), "-o", "HostKeyAlgorithms=ssh-ed25519", "-o", "UserKnownHostsFile="+dir+"/known",
		"-o", "StrictHostKeyChecking=yes", "-o", "PreferredAuthentications="+method, "-o", "NumberOfPasswordPrompts=1", "-o", "IdentitiesOnly=yes",
		"-o", "IdentityFile="+dir+"/key", "localhost", "echo let-in")
	c.Env = append(os.Environ(), "SSH_ASKPASS="+dir+"/askpass", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0", "PROOF="+proof, "SSH_AUTH_SOCK=")
	out, _ := c.Output() // being let in shows in the output
	return strings.Contains(string(out), "let-in")
}

// seed makes the keys of these tests those of one run.
var seed = rand.Text()

// Private and Public are the two halves of a key that has a name.
func Private(t testing.TB, name string) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key(name), "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// Public is the half that others know.
func Public(name string) string {
	k, err := ssh.NewPublicKey(key(name).Public())
	if err != nil {
		panic(err) // it always can be made
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

func key(name string) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte(seed + name))
	return ed25519.NewKeyFromSeed(sum[:])
}

// Authorize writes the authorized keys of a user.
func (s *Server) Authorize(t testing.TB, user string, lines ...string) {
	t.Helper()
	dir := filepath.Join(s.Home(user), ".ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/authorized_keys", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	Do(t, "", "chown", "-R", "--", user+":", dir)
}

// Script writes a program that any account can run.
func (s *Server) Script(t testing.TB, text string) string {
	t.Helper()
	f, err := os.CreateTemp(s.dir, "script")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("#!/bin/sh\n" + text + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Chmod(0o755); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// Values are those of the variables beside the password or key of a user.
func (s *Server) Values(user string) map[string]string {
	return map[string]string{"url": s.URL(), "username": user, "host-key": s.Keys["ed25519"]}
}

// Passwords are accounts whose passwords rotate; an administrator may do nothing else.
func (s *Server) Passwords(t testing.TB) func(*testing.T, targettest.Ask) targettest.Account {
	t.Helper()
	return s.accounts(t, "ssh/password", "ALL=(root) /usr/sbin/chpasswd -e", func(t *testing.T, user, password string) {
		s.Add(t, Account{User: user, Password: password})
	}, func(t *testing.T, user, _ string) {
		Do(t, "", "chage", "-m", "10", user) // days until the next change
	})
}

// KeyPairs are accounts whose keys rotate. Their passwords name the keys.
func (s *Server) KeyPairs(t testing.TB) func(*testing.T, targettest.Ask) targettest.Account {
	t.Helper()
	return s.accounts(t, "ssh/key", "ALL=(ALL) ALL", func(t *testing.T, user, name string) {
		s.Add(t, Account{User: user, Password: "-"})
		s.Authorize(t, user, Public(name))
	}, func(t *testing.T, user, _ string) {
		Do(t, "", "chmod", "400", s.Home(user)+"/.ssh/authorized_keys")
	})
}

func (s *Server) accounts(t testing.TB, kind, sudo string, add, weaken func(t *testing.T, user, password string)) func(*testing.T, targettest.Ask) targettest.Account {
	t.Helper()
	admin, weak := Name()+"-admin", Name()+"-weak"
	s.Add(t, Account{User: admin, Password: targettest.AdminPassword, Sudo: []string{sudo}})
	s.Add(t, Account{User: weak, Password: targettest.AdminPassword})
	return func(t *testing.T, ask targettest.Ask) targettest.Account {
		t.Helper()
		for _, user := range ask.Users {
			if add(t, user, ask.Password); ask.Weak && ask.Mode == targettest.Self {
				weaken(t, user, ask.Password)
			}
		}
		return targettest.Reached{Kind: kind, Admin: admin, Weak: weak, Values: map[string]string{"url": s.URL(), "host-key": s.Keys["ed25519"]}}.Account(ask)
	}
}
