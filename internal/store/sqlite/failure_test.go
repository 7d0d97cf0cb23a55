package sqlite_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/row"
)

// A full disk is played by a limit on the size of files, under which write(2) fails.
func TestCommitsWorkAgainWhenTheDiskHasSpaceAgain(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	commit(t, s, roles("before"))

	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var unlimited syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		t.Fatal(err)
	}
	full := syscall.Rlimit{Cur: 512 << 10, Max: unlimited.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	large := roles("large")
	large.Add(row.Insert, row.Resource{ID: policy, Owner: "acme:user:large"})
	large.Add(row.Insert, row.Secret{Resource: policy, Version: 1, Sealed: make([]byte, 4<<20)})
	for range 3 {
		results, err := s.Commit(ctx, []*row.Set{roles("during"), large})
		if err == nil {
			t.Fatalf("stored 4 MiB where only 512 KiB fit: %v", results)
		}
		isFault(t, err, fault.Unavailable)
	}
	loaded := 0
	if err := s.Load(ctx, func(row.Row) error { loaded++; return nil }); err != nil || loaded != 1 {
		t.Errorf("%d rows while the disk is full, want 1: %v", loaded, err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &unlimited); err != nil {
		t.Fatal(err)
	}
	commit(t, s, roles("during"), large)
	if sealed, err := s.Secret(ctx, policy, 1); err != nil || len(sealed) != 4<<20 {
		t.Errorf("%d bytes, %v", len(sealed), err)
	}
}

// TestAcknowledgedSetsSurviveKill runs itself in child processes that store sets,
// print the number of each when it is acknowledged, and are killed at some moment.
func TestAcknowledgedSetsSurviveKill(t *testing.T) {
	if dir := os.Getenv("REKEY_TEST_KILL_DIR"); dir != "" {
		storeUntilKilled(t, dir)
		return
	}
	dir := t.TempDir()
	acknowledged := map[string]bool{}
	for round, count := range []int{1, 40, 41, 150, 500} {
		child := exec.Command(os.Args[0], "-test.run=^TestAcknowledgedSetsSurviveKill$")
		child.Env = append(os.Environ(), "REKEY_TEST_KILL_DIR="+dir, fmt.Sprint("REKEY_TEST_KILL_ROUND=", round))
		output, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(output)
		for n := 0; lines.Scan(); n++ {
			acknowledged[lines.Text()] = true
			if n == count {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the child was not killed")
		}

		s := open(t, dir)
		stored := map[string]int{}
		if err := s.Load(ctx, func(r row.Row) error {
			stored[r.(row.Role).ID.Identifier()[:len("0-00000")]]++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for set := range acknowledged {
			if stored[set] == 0 {
				t.Errorf("%s was acknowledged and is lost", set)
			}
		}
		for set, n := range stored {
			if n != 3 {
				t.Errorf("%d of the 3 rows of %s are there", n, set)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(acknowledged) < 700 {
		t.Errorf("only %d sets were acknowledged", len(acknowledged))
	}
}

// storeUntilKilled stores sets of three roles in batches of 1 to 5.
func storeUntilKilled(t *testing.T, dir string) {
	s := open(t, dir)
	for n := 0; ; {
		var sets []*row.Set
		var line bytes.Buffer
		for range 1 + n%5 {
			set := fmt.Sprintf("%s-%05d", os.Getenv("REKEY_TEST_KILL_ROUND"), n)
			sets = append(sets, roles(set+"a", set+"b", set+"c"))
			fmt.Fprintln(&line, set)
			n++
		}
		commit(t, s, sets...)
		os.Stdout.Write(line.Bytes())
	}
}
