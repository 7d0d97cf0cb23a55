package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// workload is a host with two secrets, and the agent beside it.
type workload struct {
	t        *testing.T
	server   *server
	line     *line
	admin    *client
	dir      string
	identity string
}

func newWorkload(t *testing.T, flags ...string) *workload {
	s, key := start(t, flags...)
	w := &workload{t: t, server: s, dir: t.TempDir(), line: newLine(t, rand.New(rand.NewPCG(1, 1)), &tally{})}
	address := strings.TrimPrefix(s.url, "http://")
	w.line.server.Store(&address)
	w.admin = newClient(s.url).as(t, "admin", key)
	keys := w.admin.load(t, "POST", "root", `
- !host web
- &secrets [ !variable db/user, !variable db/password ]
- !permit {role: !host web, privileges: [read, execute], resource: *secrets}
`)
	w.set("db/user", "bob")
	w.set("db/password", "first")
	w.identity = w.write("identity", fmt.Sprintf("machine %s/authn\n  login host/web\n  password %s\n", w.line.url(), keys["host/web"]))
	return w
}

func (w *workload) set(variable, value string) {
	w.t.Helper()
	w.admin.must(w.t, http.StatusCreated, "POST", "/secrets/demo/variable/"+variable, value)
}

func (w *workload) path(name string) string { return filepath.Join(w.dir, name) }

func (w *workload) write(name, text string) string {
	w.t.Helper()
	if err := os.WriteFile(w.path(name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return w.path(name)
}

// agent starts an agent in the workload's directory; it is killed at the end of the test.
func (w *workload) agent(args ...string) *server {
	return w.agentAt(w.line.url(), args...)
}

func (w *workload) agentAt(url string, args ...string) *server {
	w.t.Helper()
	p := &server{cmd: exec.Command(binary, append([]string{"agent", "--identity", w.identity}, args...)...), exited: make(chan error, 1)}
	p.cmd.Dir = w.dir
	p.cmd.Env = append(os.Environ(), "HOME="+w.dir, "CONJUR_APPLIANCE_URL="+url, "CONJUR_ACCOUNT="+account, "CONJUR_CREDENTIAL_STORAGE=file")
	w.run(p)
	return p
}

// run starts an agent; it and its command are killed at the end of the test.
func (w *workload) run(p *server) {
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // a command that outlives it has its streams
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait(); close(p.exited) }()
	w.t.Cleanup(func() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it has mostly ended
		p.kill()
		if defect := agentDefects.FindString(p.stderr.String()); defect != "" {
			w.t.Errorf("the agent's log has %q", defect)
		}
		for _, secret := range []string{"first", "second", "third"} {
			if strings.Contains(p.stderr.String(), secret) {
				w.t.Errorf("a secret is in the log:\n%s", p.stderr.String())
			}
		}
		if w.t.Failed() {
			w.t.Log(p.stdout.String() + p.stderr.String())
		}
	})
}

// agentDefects are what the log of an agent never has.
var agentDefects = regexp.MustCompile(`(?m)^WARNING: DATA RACE|^panic: |^fatal error: `)

// says waits until an agent or its command has written something.
func (w *workload) says(p *server, stream *output, pattern string) []string {
	w.t.Helper()
	match, err := p.await(stream, regexp.MustCompile(pattern))
	if err != nil {
		w.t.Fatal(err)
	}
	return match
}

