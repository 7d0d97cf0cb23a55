package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/fault"
)

func record(message string) *audit.Record { return &audit.Record{MsgID: "test", Message: message} }

// messages are the ends of the lines of a file, in order.
func messages(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ends []string
	for line := range strings.Lines(string(content)) {
		_, end, found := strings.Cut(line, `operation=""] `)
		if !found {
			end = "?" + line
		}
		ends = append(ends, strings.ReplaceAll(end, "\n", "$"))
	}
	return strings.Join(ends, " ")
}

func open(t testing.TB, path string) *audit.Log {
	t.Helper()
	log, err := audit.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	return log
}

func write(t *testing.T, log *audit.Log, texts ...string) {
	t.Helper()
	var records []*audit.Record
	for _, text := range texts {
		records = append(records, record(text))
	}
	if err := log.Write(records...); err != nil {
		t.Fatal(err)
	}
}

func TestRecordsAreAppendedToAPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := open(t, path)
	write(t, log, "a", "b")
	write(t, log)
	write(t, log, "c")
	if got := messages(t, path); got != "a$ b$ c$" {
		t.Errorf("got %s", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again := open(t, path)
	write(t, again, "d")
	if got := messages(t, path); got != "a$ b$ c$ d$" {
		t.Errorf("after a restart: %s", got)
	}
}

func TestTheFileIsReopenedAfterItsRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := open(t, path)
	write(t, log, "a")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, log, "b")
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(t, log, "c")
	if old, now := messages(t, path+".1"), messages(t, path); old != "a$ b$" || now != "c$" {
		t.Errorf("rotated %s, now %s", old, now)
	}
}

func TestAFailedReopenKeepsTheFile(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	log := open(t, filepath.Join(directory, "audit.log"))
	if err := os.Rename(directory, directory+"2"); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); err == nil {
		t.Error("reopened in a directory that is gone")
	}
	write(t, log, "a")
	if got := messages(t, filepath.Join(directory+"2", "audit.log")); got != "a$" {
		t.Errorf("got %s", got)
	}
	if _, err := audit.Open(filepath.Join(directory, "audit.log")); err == nil {
		t.Error("opened in a directory that is gone")
	}
}

func TestALineCutByACrashIsEndedFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte("<86>1 cut"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := open(t, path)
	write(t, log, "a")
	write(t, log, "b")
	if got := messages(t, path); got != "?<86>1 cut$ a$ b$" {
		t.Errorf("got %s", got)
	}
}

func TestAFullDiskFailsTheRequest(t *testing.T) {
	log := open(t, "/dev/full")
	for range 2 {
		err := log.Write(record("a"))
		if !fault.Is(err, fault.Unavailable) || !errors.Is(err, syscall.ENOSPC) || !errors.Is(log.Err(), syscall.ENOSPC) {
			t.Errorf("got %v, then %v", err, log.Err())
		}
	}
}

