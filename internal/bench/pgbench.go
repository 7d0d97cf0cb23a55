package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The table that pgbench writes to, and how.
const (
	pgbenchTable  = "CREATE TABLE written (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value bytea NOT NULL)"
	pgbenchScript = "INSERT INTO written (value) VALUES ('ssssssssssssssssssssssssssssssss');\n"
)

// inserts is a side that lets pgbench insert single rows, each in a transaction of its own, with as many clients as the
// run has connections.
func (e *Env) inserts(ctx context.Context, d *database) (side, error) {
	if err := d.query(ctx, pgbenchTable); err != nil {
		return nil, err
	}
	script := filepath.Join(d.dir, "insert.sql")
	if err := os.WriteFile(script, []byte(pgbenchScript), 0o644); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Sample, error) { return e.insert(ctx, d, script) }, nil
}

// insert is one round. pgbench wants whole seconds, so it runs for longer than the round; what it logs of each
// transaction tells which of them ended within the window.
func (e *Env) insert(ctx context.Context, d *database, script string) (Sample, error) {
	dir, err := os.MkdirTemp(d.dir, "pgbench-")
	if err != nil {
		return Sample{}, err
	}
	if err := e.hand(dir); err != nil {
		return Sample{}, err
	}
	defer os.RemoveAll(dir)                                          // what is left goes with the row
	seconds := 1 + math.Ceil((e.Duration + e.Duration/10).Seconds()) // the first goes by while they connect
	run, err := d.command(ctx, "pgbench", "-n", "-f", script, "-c", strconv.Itoa(e.Connections), "-j", "1",
		"-T", strconv.Itoa(int(seconds)), "-l", "--log-prefix", filepath.Join(dir, "log"), d.url)
	if err != nil {
		return Sample{}, err
	}
	before, err := d.cpu()
	if err != nil {
		return Sample{}, err
	}
	out, err := run.CombinedOutput()
	if err != nil {
		return Sample{}, fmt.Errorf("%s: %w: %s", filepath.Base(run.Path), err, out)
	}
	after, err := d.cpu()
	if err != nil {
		return Sample{}, err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil || len(logs) != 1 {
		return Sample{}, errors.Join(err, fmt.Errorf("pgbench wrote %d logs, want 1: %s", len(logs), out))
	}
	all, err := readPgbenchLog(logs[0])
	if err != nil {
		return Sample{}, err
	}
	sample := sampleOf(all, e.Duration)
	if sample.Requests == 0 {
		return sample, fmt.Errorf("pgbench stored nothing within the window: %s", out)
	}
	sample.Database = (after - before) * time.Duration(sample.Requests) / time.Duration(len(all))
	return sample, nil
}

// transaction is one line of pgbench's log.
type transaction struct {
	ended time.Time
	took  time.Duration
}

// readPgbenchLog reads a log of pgbench -l: client, number, time in µs, script, and the end in seconds and µs.
func readPgbenchLog(path string) ([]transaction, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var all []transaction
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		var numbers [3]int64
		for i, field := range []int{2, 4, 5} {
			if len(fields) <= field {
				return nil, fmt.Errorf("line of pgbench's log: %q", lines.Text())
			}
			if numbers[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
				return nil, fmt.Errorf("line of pgbench's log: %q: %w", lines.Text(), err)
			}
		}
		all = append(all, transaction{time.Unix(numbers[1], numbers[2]*1000), time.Duration(numbers[0]) * time.Microsecond})
	}
	return all, lines.Err()
}

// sampleOf counts the transactions that end within the window, which begins a tenth of its length after the first one.
func sampleOf(all []transaction, window time.Duration) Sample {
	s := Sample{Window: window}
	if len(all) == 0 {
		return s
	}
	first := slices.MinFunc(all, func(a, b transaction) int { return a.ended.Compare(b.ended) })
	begin := first.ended.Add(window / 10)
	end := begin.Add(window)
	for _, t := range all {
		if t.ended.After(begin) && !t.ended.After(end) {
			s.latency = append(s.latency, t.took)
		}
	}
	slices.Sort(s.latency)
	s.Requests = len(s.latency)
	return s
}
