package client

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// dieAt is a variable for this test program: it replaces the configured key, and kills
// itself before the step of that number.
const dieAt = "TEST_DIE_AT"

func TestMain(m *testing.M) {
	at, err := strconv.Atoi(os.Getenv(dieAt))
	if err != nil {
		os.Exit(m.Run())
	}
	i, err := OpenIdentity(context.Background(), Options{})
	if err == nil {
		n := 0
		i.steps = func(next string) {
			if n++; n == at {
				fmt.Println(next)
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // it cannot fail
				select {}
			}
		}
		_, err = i.Keep(Upkeep{Now: true, OldKey: "PT1M"})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// keepOnce looks after the configured identity once.
func keepOnce(t *testing.T, plan Upkeep) (Kept, error) {
	t.Helper()
	i, err := OpenIdentity(t.Context(), Options{})
	check(t, err)
	return i.Keep(plan)
}

// stored is the key in the configured place.
func stored(t *testing.T) secret.Bytes {
	t.Helper()
	cfg, err := Load(Options{})
	check(t, err)
	keep, err := OpenKeep(&cfg)
	check(t, err)
	_, key, err := keep.Read()
	check(t, err)
	return key
}

func works(t *testing.T, key secret.Bytes) bool {
	t.Helper()
	s, err := Anonymous(t.Context(), Options{})
	check(t, err)
	_, err = s.LogIn("admin", key, true)
	if err != nil && !fault.Is(err, fault.Unauthenticated) {
		t.Fatal(err)
	}
	return err == nil
}

// Given the process is killed before any one step of a replacement, then the key in the
// file works at once for whoever reads it, and the next process goes on from there, no
// matter whether somebody has used the key in between.
func TestAReplacementMayDieBeforeAnyStep(t *testing.T) {
	for _, c := range []struct {
		name    string
		between func(t *testing.T)
	}{
		{"and the next one goes on", func(*testing.T) {}},
		{"and somebody uses the key in the file", func(t *testing.T) {
			if !works(t, stored(t)) {
				t.Error("the key in the file does not work")
			}
		}},
		{"and the server drops what is staged", func(t *testing.T) {
			for _, path := range []string{netrcPath() + suffix, netrcPath()} { // the key that is surely not staged
				if _, key, err := (netrcFile{path: path, machine: os.Getenv("CONJUR_APPLIANCE_URL") + "/authn"}).Read(); err == nil {
					s, err := Anonymous(t.Context(), Options{})
					check(t, err)
					s.Who, s.key = "admin", key
					_, err = s.askForKey(map[string][]string{"staged": {"true"}, "request": {"of-somebody-else"}})
					if err != nil && !strings.Contains(err.Error(), "401") {
						t.Error(err)
					}
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, key := serve(t)
			logInAs(t, "admin", key)
			var steps []string
			for at := 1; ; at++ {
				before := stored(t)
				child := exec.Command(os.Args[0])
				child.Env = append(os.Environ(), dieAt+"="+strconv.Itoa(at))
				out, err := child.CombinedOutput()
				if err == nil {
					break // it has fewer steps
				}
				step := strings.TrimSpace(string(out))
				if child.ProcessState.ExitCode() >= 0 {
					t.Fatalf("step %d: %v %s", at, err, step)
				}
				steps = append(steps, step)
				c.between(t)
				if _, err := keepOnce(t, Upkeep{}); err != nil {
					t.Fatalf("killed before %s (%d): %v", step, at, err)
				}
				if !works(t, stored(t)) {
					t.Fatalf("killed before %s (%d): the key in the file does not work", step, at)
				}
				done, err := keepOnce(t, Upkeep{Now: true})
				if err != nil || !done.Rotated || stored(t).Equal(before) || !works(t, stored(t)) {
					t.Fatalf("killed before %s (%d), replaced again: %+v, %v", step, at, done, err)
				}
				if entries, err := os.ReadDir(os.Getenv("HOME")); err != nil || len(entries) != 1 {
					t.Fatalf("killed before %s (%d): there are %v, %v", step, at, entries, err)
				}
			}
			for _, wanted := range []string{"make room", "stage", "store the old key", "store the new key", "rename", "sync the directory", "use", "forget"} {
				if !slices.Contains(steps, wanted) {
					t.Errorf("it never died before %q, but before %q", wanted, steps)
				}
			}
		})
	}
}

// Given several processes that share a file, when all of them replace the key at the same time,
// then each comes to its end and the key in the file is the one that counts.
func TestProcessesShareAFile(t *testing.T) {
	_, key := serve(t)
	logInAs(t, "admin", key)
	var group sync.WaitGroup
	for range 4 {
		i, err := OpenIdentity(t.Context(), Options{})
		check(t, err)
		group.Go(func() {
			for range 5 {
				if _, err := i.Keep(Upkeep{Now: true}); err != nil && !fault.Is(err, fault.Busy) {
					t.Error(err)
				}
				if _, err := i.Token(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if now := stored(t); !works(t, now) || now.RevealString() == key {
		t.Error("the key in the file does not work, or is still the same")
	}
}

// Given machines with copies of one file, when one of them replaces the key, then the
// others find the new one as long as the old one goes on; when both do so, they come to
// the same key.
func TestMachinesHaveCopies(t *testing.T) {
	_, key := serve(t)
	logInAs(t, "admin", key)
	copied := filepath.Join(t.TempDir(), "identity")
	text, err := os.ReadFile(netrcPath())
	check(t, err)
	check(t, os.WriteFile(copied, text, 0o600))
	other, err := OpenIdentity(t.Context(), Options{Identity: copied})
	check(t, err)

	done, err := keepOnce(t, Upkeep{Now: true, OldKey: "PT1M"})
	if err != nil || !done.Rotated {
		t.Fatal(done, err)
	}
	if done, err := other.Keep(Upkeep{}); err != nil || !done.Found || done.Rotated {
		t.Errorf("%+v, %v", done, err)
	}
	if _, theirs, err := other.keep.Read(); err != nil || !theirs.Equal(stored(t)) {
		t.Error("the copies differ", err)
	}

	// The second one has staged when the first one begins.
	k, err := other.read()
	check(t, err)
	staged, err := other.stage(k, Upkeep{})
	check(t, err)
	_, err = keepOnce(t, Upkeep{Now: true, OldKey: "PT1M"})
	check(t, err)
	if !stored(t).Equal(staged) {
		t.Error("from one key there are two next ones")
	}
}

// Given a key of a certain age, it is replaced when it is older than is wanted.
func TestAKeyIsReplacedWhenItIsOldEnough(t *testing.T) {
	_, key := serve(t)
	logInAs(t, "admin", key)
	done, err := keepOnce(t, Upkeep{Every: time.Hour})
	if err != nil || done.Rotated || done.Age < 0 || done.Age > time.Minute || done.Login != "admin" {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err = keepOnce(t, Upkeep{Every: time.Nanosecond}); err != nil || !done.Rotated {
		t.Errorf("%+v, %v", done, err)
	}
}

// Given a server that replaces keys at once, nothing is replaced: its lost answer would
// be a lost key.
func TestAServerThatCannotStageIsLeftAlone(t *testing.T) {
	server, key := serve(t)
	t.Setenv("CONJUR_APPLIANCE_URL", between(t, server, func(r *http.Request) (bool, bool) {
		if r.Method == "PUT" {
			t.Error("it was asked for a key")
		}
		return true, true
	}, "/openapi.yaml"))
	logInAs(t, "admin", key)
	if _, err := keepOnce(t, Upkeep{Now: true}); !fault.Is(err, fault.NotAllowed) {
		t.Error(err)
	}
}

// Given no key works, nothing is thrown away, and a key that somebody puts into the file
// is taken.
func TestADeadKeyIsKeptUntilSomebodyHelps(t *testing.T) {
	_, key := serve(t)
	logInAs(t, "admin", key)
	i, err := OpenIdentity(t.Context(), Options{})
	check(t, err)
	dead := secret.FromString("1111111111111111111111111111111111111111111111111111")
	check(t, Store(i.keep, "admin", dead))
	check(t, Store(i.previous, "admin", secret.FromString("2222222222222222222222222222222222222222222222222222")))
	if _, err := i.Keep(Upkeep{Now: true}); !fault.Is(err, fault.Unauthenticated) || strings.Contains(err.Error(), dead.RevealString()) {
		t.Error(err)
	}
	if _, err := i.Token(); !fault.Is(err, fault.Unauthenticated) {
		t.Error(err)
	}
	if k, err := i.read(); err != nil || !k.key.Equal(dead) || k.beside != "admin" {
		t.Error("something was thrown away", err)
	}
	check(t, Store(i.keep, "admin", secret.FromString(key)))
	if done, err := i.Keep(Upkeep{Now: true}); err != nil || !done.Rotated {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestWhatIsNoKeyInAFileIsRefused(t *testing.T) {
	serve(t)
	for name, set := range map[string]map[string]string{
		"a key in the environment": {"CONJUR_AUTHN_LOGIN": "admin", "CONJUR_AUTHN_API_KEY": "x"},
		"nothing is stored":        {"CONJUR_CREDENTIAL_STORAGE": "none"},
		"another authenticator":    {"CONJUR_AUTHN_TYPE": "ldap", "CONJUR_SERVICE_ID": "corp"},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range set {
				t.Setenv(variable, value)
			}
			if _, err := OpenIdentity(t.Context(), Options{}); !fault.Is(err, fault.Invalid) {
				t.Error(err)
			}
		})
	}
}

func TestAFileThatEverybodyReadsIsExposed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "identity")
	check(t, os.WriteFile(file, []byte("machine x login host/a password k\n"), 0o600))
	i := &Identity{keep: netrcFile{path: file}}
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true, 0o602: true} {
		check(t, os.Chmod(file, mode))
		if i.Exposed() != want {
			t.Errorf("%o: %v", mode, !want)
		}
	}
}

// Given a machine that is set up with a configuration file that names the identity, which is a
// link, then the key in what it leads to is replaced, with its mode, and the link stays.
func TestTheConfiguredIdentityMayBeALink(t *testing.T) {
	url, key := serve(t)
	dir := t.TempDir()
	real := filepath.Join(dir, "elsewhere", "identity")
	link := filepath.Join(dir, "conjur.identity")
	check(t, os.Mkdir(filepath.Dir(real), 0o700))
	check(t, os.WriteFile(real, []byte("# mine\nmachine "+url+"/authn login admin password "+key+"\n"), 0o600))
	check(t, os.Chmod(real, 0o640))
	check(t, os.Symlink(real, link))
	check(t, os.WriteFile(filepath.Join(dir, "conjur.conf"), []byte("appliance_url: "+url+"\naccount: demo\nnetrc_path: "+link+"\n"), 0o600))
	t.Setenv("CONJURRC", filepath.Join(dir, "conjur.conf"))
	t.Setenv("CONJUR_APPLIANCE_URL", "")
	t.Setenv("CONJUR_ACCOUNT", "")

	done, err := keepOnce(t, Upkeep{Now: true})
	if err != nil || !done.Rotated || stored(t).RevealString() == key || !works(t, stored(t)) {
		t.Fatalf("%+v, %v", done, err)
	}
	if to, err := os.Readlink(link); err != nil || to != real {
		t.Errorf("the link leads to %s, %v", to, err)
	}
	text, err := os.ReadFile(real)
	info, failed := os.Stat(real)
	if err != nil || failed != nil || info.Mode() != 0o640 || !strings.HasPrefix(string(text), "# mine\nmachine ") {
		t.Errorf("%v %s, %v, %v", info.Mode(), text, err, failed)
	}
	if entries, err := os.ReadDir(filepath.Dir(real)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}
