package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/store/postgres/postgrestest"
)

// A test of what the network does to nodes has one of its own: the test runs once more, as
// a process in a network namespace, and makes one more for each place. None of them has a
// name, and none leads anywhere else, so nothing of them can collide with anything or
// outlive the processes in it.

// programVariable has the binary, and tells a test that it is in a network of its own.
const programVariable = "E2E_PROGRAM"

// alone runs the test in a network of its own, and tells whether this is there. Whoever is
// not root is made to be something like it by a user namespace.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(programVariable) != "" {
		hub(t, "link set lo up", "addr add "+databaseAddress+"/32 dev lo")
		return true
	}
	if _, err := targettest.Find("ip"); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	deadline, bounded := t.Deadline()
	if !bounded {
		deadline = time.Now().Add(24 * time.Hour)
	}
	cmd := exec.Command(program, "-test.v", "-test.run=^"+t.Name()+"$", fmt.Sprintf("-test.timeout=%s", time.Until(deadline)))
	cmd.Env = append(os.Environ(), programVariable+"="+binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_SYS_ADMIN}
	}
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	runtime.LockOSThread() // the test inside ends with the thread that has started it
	if err := cmd.Start(); err != nil {
		t.Fatalf("no network namespace can be made, which this test needs (%v): run it as root with CAP_SYS_ADMIN and CAP_NET_ADMIN, or where users may make user namespaces", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("in a network of its own: %v", err)
	}
	t.Logf("in a network of its own:\n%s", out.String())
	return false
}

// hub runs commands of ip where the test and the database are.
func hub(t testing.TB, commands ...string) {
	t.Helper()
	if err := ip((*exec.Cmd).Start, commands...); err != nil {
		t.Error(err)
	}
}

func ip(start func(*exec.Cmd) error, commands ...string) error {
	path, err := targettest.Find("ip")
	if err != nil {
		return err
	}
	c := exec.Command(path, "-batch", "-")
	var out output
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(strings.Join(commands, "\n")+"\n"), &out, &out
	if err = start(c); err == nil {
		err = c.Wait()
	}
	if err != nil {
		return fmt.Errorf("ip %q: %w: %s", commands, err, out.String())
	}
	return nil
}

// place is a network namespace with two lines to where the test is: one to the database,
// one to the clients.
type place struct {
	number int
	thread int // which is in the namespace, and keeps it
	tasks  chan func()
}

// databaseAddress is where places find the database.
const databaseAddress = "10.77.0.1"

// address is where clients reach what runs in a place.
func (p *place) address() string {
	if p == nil {
		return "127.0.0.1"
	}
	return fmt.Sprintf("10.78.%d.2", p.number)
}

// newPlace makes one, until the test ends.
func newPlace(t testing.TB, number int) *place {
	t.Helper()
	p := &place{number: number, tasks: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for good, so that the thread ends when this returns
		err := unix.Unshare(unix.CLONE_NEWNET)
		p.thread = unix.Gettid()
		made <- err
		for task := range p.tasks {
			task()
		}
	}()
	t.Cleanup(func() { close(p.tasks) })
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	for line, net := range map[string]int{"db": 77, "cl": 78} {
		hub(t, fmt.Sprintf("link add %s%d type veth peer name %[1]s netns %[3]d", line, number, p.thread),
			fmt.Sprintf("addr add 10.%d.%d.1/30 dev %s%[2]d", net, number, line),
			fmt.Sprintf("link set %s%d up", line, number))
		p.ip(t, fmt.Sprintf("addr add 10.%d.%d.2/30 dev %s", net, number, line), "link set "+line+" up")
	}
	p.ip(t, "link set lo up", fmt.Sprintf("route add %s via 10.77.%d.1", databaseAddress, number))
	return p
}

// start starts a process there, which ends with the place.
func (p *place) start(c *exec.Cmd) error {
	if p == nil {
		return c.Start()
	}
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Pdeathsig = syscall.SIGKILL
	done := make(chan error)
	p.tasks <- func() { done <- c.Start() }
	return <-done
}

func (p *place) ip(t testing.TB, commands ...string) {
	t.Helper()
	if err := ip(p.start, commands...); err != nil {
		t.Error(err)
	}
}

// cut is a way to cut a place off. None says a word to either side.
type cut string

const (
	cable     cut = "pulled cable"   // nothing moves between the place and the database
	answers   cut = "lost answers"   // what the database says is lost; what it is told arrives
	questions cut = "lost questions" // the other way round
	visitors  cut = "lost clients"   // nothing moves between the place and its clients
)

// cut cuts the place off until it is mended.
func (p *place) cut(t testing.TB, c cut) (mend func()) {
	const nobody = "lladdr 02:00:00:00:00:01 nud permanent"
	n := p.number
	switch c {
	case answers:
		hub(t, fmt.Sprintf("neigh replace 10.77.%d.2 dev db%[1]d %s", n, nobody))
		return func() { hub(t, fmt.Sprintf("neigh del 10.77.%d.2 dev db%[1]d", n)) }
	case questions:
		p.ip(t, fmt.Sprintf("neigh replace 10.77.%d.1 dev db %s", n, nobody))
		return func() { p.ip(t, fmt.Sprintf("neigh del 10.77.%d.1 dev db", n)) }
	}
	line := map[cut]string{cable: "db", visitors: "cl"}[c]
	hub(t, fmt.Sprintf("link set %s%d down", line, n))
	return func() { hub(t, fmt.Sprintf("link set %s%d up", line, n)) }
}

// newHubDatabase is a PostgreSQL server that all places reach.
func newHubDatabase(t testing.TB, settings ...string) *postgrestest.Server {
	t.Helper()
	dir, err := targettest.Dir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := postgrestest.New(dir, "data", "host all,replication all 10.77.0.0/16 scram-sha-256\n")
	if err == nil {
		s.Host = databaseAddress
		err = s.Start(append(settings, "listen_addresses=*")...)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

// newScatteredCluster starts n nodes, each in a place of its own.
func newScatteredCluster(t testing.TB, url string, n int, flags ...string) *cluster {
	t.Helper()
	k := &cluster{flags: append([]string{"--database-url", url}, flags...)}
	for i := range n {
		k.places = append(k.places, newPlace(t, i+1))
	}
	k.begin(t, n)
	return k
}
