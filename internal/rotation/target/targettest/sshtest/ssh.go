// Package sshtest starts sshd for tests: real ones, on loopback, with real accounts of this
// machine. It imports rotation/target/targettest.
package sshtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rekey/internal/rotation/target/targettest"
)

// AsRoot is called first in TestMain: accounts take root to make, and to become, so without
// it the process goes on as one that is started by sudo.
func AsRoot() {
	if os.Geteuid() == 0 {
		return
	}
	c := exec.Command("sudo", append([]string{"-n", "-E", "--"}, os.Args...)...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "error: these tests make accounts, so they need root or sudo:", err)
		os.Exit(1)
	}
	os.Exit(0)
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

// Server is an sshd that lets root in with the key of the tests that has its name.
type Server struct {
	Port int
	Keys map[string]string // the host's public keys by type

	dir, logged string
}

// Start starts one with settings in the form of sshd_config. The first makes an end of the
// accounts of runs that have crashed.
func Start(site *targettest.Site, name string, settings ...string) (*Server, error) {
	if err := tidy(false); err != nil {
		return nil, err
	}
	s := &Server{Keys: map[string]string{}, dir: site.Dir + "/ssh"}
	s.logged = filepath.Join(s.dir, name+".log")
	if err := os.MkdirAll(s.dir+"/home", 0o755); err != nil {
		return nil, err
	}
	for _, dir := range []string{site.Dir, s.dir} { // accounts get to their homes
		if err := os.Chmod(dir, 0o755); err != nil {
			return nil, err
		}
	}
	var err error
	if s.Port, err = targettest.Port(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return nil, err
	}
	configuration := append(slices.Clone(settings), []string{ // of two lines the first counts
		fmt.Sprintf("ListenAddress 127.0.0.1:%d", s.Port), "PidFile none", "LogLevel QUIET", "MaxStartups 1000", "PrintMotd no", "UseDNS no",
		"PermitRootLogin yes", "AuthorizedKeysCommand /bin/cat " + s.dir + "/keys-%u", "AuthorizedKeysCommandUser root",
	}...)
	for _, kind := range []string{"ed25519", "rsa"} {
		path := filepath.Join(s.dir, name+"_"+kind)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
		public, err := os.ReadFile(path + ".pub")
		if err != nil {
			return nil, err
		}
		s.Keys[kind] = strings.TrimSpace(string(public))
		configuration = append(configuration, "HostKey "+path)
	}
	sshd, err := targettest.Find("sshd")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, name+".conf")
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
	if err := os.WriteFile(s.dir+"/keys-root", []byte(Public("root")), 0o600); err != nil {
		return nil, err
	}
	c, err := targettest.Command(s.dir, "sshd", "-D", "-E", s.logged, "-f", file)
	if err != nil {
		return nil, err
	}
	c.SysProcAttr.Credential = nil
	c.WaitDelay = time.Second // those who are logged in may hold its output
	site.End(func() {
		if err := tidy(true); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
	})
	return s, site.Start(c, targettest.Listens(s.Port))
}

// Log is all that it has written down, which depends on its LogLevel.
func (s *Server) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(s.logged)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// URL is that of the server.
func (s *Server) URL() string { return fmt.Sprintf("localhost:%d", s.Port) }
