package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"rekey/internal/rotation/target/targettest"
)

var tryLine = regexp.MustCompile(`(?m)^    (.*)$`)

// The example of three nodes does what it prints, and leaves nothing behind.
func TestThreeNodes(t *testing.T) {
	script, err := filepath.Abs("../../contrib/three-nodes.sh")
	if err != nil {
		t.Fatal(err)
	}
	var ports []string
	for range 3 {
		port, err := targettest.Port()
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, fmt.Sprint(port))
	}
	s := &server{exited: make(chan error, 1)}
	s.cmd = exec.Command(script)
	s.cmd.Env = append(os.Environ(), "REKEY="+binary, "PORTS="+strings.Join(ports, " "))
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a terminal does, which sends Ctrl-C to all of them
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.exited <- s.cmd.Wait(); close(s.exited) }()
	interrupt := func() error { return syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT) }
	t.Cleanup(func() {
		if interrupt() == nil { // it fails if it has ended
			<-s.exited
		}
	})
	if _, err := s.await(&s.stdout, regexp.MustCompile(`(?m)^Ctrl-C`)); err != nil {
		t.Fatalf("%v: %s", err, s.stderr.String())
	}

	var lines []string
	for _, match := range tryLine.FindAllStringSubmatch(s.stdout.String(), -1) {
		lines = append(lines, match[1])
	}
	try := exec.Command("sh", "-eu", "-c", strings.Join(lines, "\n"))
	out, err := try.CombinedOutput()
	if err != nil || !regexp.MustCompile(`^\{"created_roles":\{\},"version":1\}\s*stored by the secondwithout the first$`).Match(out) {
		t.Errorf("%v: %s\n%s", err, out, strings.Join(lines, "\n"))
	}

	home := regexp.MustCompile(`audit is in (\S+)\.`).FindStringSubmatch(s.stdout.String())
	if home == nil {
		t.Fatalf("no directory in %s", s.stdout.String())
	}
	if err := interrupt(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.exited:
		if err != nil {
			t.Errorf("%v: %s", err, s.stderr.String())
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if _, err := os.Stat(home[1]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", home[1], err)
	}
	for _, port := range ports {
		if got, err := newClient("http://127.0.0.1:"+port).send("GET", "/heartbeat", nil); err == nil {
			t.Errorf("port %s answers %v", port, got)
		}
	}
}
