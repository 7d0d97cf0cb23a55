package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	agentKillsVariable = "REKEY_AGENT_KILLS"
	defaultAgentKills  = 510
	agentWorlds        = 3
)

// TestAgentKill kills agents that replace the keys of hosts as fast as they can, and
// their server, at random moments, over a line that drops, delays and cuts. Whenever
// one looks, the file of a host has one whole entry, and the key in it works; whenever
// all is well again, the next agent goes on.
func TestAgentKill(t *testing.T) {
	t.Parallel()
	kills := int(setting(t, agentKillsVariable, defaultAgentKills))
	seed := setting(t, seedVariable, uint64(time.Now().UnixNano()))
	t.Logf("%s=%d %s=%d repeats the choices of this run", agentKillsVariable, kills, seedVariable, seed)
	began := time.Now()
	var y tally
	t.Cleanup(func() {
		t.Logf("%v; lockouts %d, torn files %d; in %v", &y, y.count["lockouts"], y.count["torn files"], time.Since(began).Round(time.Second))
		for _, what := range []string{"agents killed", "servers killed", "keys replaced", "cut after the request was sent", "a rotation was under way"} {
			if !t.Failed() && y.count[what] == 0 {
				t.Errorf("no %s", what)
			}
		}
	})
	for n := range agentWorlds {
		t.Run(fmt.Sprintf("world-%d", n), func(t *testing.T) {
			t.Parallel()
			w := newHostWorld(t, rand.New(rand.NewPCG(seed, uint64(100+n))), &y)
			for w.kills < (kills+agentWorlds-1)/agentWorlds && !t.Failed() {
				if w.rng.IntN(3) == 0 {
					w.copies()
				} else {
					w.shared()
				}
			}
		})
	}
}

// hostWorld is a server with two hosts: the agents of one share a file, those of the
// other have copies of one, as on several machines.
type hostWorld struct {
	t      *testing.T
	rng    *rand.Rand
	tally  *tally
	dir    string
	audit  string
	server *server
	line   *line
	home   string
	one    string        // the shared file
	copied []string      // the copies
	usual  time.Duration // that one agent takes to replace one key, if nobody disturbs it
	kills  int
}

func newHostWorld(t *testing.T, rng *rand.Rand, y *tally) *hostWorld {
	w := &hostWorld{t: t, rng: rng, tally: y, dir: newDir(t), home: t.TempDir(), line: newLine(t, rand.New(rand.NewPCG(rng.Uint64(), 1)), y)}
	w.audit = filepath.Join(t.TempDir(), "audit.log")
	w.start()
	t.Cleanup(func() {
		w.server.kill()
		y.add("keys replaced", strings.Count(read(t, w.audit), `operation="promote"`))
	})
	keys := newClient(w.server.url).as(t, "admin", w.server.adminKey(t)).load(t, "POST", "root", "- !host one\n- !host many\n")
	w.one = w.identity("one", keys["host/one"], 0o640)
	for _, name := range []string{"many", "many-copy"} {
		w.copied = append(w.copied, w.identity(name, keys["host/many"], 0o600))
	}
	began := time.Now()
	if cmd := w.agent(context.Background(), "--once", "--identity", w.one, "--rotate-now"); cmd.Wait() != nil {
		t.Fatal(cmd.Stderr)
	}
	w.usual = time.Since(began)
	return w
}

// some is a random part of so many times the usual time.
func (w *hostWorld) some(times float64) time.Duration {
	return time.Duration(w.rng.Float64() * times * float64(w.usual))
}

