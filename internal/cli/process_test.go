package cli_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/authn"
)

// output gathers what a process writes while it runs.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// process is the program as a process of its own.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	exited         chan error
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("rekey", args...), exited: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait(); close(p.exited) }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has mostly ended before
		<-p.exited
	})
	return p
}

// await waits until a stream of the process has matched a pattern, and returns the
// match and its groups.
func (p *process) await(t *testing.T, stream *output, pattern string) []string {
	t.Helper()
	compiled := regexp.MustCompile(pattern)
	for range 600 {
		if match := compiled.FindStringSubmatch(stream.String()); match != nil {
			return match
		}
		select {
		case err := <-p.exited:
			t.Fatalf("ended without %q: %v\n%s%s", pattern, err, p.stdout.String(), p.stderr.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("no %q in\n%s%s", pattern, p.stdout.String(), p.stderr.String())
	return nil
}

// terminate sends SIGTERM and wants exit status 0.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-p.exited; err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, p.stderr.String())
	}
}

// paste runs the lines that quickstart prints, up to the next heading, in bash, and
// in another directory than the server's.
func paste(t *testing.T, printed string) []string {
	t.Helper()
	_, lines, ok := strings.Cut(printed, "\nURL=")
	lines, _, ok2 := strings.Cut(lines, "\nThe same with")
	if !ok || !ok2 {
		t.Fatalf("no lines to paste in\n%s", printed)
	}
	bash := exec.Command("bash", "-eu", "-o", "pipefail")
	bash.Dir = t.TempDir()
	bash.Stdin = strings.NewReader("URL=" + lines)
	out, err := bash.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

var apiKey = regexp.MustCompile(`^[a-z0-9]{45,60}$`)

// checkTour looks at what the pasted lines print: the secret, the key that the host
// made for itself, 401 for the old key, 200 for the new one, the operator's key.
func checkTour(t *testing.T, got []string) (hostKey string) {
	t.Helper()
	if len(got) != 5 || got[0] != "correct-horse-battery-staple" || !apiKey.MatchString(got[1]) ||
		got[2] != "401" || got[3] != "200" || !apiKey.MatchString(got[4]) || got[1] == got[4] {
		t.Fatalf("the pasted lines print\n%s", strings.Join(got, "\n"))
	}
	return got[4]
}

func TestQuickstart(t *testing.T) {
	t.Chdir(t.TempDir())
	const dir = "my data" // a path that a shell would split
	quickstart := []string{"quickstart", "--data-dir", dir, "--listen", "127.0.0.1:0"}

	// Given a first start, the lines that it prints do what they say.
	first := start(t, quickstart...)
	first.await(t, &first.stdout, "Ctrl-C stops the server")
	printed := first.stdout.String()
	if strings.Contains(printed, "\x1b") {
		t.Error("there are colours in a pipe")
	}
	url := regexp.MustCompile(`(?m)^URL=(\S+)$`).FindStringSubmatch(printed)[1]
	hostKey := checkTour(t, paste(t, printed))

	// The ecosystem's client library does the same as its command line, whose lines
	// are printed too.
	for _, line := range []string{"conjur init oss -u " + url + " -a demo", "conjur login -i host/shop/web-1", "conjur variable get -i shop/db/password", "conjur host rotate-api-key"} {
		if !strings.Contains(printed, line) {
			t.Errorf("the line %q is missing", line)
		}
	}
	client, err := conjurapi.NewClientFromKey(conjurapi.Config{ApplianceURL: url, Account: "demo"},
		authn.LoginPair{Login: "host/shop/web-1", APIKey: hostKey})
	if err != nil {
		t.Fatal(err)
	}
	if value, err := client.RetrieveSecret("shop/db/password"); err != nil || string(value) != "correct-horse-battery-staple" {
		t.Errorf("the client library reads %q, %v", value, err)
	}

	// What it made is for its user only.
	for name, want := range map[string]os.FileMode{"": 0o700, "root.key": 0o600, "audit.log": 0o600, "admin.sock": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: mode %v, %v", name, info.Mode(), err)
		}
	}
	first.terminate(t)

	// When it is started again, it goes on with what is there and shows no key.
	second := start(t, quickstart...)
	second.await(t, &second.stdout, "Ctrl-C stops the server")
	again := second.stdout.String()
	if !strings.Contains(again, "The account was there already") || strings.Contains(again, hostKey) {
		t.Errorf("the second start prints\n%s", again)
	}
	checkTour(t, paste(t, again))
	second.terminate(t)
}

// newDataDir makes a data directory with a root key.
func newDataDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	key, err := exec.Command("rekey", "data-key", "generate").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "root.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSIGTERMFinishesTheRequestUnderWay(t *testing.T) {
	p := start(t, "server", "--data-dir", newDataDir(t), "--listen", "127.0.0.1:0", "--account", "demo")
	key := p.await(t, &p.stdout, `API key for admin: (\S+)`)[1]
	address := p.await(t, &p.stderr, `address=http://(\S+)`)[1]

	// Given a request whose body has come in half,
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /authn/demo/admin/authenticate HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(key))
	answer := bufio.NewReader(conn)
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err) // "100 Continue" says that the server reads the body
	}
	if line, err := answer.ReadString('\n'); err != nil || strings.TrimSpace(line) != "" {
		t.Fatalf("%q, %v", line, err)
	}
	io.WriteString(conn, key[:10])

	// when the server is told to stop,
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.await(t, &p.stderr, "stopping")

	// then the rest of the request is still taken and answered, and nothing else.
	if other, err := net.Dial("tcp", address); err == nil {
		other.Close()
		t.Error("a new connection was taken")
	}
	io.WriteString(conn, key[10:])
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(`"signature"`)) {
		t.Errorf("%s %s, %v", response.Status, body, err)
	}
	if err := <-p.exited; err != nil {
		t.Errorf("exit: %v", err)
	}
}

func TestSIGHUPOpensTheAuditFileAgain(t *testing.T) {
	dir := newDataDir(t)
	file := filepath.Join(t.TempDir(), "audit.log")
	p := start(t, "server", "--data-dir", dir, "--listen", "127.0.0.1:0", "--account", "demo", "--audit", "file:"+file)
	p.await(t, &p.stderr, "rekey is ready")
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await(t, &p.stderr, "reloaded")
	if out, err := exec.Command("rekey", "role", "retrieve-key", "--data-dir", dir, "demo:user:admin").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for name, want := range map[string]string{file + ".1": "demo", file: "demo:user:admin"} {
		if records, err := os.ReadFile(name); err != nil || !strings.Contains(string(records), want) {
			t.Errorf("%s has %q, %v", name, records, err)
		}
	}
	p.terminate(t)
}

func TestWaitFindsTheServer(t *testing.T) {
	for _, tls := range []string{"--tls-self-signed=false", "--tls-self-signed"} {
		p := start(t, "server", "--data-dir", newDataDir(t), "--listen", "127.0.0.1:0", tls)
		port := p.await(t, &p.stderr, `address=https?://127\.0\.0\.1:(\d+)`)[1]
		for _, args := range [][]string{{"wait", "--port", port}, {"wait", "--listen", "127.0.0.1:" + port, tls}} {
			if out, err := exec.Command("rekey", args...).CombinedOutput(); err != nil || !strings.Contains(string(out), " rekey is ready!") {
				t.Errorf("%s: %v %s", args, err, out)
			}
		}
		p.terminate(t)
	}
}
