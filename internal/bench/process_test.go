package bench

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAServerIsHeldToItsCore(t *testing.T) {
	e := testEnv(t)
	server, err := e.startBare(t.Context(), bare{barePlain, 200, nil})
	if err != nil {
		t.Fatal(err)
	}
	var set, own unix.CPUSet
	if err := unix.SchedGetaffinity(server.cmd.Process.Pid, &set); err != nil {
		t.Fatal(err)
	}
	if set.Count() != 1 || !set.IsSet(e.Cores.Serve) {
		t.Errorf("the server may run on %d cores, want core %d only", set.Count(), e.Cores.Serve)
	}
	if err := unix.SchedGetaffinity(0, &own); err != nil {
		t.Fatal(err)
	}
	if !own.IsSet(e.Cores.Load) {
		t.Errorf("starting a server moved its parent away from core %d", e.Cores.Load)
	}
	if now, peak, err := server.resident(); err != nil || now <= 0 || peak < now {
		t.Errorf("resident %d, at most %d, %v", now, peak, err)
	}
}

func TestAServerThatEndsIsReportedWithItsOutput(t *testing.T) {
	e := testEnv(t)
	_, err := e.startBare(t.Context(), bare{kind: "golden"})
	if err == nil || !strings.Contains(err.Error(), "want plain, sign or durable") {
		t.Fatalf("error %v, want the server's own message", err)
	}
}

func TestStopWaitsForTheServer(t *testing.T) {
	e := testEnv(t)
	server, err := e.startBare(t.Context(), bare{barePlain, 200, nil})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.stop(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if server.listening() {
		t.Fatal("the server still takes connections")
	}
}
