package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// counts are what the metrics page has.
type counts struct {
	rotations, takenOver, tokens, renders, starts, acknowledged atomic.Int64
	bornAt                                                      atomic.Int64 // of the key, in seconds since 1970 by this machine's clock; 0 if unknown
}

func (c *counts) kept(done client.Kept) {
	if done.Rotated {
		c.rotations.Add(1)
	}
	if done.Found {
		c.takenOver.Add(1)
	}
	if done.Age >= 0 {
		c.bornAt.Store(time.Now().Add(-done.Age).Unix())
	}
}

// serveHealth serves the pages for those who watch the agent, until the result is
// called.
func (a *Agent) serveHealth(address string) (end func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket { // of an agent that was killed
			if err := os.Remove(path); err != nil {
				return nil, fault.Wrap(err, "making way for the health socket")
			}
		}
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		e := fault.New(fault.Invalid, "the health pages cannot be served at %s: %v", address, err)
		e.Advice = "choose another address with --health"
		return nil, e
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.health)
	mux.HandleFunc("GET /metrics", a.metrics)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("the health pages are not served any more", "error", err)
		}
	}()
	a.log.Info("health and metrics are served", "address", listener.Addr().String())
	return func() { _ = server.Close() }, nil // the process is about to end
}

func (a *Agent) states() []State {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	var states []State
	for _, d := range a.duties {
		states = append(states, d.state())
	}
	return states
}

// health is 200 if the last attempt of each duty has succeeded, and else 503. Without
// events values come later, and that is all.
func (a *Agent) health(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		OK     bool    `json:"ok"`
		Duties []State `json:"duties"`
	}{true, a.states()}
	for n, s := range answer.Duties {
		switch {
		case s.Name != eventsName:
			answer.OK = answer.OK && s.OK
		case s.Failures == 0:
			answer.Duties[n].OK = true // it goes on as long as all is well; and if not, values are polled
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if !answer.OK {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(answer) // whoever asked has gone
}

// metrics is in the text format of Prometheus.
func (a *Agent) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	gauge := func(name, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name) }
	states := a.states()
	gauge("rekey_agent_duty_ok", "1 if the last attempt of a duty has succeeded.")
	for _, s := range states {
		ok := 0
		if s.OK {
			ok = 1
		}
		fmt.Fprintf(w, "rekey_agent_duty_ok{duty=%q} %d\n", s.Name, ok)
	}
	gauge("rekey_agent_duty_last_success_timestamp_seconds", "When a duty was last done.")
	for _, s := range states {
		if !s.LastSuccess.IsZero() {
			fmt.Fprintf(w, "rekey_agent_duty_last_success_timestamp_seconds{duty=%q} %d\n", s.Name, s.LastSuccess.Unix())
		}
	}
	fmt.Fprint(w, "# HELP rekey_agent_duty_failures_total Attempts of a duty that have failed.\n# TYPE rekey_agent_duty_failures_total counter\n")
	for _, s := range states {
		fmt.Fprintf(w, "rekey_agent_duty_failures_total{duty=%q} %d\n", s.Name, s.Failed)
	}
	for _, c := range []struct {
		name, help string
		n          *atomic.Int64
	}{
		{"key_rotations", "Keys that this agent has replaced.", &a.counts.rotations},
		{"keys_taken_over", "Keys that somebody else had replaced, or a replacement that was finished or taken back.", &a.counts.takenOver},
		{"tokens", "Access tokens written to the file.", &a.counts.tokens},
		{"files_written", "Files with secrets written.", &a.counts.renders},
		{"command_starts", "Times the command was started.", &a.counts.starts},
		{"acknowledgements", "Versions that the server was told are in use.", &a.counts.acknowledged},
	} {
		fmt.Fprintf(w, "# HELP rekey_agent_%s_total %s\n# TYPE rekey_agent_%s_total counter\nrekey_agent_%s_total %d\n", c.name, c.help, c.name, c.name, c.n.Load())
	}
	if born := a.counts.bornAt.Load(); born > 0 {
		gauge("rekey_agent_key_age_seconds", "Age of the API key.")
		fmt.Fprintf(w, "rekey_agent_key_age_seconds %d\n", time.Now().Unix()-born)
	}
}