// becomes waits until a file has a text, and tells how long that took.
func (w *workload) becomes(name, want string) time.Duration {
	w.t.Helper()
	began := time.Now()
	for time.Since(began) < 30*time.Second {
		if text, err := os.ReadFile(w.path(name)); err == nil && string(text) == want {
			return time.Since(began)
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.t.Fatalf("%s does not become %q but is %q", name, want, read(w.t, w.path(name)))
	return 0
}

func statusOf(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Given files and a command with secrets, when a value changes, then the files are
// written and the command is signalled within a second.
func TestAgentTellsOfChanges(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	w.write("t.tmpl", `{{secret "db/user"}}:{{secret "variable:db/password" | json}}`)
	w.write("secrets.yml", "PASSWORD: !var:file db/password\nLITERAL: x\n")
	p := w.agent("--secret", "password=db/password", "--template", "both=t.tmpl", "-f", "secrets.yml", "--on-change", "HUP", "--",
		"sh", "-c", `trap 'echo told $(cat $PASSWORD) $(cat password)' HUP; echo has $(cat $PASSWORD) $LITERAL; while :; do sleep 0.05; done`)
	w.says(p, &p.stdout, "has first x")
	w.becomes("both", `bob:"first"`)
	shortest := time.Hour // the machine may be busy once
	for _, value := range []string{"second", "third"} {
		began := time.Now()
		w.set("db/password", value)
		w.becomes("password", value)
		w.becomes("both", `bob:"`+value+`"`)
		w.says(p, &p.stdout, "told "+value+" "+value)
		shortest = min(shortest, time.Since(began))
	}
	if shortest > time.Second {
		t.Errorf("it took %v", shortest)
	}
	for _, name := range []string{"password", "both"} {
		if info, err := os.Stat(w.path(name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// Given a command with secrets in its environment, when a value changes, then it is
// stopped in peace and started again; when the agent is told to stop, so is the command,
// and its status is the agent's.
func TestAgentStartsTheCommandAgain(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	w.write("secrets.yml", "PASSWORD: !var db/password\n")
	p := w.agent("-f", "secrets.yml", "--", "sh", "-c", `trap 'echo bye $PASSWORD; exit 7' TERM; echo has $PASSWORD; while :; do sleep 0.02; done`)
	w.says(p, &p.stdout, "has first")
	w.set("db/password", "second")
	w.says(p, &p.stdout, "bye first\nhas second")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := statusOf(<-p.exited); status != 7 || !strings.Contains(p.stdout.String(), "bye second") {
		t.Errorf("status %d, %s", status, p.stdout.String())
	}
}

// Given a command with a file, when the agent is killed, then the command is stopped in
// peace, and the next agent removes the file and starts the only one.
func TestAgentKilledTakesTheCommandAlong(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	w.write("secrets.yml", "PASSWORD: !var:file db/password\n")
	begin := func() (p *server, file string) {
		p = w.agent("-f", "secrets.yml", "--", "sh", "-c", `trap 'echo bye > bye; exit' TERM; echo has $PASSWORD; while :; do sleep 0.02; done`)
		return p, w.says(p, &p.stdout, `has (\S+)`)[1]
	}
	first, file := begin()
	first.kill()
	w.becomes("bye", "bye\n")
	_, next := begin()
	if _, err := os.Stat(file); err == nil {
		t.Errorf("%s of the killed agent is still there", file)
	}
	if text := read(t, next); text != "first" {
		t.Errorf("%s has %q", next, text)
	}
}

func TestAgentEndsWithTheCommand(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	for command, want := range map[string]int{"true": 0, "exit 5": 5, "kill -9 $$": 128 + 9, "": 127} {
		args := []string{"--", "sh", "-c", command}
		if command == "" {
			args = []string{"--", "there-is-no-such-command"}
		}
		if got := statusOf(<-w.agent(args...).exited); got != want {
			t.Errorf("%q: status %d, want %d", command, got, want)
		}
	}
}

// Processes that the command leaves behind do not stay as zombies, as they would where
// the agent is the first process of a container.
func TestAgentReapsOrphans(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	p := w.agent("--", "sh", "-c", `for i in 1 2 3 4 5; do sh -c 'sleep 0.1 & echo orphan $!'; done; sleep 100`)
	orphan := ""
	for n := range 5 {
		orphan = w.says(p, &p.stdout, fmt.Sprintf(`(?:orphan (\d+)\n){%d}`, n+1))[1]
	}
	for range 500 {
		if _, err := os.Stat("/proc/" + orphan); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("an orphan stays: %s", read(t, "/proc/"+orphan+"/stat"))
}

// Given a server that tells nothing of changes, then values are polled.
func TestAgentPolls(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	target, err := url.Parse(w.server.url)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(target)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	older := http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/events") || r.URL.Path == "/openapi.yaml" {
			http.NotFound(rw, r)
			return
		}
		forward.ServeHTTP(rw, r)
	})}
	go older.Serve(listener)
	t.Cleanup(func() { older.Close() })
	url := "http://" + listener.Addr().String()
	w.write("identity", strings.ReplaceAll(read(t, w.identity), w.line.url(), url))
	p := w.agentAt(url, "--secret", "password=db/password", "--poll", "PT0.2S")
	w.says(p, &p.stderr, "agent is ready")
	w.set("db/password", "second")
	w.becomes("password", "second")

	// And its keys are not replaced: a lost answer would be a lost key.
	before := read(t, w.identity)
	once := w.agentAt(url, "--once", "--rotate-now")
	if err := <-once.exited; err == nil || !strings.Contains(once.stderr.String(), "cannot stage") || read(t, w.identity) != before {
		t.Errorf("%v %s", err, once.stderr.String())
	}
}

// Given a token that is good for two seconds, then the file always has one that is.
func TestAgentRenewsTheToken(t *testing.T) {
	t.Parallel()
	w := newWorkload(t, "--host-token-ttl", "2")
	p := w.agent("--token-file", "token", "--", "sh", "-c", "test -s token && echo there; sleep 100")
	w.says(p, &p.stdout, "there")
	tokens := map[string]bool{}
	for len(tokens) < 4 {
		token := read(t, w.path("token"))
		tokens[token] = true
		c := newClient(w.server.url)
		c.token = tokenHeader(token)
		c.must(t, http.StatusOK, "GET", "/whoami", "")
		time.Sleep(50 * time.Millisecond)
	}
	if info, err := os.Stat(w.path("token")); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// Given the server is away, then what is there stays, and the health page says so; when it
// is back, so is the agent.
func TestAgentOutlivesTheServer(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	socket := w.path("health.sock")
	p := w.agent("--secret", "password=db/password", "--rotate-every", "PT1H", "--token-file", "token", "--poll", "PT0.1S", "--health", "unix:"+socket)
	w.says(p, &p.stderr, "agent is ready")
	pages := http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}}
	health := func() (status int, duties map[string]bool) {
		answer, err := pages.Get("http://agent/health")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var page struct {
			Duties []struct {
				Name string
				OK   bool
			}
		}
		if err := json.NewDecoder(answer.Body).Decode(&page); err != nil {
			t.Fatal(err)
		}
		duties = map[string]bool{}
		for _, d := range page.Duties {
			duties[d.Name] = d.OK
		}
		return answer.StatusCode, duties
	}
	if status, duties := health(); status != http.StatusOK || !duties["identity"] || !duties["token"] || !duties["secrets"] {
		t.Errorf("%d %v", status, duties)
	}
	w.server.kill()
	w.says(p, &p.stderr, `duty failed.*duty=secrets`)
	if status, duties := health(); status != http.StatusServiceUnavailable || duties["secrets"] || !duties["token"] {
		t.Errorf("%d %v", status, duties)
	}
	if read(t, w.path("password")) != "first" {
		t.Error("the file has changed")
	}
	again := serve(t, w.server.dir)
	address := strings.TrimPrefix(again.url, "http://")
	w.line.server.Store(&address)
	w.says(p, &p.stderr, `done again.*duty=secrets`)
	answer, err := pages.Get("http://agent/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page := make([]byte, 1<<16)
	n, _ := answer.Body.Read(page) // the page is short
	for _, want := range []string{`rekey_agent_duty_ok{duty="secrets"} 1`, `rekey_agent_files_written_total 1`, "rekey_agent_key_age_seconds"} {
		if !strings.Contains(string(page[:n]), want) {
			t.Errorf("no %s in\n%s", want, page[:n])
		}
	}
}

// SIGHUP reads the configuration again; one that is wrong changes nothing, and the command
// goes on.
func TestAgentReloads(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	config := w.write("agent.yml", "files:\n- {to: one, secret: db/user}\nexec:\n  command: [sh, -c, 'echo began; sleep 100']\n")
	p := w.agent("--config", config)
	w.becomes("one", "bob")
	w.says(p, &p.stdout, "began\n")
	hup := func() {
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	w.write("agent.yml", "files:\n- {to: one, secret: db/user}\n- {too: two, secret: db/password}\n")
	hup()
	w.says(p, &p.stderr, `agent.yml, line 3, column 4: 'too' is not known here`)
	w.write("agent.yml", "files:\n- {to: one, secret: db/password, mode: '0640'}\nexec:\n  command: [sh, -c, 'echo began; sleep 100']\n  on_change: URG\n")
	hup()
	w.becomes("one", "first")
	if info, err := os.Stat(w.path("one")); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if strings.Count(p.stdout.String(), "began") != 1 {
		t.Errorf("the command was started again:\n%s", p.stdout.String())
	}
}

// Whoever has started the agent is told when it is ready, and that it lives.
func TestAgentNotifies(t *testing.T) {
	t.Parallel()
	w := newWorkload(t)
	socket := w.path("notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := &server{cmd: exec.Command(binary, "agent", "--identity", w.identity, "--token-file", w.path("token"), "--", "sh", "-c", `echo "child $NOTIFY_SOCKET"; sleep 100`), exited: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "CONJUR_APPLIANCE_URL="+w.line.url(), "CONJUR_ACCOUNT="+account, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC="+strconv.Itoa(100_000))
	w.run(p)
	heard := map[string]int{}
	message := make([]byte, 100)
	for heard["READY=1"] == 0 || heard["WATCHDOG=1"] < 3 {
		n, err := conn.Read(message)
		if err != nil {
			t.Fatal(err)
		}
		heard[string(message[:n])]++
	}
	if got := w.says(p, &p.stdout, `child (.*)\n`); got[1] != "" {
		t.Error("the command is told of the agent's socket")
	}
}
