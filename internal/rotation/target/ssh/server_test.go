package ssh_test

import (
	"bufio"
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
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"rekey/internal/rotation/target/targettest"
)

// The host of these tests, with real accounts and several sshd: one without PAM, whose
// answers do not take the seconds that PAM waits after a wrong password, one that lets PAM
// ask, one as Debian configures it, and those that let nobody in so easily.
var host, pam, debian, keysOnly, twoProofs, impatient *server

func TestMain(m *testing.M) {
	// Accounts take root to make, and to become.
	if os.Geteuid() != 0 {
		c := exec.Command("sudo", append([]string{"-n", "-E", "--"}, os.Args...)...)
		c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := c.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "error: these tests make accounts, so they need root or sudo:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if err := tidy(false); err != nil {
		return 0, err
	}
	defer func() {
		if err := tidy(true); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
	}()
	dir, err := os.MkdirTemp("", "rekey-target-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	for _, each := range []struct {
		server   **server
		name     string
		settings []string
	}{
		{&host, "plain", []string{"UsePAM no", "KbdInteractiveAuthentication no"}},
		{&pam, "pam", []string{"UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes"}},
		{&debian, "debian", []string{"UsePAM yes", "KbdInteractiveAuthentication no"}},
		{&keysOnly, "keys-only", []string{"UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no"}},
		{&twoProofs, "two-proofs", []string{"UsePAM no", "AuthenticationMethods password,publickey publickey,password"}},
		{&impatient, "impatient", []string{"UsePAM no", "MaxAuthTries 1"}},
	} {
		s, err := start(dir, each.name, each.settings...)
		if err != nil {
			return 0, err
		}
		defer s.stop()
		*each.server = s
	}
	return m.Run(), nil
}

// mark is in the password file, and tells whose the accounts are of runs that crashed.
const mark = "rekey test "

func marked() string { return mark + strconv.Itoa(os.Getpid()) }

// tidy removes the accounts of runs that are over, or of this one.
func tidy(ours bool) error {
	over := func(pid string) bool {
		n, err := strconv.Atoi(pid)
		return err != nil || ours && n == os.Getpid() || n != os.Getpid() && syscall.Kill(n, 0) == syscall.ESRCH
	}
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) != 7 || !strings.HasPrefix(fields[4], mark) || !over(fields[4][len(mark):]) {
			continue
		}
		if out, err := exec.Command("userdel", "-f", fields[0]).CombinedOutput(); err != nil {
			return fmt.Errorf("userdel: %w: %s", err, out)
		}
	}
	rules, err := filepath.Glob(sudoers("*"))
	for _, path := range rules {
		if over(path[len(sudoers("")):]) {
			err = os.Remove(path)
		}
	}
	return err
}

func sudoers(pid string) string { return "/etc/sudoers.d/rekey-test-" + pid }

// server is an sshd that lets root in with a key of the tests.
type server struct {
	dir, name string
	port      int
	keys      map[string]string // the host's public keys by type
	stop      func()
}

func start(dir, name string, settings ...string) (*server, error) {
	s := &server{dir: dir, name: name, keys: map[string]string{}}
	var err error
	if s.port, err = targettest.Port(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir+"/home", 0o755); err != nil {
		return nil, err
	}
	configuration := append([]string{
		fmt.Sprintf("ListenAddress 127.0.0.1:%d", s.port), "PidFile none", "LogLevel QUIET", "MaxStartups 1000", "PrintMotd no", "UseDNS no",
		"PermitRootLogin yes", "AuthorizedKeysCommand /bin/cat " + dir + "/keys-%u", "AuthorizedKeysCommandUser root",
	}, settings...)
	for _, kind := range []string{"ed25519", "rsa"} {
		path := filepath.Join(dir, name+"_"+kind)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
		public, err := os.ReadFile(path + ".pub")
		if err != nil {
			return nil, err
		}
		s.keys[kind] = strings.TrimSpace(string(public))
		configuration = append(configuration, "HostKey "+path)
	}
	sshd, err := targettest.Find("sshd")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name+".conf")
	// Newer ones keep away whoever fails to log in.
	for _, more := range []string{"\nPerSourcePenalties no\n", "\n"} {
		if err = os.WriteFile(file, []byte(strings.Join(configuration, "\n")+more), 0o600); err != nil {
			return nil, err
		}
		if err = exec.Command(sshd, "-t", "-f", file).Run(); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(dir+"/keys-root", []byte(public("root")), 0o600); err != nil {
		return nil, err
	}
	c, err := targettest.Command(dir, "sshd", "-D", "-f", file)
	if err != nil {
		return nil, err
	}
	c.SysProcAttr.Credential = nil
	c.WaitDelay = time.Second // those who are logged in may hold its output
	s.stop, err = targettest.Start(c, targettest.Listens(s.port))
	return s, err
}

