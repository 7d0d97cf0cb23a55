package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// Report is the outcome of a run, as written with -json.
type Report struct {
	Made        time.Time `json:"made"`
	Machine     Machine   `json:"machine"`
	Connections int       `json:"connections"`
	Rounds      int       `json:"rounds"`
	Seconds     float64   `json:"seconds_per_round"`
	Shrink      int       `json:"accounts_shrunk_by"` // 1 for real figures
	Results     []Result  `json:"results"`
}

// Machine is what the figures depend on.
type Machine struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	FileSystem string `json:"file_system"`
}

// NewReport describes the machine and the run.
func (e *Env) NewReport(results []Result) (Report, error) {
	machine := Machine{CPU: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version()}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return Report{}, err
	}
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			machine.CPU = strings.TrimSpace(value)
			break
		}
	}
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return Report{}, err
	}
	machine.Kernel = unix.ByteSliceToString(kernel.Release[:])
	if machine.FileSystem, err = fileSystem(e.Dir); err != nil {
		return Report{}, err
	}
	return Report{
		Made: time.Now().UTC().Truncate(time.Second), Machine: machine, Connections: e.Connections,
		Rounds: e.Rounds, Seconds: e.Duration.Seconds(), Shrink: e.Shrink, Results: results,
	}, nil
}

// fileSystem names the type of the file system that holds the path, or its number when it is not one of the usual.
func fileSystem(path string) (string, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return "", err
	}
	switch stat.Type {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", nil
	case unix.XFS_SUPER_MAGIC:
		return "xfs", nil
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", nil
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs", nil
	case unix.TMPFS_MAGIC:
		return "tmpfs (in memory: durable figures mean nothing)", nil
	}
	return fmt.Sprintf("type %#x", stat.Type), nil
}

// WriteJSON writes the report to a file.
func (r Report) WriteJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// ReadJSON reads a report that WriteJSON wrote.
func ReadJSON(path string) (Report, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Report{}, err
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return Report{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Missed returns the results that do not keep their threshold.
func (r Report) Missed() []Result {
	var missed []Result
	for _, result := range r.Results {
		if !result.Met() {
			missed = append(missed, result)
		}
	}
	return missed
}

var heads = []string{"operation", "figure", "spread", "wanted", "", "by CPU", "rekey/s", "bare/s", "rekey p50, p99 ms", "bare p50, p99 ms", "rekey, bare CPU µs"}

// cells are the texts of one line of the table, under the heads.
func (r Result) cells() []string {
	operation := r.Operation
	if r.Note != "" {
		operation += " (" + r.Note + ")"
	}
	wanted, verdict := "", ""
	switch {
	case r.AtLeast != 0:
		wanted = fmt.Sprintf("≥ %g %s", r.AtLeast, r.Unit)
	case r.AtMost != 0:
		wanted = fmt.Sprintf("≤ %g %s", r.AtMost, r.Unit)
	}
	if wanted != "" {
		verdict = map[bool]string{true: "met", false: "MISSED"}[r.Met()]
	}
	f := r.Figure
	cells := []string{operation, fmt.Sprintf("%.3g %s", f.Median, r.Unit), fmt.Sprintf("%.3g - %.3g", f.Low, f.High), wanted, verdict}
	if r.Rekey == nil || r.Bare == nil {
		return append(cells, "", "", "", "", "", "")
	}
	byCPU := ""
	if r.ByCPU != 0 {
		byCPU = fmt.Sprintf("%.3g x", r.ByCPU)
	}
	return append(cells, byCPU, fmt.Sprintf("%.0f", r.Rekey.Rate), fmt.Sprintf("%.0f", r.Bare.Rate),
		fmt.Sprintf("%.2f, %.2f", r.Rekey.P50, r.Rekey.P99), fmt.Sprintf("%.2f, %.2f", r.Bare.P50, r.Bare.P99),
		fmt.Sprintf("%.1f, %.1f", r.Rekey.CPU, r.Bare.CPU))
}

// WriteTable writes the results for a terminal.
func (r Report) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(heads, "\t"))
	for _, result := range r.Results {
		fmt.Fprintln(table, strings.Join(result.cells(), "\t"))
	}
	if r.Shrink != 1 {
		fmt.Fprintln(table, r.shrunk())
	}
	return table.Flush()
}

func (r Report) shrunk() string {
	return fmt.Sprintf("A quick run: accounts were %d times smaller than their rows say.", r.Shrink)
}

// WriteMarkdown writes the results, and what they were measured on, for docs/performance.md.
func (r Report) WriteMarkdown(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "| %s |\n|%s\n", strings.Join(heads, " | "), strings.Repeat("---|", len(heads)))
	for _, result := range r.Results {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(result.cells(), " | "))
	}
	fmt.Fprintf(&text, "\nMeasured on %s: %s, %d cores, Linux %s, %s, %s; %d connections, %d rounds of %g s on each side.\n",
		r.Made.Format(time.DateOnly), r.Machine.CPU, r.Machine.Cores, r.Machine.Kernel, r.Machine.Go, r.Machine.FileSystem,
		r.Connections, r.Rounds, r.Seconds)
	if r.Shrink != 1 {
		fmt.Fprintln(&text, r.shrunk())
	}
	_, err := io.WriteString(w, text.String())
	return err
}