// identity writes a file with the login and key of a host.
func (w *hostWorld) identity(name, key string, mode os.FileMode) string {
	path := filepath.Join(w.home, name, "identity")
	login, _, _ := strings.Cut(name, "-")
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, fmt.Appendf(nil, "machine %s/authn\n  login host/%s\n  password %s\n", w.line.url(), login, key), 0o600)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *hostWorld) start() {
	s, err := spawnProgram(plain, w.dir, "--audit", "file:"+w.audit)
	if err == nil {
		w.server = s
		err = s.ready()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	address := strings.TrimPrefix(s.url, "http://")
	w.line.server.Store(&address)
}

// agent starts an agent; it ends when ctx does.
func (w *hostWorld) agent(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, plain, append([]string{"agent", "--timeout", "5"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+w.home, "CONJUR_APPLIANCE_URL="+w.line.url(), "CONJUR_ACCOUNT="+account, "CONJUR_CREDENTIAL_STORAGE=file")
	cmd.Stderr = &output{}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return cmd
}

// shared lets two agents replace the key in one file, kills some of what runs, and looks.
func (w *hostWorld) shared() {
	ctx, stop := context.WithCancel(context.Background())
	var agents []*exec.Cmd
	for range 1 + w.rng.IntN(2) {
		agents = append(agents, w.agent(ctx, "--identity", w.one, "--rotate-every", "PT0.02S"))
	}
	w.trouble(w.usual/2 + w.some(3))
	stop() // which kills, as a power cut would
	for _, cmd := range agents {
		w.ended(cmd, true)
	}
	w.line.bad.Store(false)
	w.revive()
	w.look("one", w.one)
}

// trouble has the line be bad for some time, and kills the server in half of all cases.
func (w *hostWorld) trouble(d time.Duration) {
	w.line.bad.Store(w.rng.IntN(3) > 0)
	if w.rng.IntN(2) == 0 {
		time.Sleep(d)
		return
	}
	at := time.Duration(w.rng.Int64N(int64(d) + 1))
	time.Sleep(at)
	w.server.kill()
	w.killed("servers killed")
	if w.rng.IntN(2) == 0 {
		w.start()
	}
	time.Sleep(d - at)
}

// ended waits for an agent, and counts it if it was killed.
func (w *hostWorld) ended(cmd *exec.Cmd, must bool) {
	_ = cmd.Wait() // how it ended follows
	if defect := agentDefects.FindString(cmd.Stderr.(*output).String()); defect != "" {
		w.t.Errorf("the agent's log has %q:\n%s", defect, cmd.Stderr)
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signal() == syscall.SIGKILL:
		w.killed("agents killed")
	case must:
		w.t.Errorf("an agent has ended by itself: %v", cmd.ProcessState)
	}
}

func (w *hostWorld) killed(what string) {
	w.kills++
	w.tally.add(what, 1)
}

// revive starts the server if it was killed.
func (w *hostWorld) revive() {
	select {
	case <-w.server.exited:
		w.start()
	default:
	}
}

// look wants the file of a host to have one whole entry with a key that works, first for
// whoever reads it, or first for the next agent.
func (w *hostWorld) look(host, path string) {
	w.whole(host, path)
	if _, err := os.Stat(path + ".previous"); err == nil {
		w.tally.add("a rotation was under way", 1)
		w.whole(host, path+".previous")
	}
	if w.rng.IntN(2) == 0 {
		w.works(host, path)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	cmd := w.agent(ctx, "--once", "--identity", path, "--rotate-every", "PT1H")
	if err := cmd.Wait(); err != nil {
		w.tally.add("lockouts", 1)
		w.t.Errorf("the next agent of %s: %v\n%s", host, err, cmd.Stderr)
	}
	w.works(host, path)
}

var entry = regexp.MustCompile(`^machine (\S+)\n  login (\S+)\n  password ([a-z0-9]{45,60})\n$`)

// whole reads a file, which is never half of one, and returns its key.
func (w *hostWorld) whole(host, path string) string {
	text, err := os.ReadFile(path)
	found := entry.FindStringSubmatch(strings.ReplaceAll(string(text), "\t", "  "))
	if err != nil || found == nil || found[1] != w.line.url()+"/authn" || found[2] != "host/"+host {
		w.tally.add("torn files", 1)
		w.t.Errorf("%s of %s is torn: %v\n%s", path, host, err, text)
		return ""
	}
	return found[3]
}

func (w *hostWorld) works(host, path string) {
	got, err := newClient(w.server.url).authenticate("host/"+host, w.whole(host, path))
	if err != nil || got.status != http.StatusOK {
		w.tally.add("lockouts", 1)
		w.t.Errorf("the key in the file of %s: %v, %v", host, got, err)
	}
}

// copies lets the agents of two machines replace the key that both have, kills some of
// what runs, and looks whether both come to the same key.
func (w *hostWorld) copies() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var agents []*exec.Cmd
	for _, path := range w.copied {
		cmd := w.agent(ctx, "--once", "--identity", path, "--rotate-now", "--old-key", "PT1H")
		if w.rng.IntN(4) > 0 {
			time.AfterFunc(w.some(1.5), func() { _ = cmd.Process.Kill() }) // it may have ended
		}
		agents = append(agents, cmd)
	}
	w.trouble(w.some(1.2))
	for _, cmd := range agents {
		w.ended(cmd, false)
	}
	w.line.bad.Store(false)
	w.revive()
	for _, path := range w.copied {
		w.look("many", path)
	}
	w.look("many", w.copied[0]) // the second one may have gone one further
	if a, b := w.whole("many", w.copied[0]), w.whole("many", w.copied[1]); a != b {
		w.t.Error("the copies do not come to the same key")
	}
}