func (s *server) url() string { return fmt.Sprintf("localhost:%d", s.port) }

// account is how an account is made.
type account struct {
	user, password string
	shell          string   // "/bin/sh" if empty
	sudo           []string // what sudoers allows it
}

// add makes an account, and its home, and removes it after the test.
func (s *server) add(t *testing.T, a account) {
	t.Helper()
	shell := a.shell
	if shell == "" {
		shell = "/bin/sh"
	}
	do(t, "", "useradd", "--badname", "-N", "-m", "-k", "/dev/null", "-d", s.home(a.user), "-s", shell, "-c", marked(), "--", a.user)
	t.Cleanup(func() { do(t, "", "userdel", "-f", "--", a.user) })
	do(t, a.user+":"+crypted(t, a.password)+"\n", "chpasswd", "-e")
	if len(a.sudo) > 0 {
		allow(t, a.user+" "+strings.Join(a.sudo, "\n"+a.user+" "))
	}
}

// home is named by what cannot do harm in a path.
func (s *server) home(user string) string { return fmt.Sprintf("%s/home/%x", s.dir, user) }

// crypted hashes a password by what Perl knows of crypt(3).
func crypted(t *testing.T, password string) string {
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
func allow(t *testing.T, rule string) {
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

func do(t *testing.T, input, name string, arguments ...string) {
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

// login tells whether OpenSSH's client gets in, with a password or a private key.
func (s *server) login(t *testing.T, user, proof string) bool {
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
	write("known", fmt.Sprintf("[localhost]:%d %s\n", s.port, s.keys["ed25519"]), 0o600)
	write("askpass", "#!/bin/sh\nprintf '%s\\n' \"$PROOF\"\n", 0o700)
	c := exec.Command("ssh", "-F", dir+"/config", "-p", strconv.Itoa(s.port), "-o", "HostKeyAlgorithms=ssh-ed25519", "-o", "UserKnownHostsFile="+dir+"/known",
		"-o", "StrictHostKeyChecking=yes", "-o", "PreferredAuthentications="+method, "-o", "NumberOfPasswordPrompts=1", "-o", "IdentitiesOnly=yes",
		"-o", "IdentityFile="+dir+"/key", "localhost", "echo let-in")
	c.Env = append(os.Environ(), "SSH_ASKPASS="+dir+"/askpass", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=:0", "PROOF="+proof, "SSH_AUTH_SOCK=")
	out, _ := c.Output() // being let in shows in the output
	return strings.Contains(string(out), "let-in")
}

// seed makes the keys of these tests those of one run.
var seed = rand.Text()

// private and public are the two halves of a key that has a name.
func private(t *testing.T, name string) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key(name), "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func public(name string) string {
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

// authorize writes the authorized keys of a user.
func (s *server) authorize(t *testing.T, user string, lines ...string) {
	t.Helper()
	dir := filepath.Join(s.home(user), ".ssh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/authorized_keys", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	do(t, "", "chown", "-R", "--", user+":", dir)
}

// script writes a program that any account can run.
func script(t *testing.T, text string) string {
	t.Helper()
	f, err := os.CreateTemp(host.dir, "script")
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

// spy looks at the command lines of all processes for words until it is stopped, but
// not at those of the clients that the tests run.
func spy(stop chan struct{}, words ...string) string {
	for {
		select {
		case <-stop:
			return ""
		default:
		}
		lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err.Error()
		}
		for _, path := range lines {
			line, _ := os.ReadFile(path) // of one that has ended there is none
			for _, w := range words {
				if strings.Contains(string(line), w) && !strings.HasPrefix(string(line), "perl") {
					return string(line)
				}
			}
		}
	}
}

// ids are the owner and the group of a file.
func ids(info os.FileInfo) [2]uint32 {
	s := info.Sys().(*syscall.Stat_t)
	return [2]uint32{s.Uid, s.Gid}
}