func TestAClosedLogRefuses(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "audit.log"))
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := log.Write(record("a")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// faulty is a stream with room for so many bytes in each of its next calls of
// Write; after those, room for all.
type faulty struct {
	bytes.Buffer
	room []int
}

func (f *faulty) Write(p []byte) (int, error) {
	if len(f.room) == 0 {
		return f.Buffer.Write(p)
	}
	n := f.room[0]
	f.room = f.room[1:]
	f.Buffer.Write(p[:n])
	return n, syscall.ENOSPC
}

func TestAPartialLineIsEndedBeforeTheNext(t *testing.T) {
	for name, room := range map[string][]int{
		"nothing written":       {0},
		"a part":                {10},
		"a part, then nothing":  {10, 0},
		"a part, then its end":  {10, 1},
		"parts of two in a row": {10, 10},
	} {
		t.Run(name, func(t *testing.T) {
			stream := &faulty{room: room}
			log := audit.To(stream)
			for range room {
				if err := log.Write(record("lost")); !fault.Is(err, fault.Unavailable) || log.Err() == nil {
					t.Errorf("a failed write gave %v, then %v", err, log.Err())
				}
			}
			write(t, log, "whole")
			if log.Err() != nil {
				t.Errorf("after a good write: %v", log.Err())
			}
			lines := strings.SplitAfter(stream.String(), "\n")
			if last := lines[len(lines)-2]; !strings.HasPrefix(last, "<0>1 ") || !strings.HasSuffix(last, " whole\n") {
				t.Errorf("got %q", stream.String())
			}
		})
	}
}

// short takes less than it is given and says nothing.
type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestAShortWriteIsAnError(t *testing.T) {
	if err := audit.To(short{}).Write(record("a")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

// gate is a stream whose calls of Write wait until they are let through.
type gate struct {
	entered chan struct{}
	open    chan error
	calls   [][]byte
}

func (g *gate) Write(p []byte) (int, error) {
	g.calls = append(g.calls, bytes.Clone(p))
	g.entered <- struct{}{}
	if err := <-g.open; err != nil {
		return 0, err
	}
	return len(p), nil
}

func TestThoseWhoComeDuringAWriteShareTheNext(t *testing.T) {
	// Given a write that is under way, when ten more come, then they wait for one
	// write of all ten, and each learns how that one ended.
	for _, outcome := range []error{nil, syscall.ENOSPC} {
		g := &gate{entered: make(chan struct{}), open: make(chan error)}
		log := audit.To(g)
		var first, others sync.WaitGroup
		first.Go(func() {
			if err := log.Write(record("first")); err != nil {
				t.Errorf("the first: %v", err)
			}
		})
		<-g.entered
		var mu sync.Mutex
		var ended int
		for i := range 10 {
			others.Go(func() {
				err := log.Write(record(fmt.Sprint("other ", i)))
				mu.Lock()
				defer mu.Unlock()
				ended++
				if !errors.Is(err, outcome) {
					t.Errorf("got %v, want %v", err, outcome)
				}
			})
		}
		for log.Waiting() < 10 {
			time.Sleep(time.Millisecond)
		}
		mu.Lock()
		if ended > 0 {
			t.Errorf("%d returned before their write", ended)
		}
		mu.Unlock()
		g.open <- nil
		<-g.entered
		g.open <- outcome
		first.Wait()
		others.Wait()
		if len(g.calls) != 2 || bytes.Count(g.calls[1], []byte("\n")) != 10 {
			t.Errorf("%d writes, the second of %q", len(g.calls), g.calls[len(g.calls)-1])
		}
	}
}

func TestNoRecordIsLostOrMixed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := open(t, path)
	const goroutines, each = 16, 200
	var writers sync.WaitGroup
	for g := range goroutines {
		writers.Go(func() {
			for i := range each {
				if err := log.Write(record(fmt.Sprintf("%d-%d-a", g, i)), record(fmt.Sprintf("%d-%d-b", g, i))); err != nil {
					t.Error(err)
				}
				if i == each/2 && g == 0 {
					if err := log.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	next, lines := make([]int, goroutines), strings.Fields(messages(t, path))
	if len(lines) != 2*goroutines*each {
		t.Fatalf("%d lines", len(lines))
	}
	for n := 0; n < len(lines); n += 2 {
		var g, i int
		if _, err := fmt.Sscanf(lines[n], "%d-%d-a$", &g, &i); err != nil {
			t.Fatalf("line %d is %s", n, lines[n])
		}
		if i != next[g] || lines[n+1] != fmt.Sprintf("%d-%d-b$", g, i) {
			t.Fatalf("goroutine %d: %s %s instead of its record %d", g, lines[n], lines[n+1], next[g])
		}
		next[g]++
	}
}

func BenchmarkWrite(b *testing.B) {
	o := audit.Origin{Role: "acme:host:apps/web-01", ClientIP: "10.1.2.3", RequestID: "0f8fad5b-d9cb-469f-a165-70867728950e", Time: noon}
	for _, goroutines := range []int{1, 16} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			log := open(b, filepath.Join(b.TempDir(), "audit.log"))
			b.ReportAllocs()
			var writers sync.WaitGroup
			for g := range goroutines {
				writers.Go(func() {
					for i := g; i < b.N; i += goroutines {
						if err := log.Write(o.Fetch("acme:variable:db/password", 0, nil)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			writers.Wait()
		})
	}
}
