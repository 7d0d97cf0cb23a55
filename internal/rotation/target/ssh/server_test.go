package ssh_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/sshtest"
)

// The host of these tests, with real accounts and several sshd: one without PAM, whose
// answers do not take the seconds that PAM waits after a wrong password, one that lets PAM
// ask, one as Debian configures it, and those that let nobody in so easily.
var host, pam, debian, keysOnly, twoProofs, impatient *sshtest.Server

func TestMain(m *testing.M) {
	sshtest.AsRoot()
	targettest.Main(m, func(site *targettest.Site) (err error) {
		for _, each := range []struct {
			server   **sshtest.Server
			name     string
			settings []string
		}{
			{&host, "plain", []string{"UsePAM no", "KbdInteractiveAuthentication no", "LogLevel DEBUG1"}},
			{&pam, "pam", []string{"UsePAM yes", "PasswordAuthentication no", "KbdInteractiveAuthentication yes"}},
			{&debian, "debian", []string{"UsePAM yes", "KbdInteractiveAuthentication no"}},
			{&keysOnly, "keys-only", []string{"UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no"}},
			{&twoProofs, "two-proofs", []string{"UsePAM no", "AuthenticationMethods password,publickey publickey,password"}},
			{&impatient, "impatient", []string{"UsePAM no", "MaxAuthTries 1"}},
		} {
			if *each.server, err = sshtest.Start(site, each.name, each.settings...); err != nil {
				return err
			}
		}
		return nil
	})
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
