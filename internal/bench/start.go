package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// measureStart: the time from starting the program to its first answer to a read of a secret (with an authentication
// before it), with 100,000 hosts and 100,000 variables in the data directory, and the memory resident until then.
func measureStart(ctx context.Context, e *Env) ([]Result, error) {
	return e.measureStart(ctx, "100,000 hosts and 100,000 variables", 20, 3, 400)
}

// measureLargeStart is the same with ten times as many, of which nothing is promised, and then with a copy of them in
// PostgreSQL.
func measureLargeStart(ctx context.Context, e *Env) ([]Result, error) {
	const what = "1,000,000 hosts and 1,000,000 variables"
	d, err := e.startDatabase(ctx, e.Cores.beside()) // first, because it may be missing
	if err != nil {
		return nil, err
	}
	r, err := e.seeded(ctx, 200)
	if err != nil {
		return nil, err
	}
	results, err := r.measureStarts(ctx, what, 0, 0)
	if err != nil {
		return nil, err
	}
	if err := r.moveTo(ctx, d); err != nil {
		return nil, err
	}
	shared, err := r.measureStarts(ctx, what+" in PostgreSQL", 30, 2500)
	return append(results, shared...), err
}

// measureStart measures the start with that many branches of 5,000 hosts and 5,000 variables; what is wanted is in
// seconds and MB.
func (e *Env) measureStart(ctx context.Context, what string, branches int, wantedSeconds, wantedMegabytes float64) ([]Result, error) {
	r, err := e.seeded(ctx, branches)
	if err != nil {
		return nil, err
	}
	return r.measureStarts(ctx, what, wantedSeconds, wantedMegabytes)
}

// The value that the first read of a started server is to find.
const startVariable, startValue = "branch00/v00000", "the value to be read"

// seeded starts a server and loads branches.
func (e *Env) seeded(ctx context.Context, branches int) (*rekey, error) {
	r, err := e.startRekey(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.seedBranches(ctx, branches, e.size(5_000)); err != nil {
		return nil, err
	}
	return r, r.write(ctx, startVariable, startValue)
}

// moveTo stops the server and copies what it has into a database, where it is kept from now on.
func (r *rekey) moveTo(ctx context.Context, d *database) error {
	if err := r.stop(startLimit); err != nil {
		return err
	}
	begin := time.Now()
	source := filepath.Join(r.dir, "data")
	r.variables = append(slices.Clone(r.variables), "REKEY_DATA_DIR="+filepath.Join(r.dir, "moved"), d.setting()) // the last ones count
	duplicate := exec.CommandContext(ctx, r.env.Rekey, "store", "copy", "--from", source, "--to", d.url)
	duplicate.Env = r.variables
	var output bytes.Buffer
	duplicate.Stdout, duplicate.Stderr = &output, &output
	if err := startOn(duplicate, r.env.Cores.All); err != nil {
		return err
	}
	if err := duplicate.Wait(); err != nil {
		return fmt.Errorf("rekey store copy: %w: %s", err, output.Bytes())
	}
	r.env.progress("  copied to PostgreSQL in %.1f s", time.Since(begin).Seconds())
	return nil
}

// measureStarts starts the server several times.
func (r *rekey) measureStarts(ctx context.Context, what string, wantedSeconds, wantedMegabytes float64) ([]Result, error) {
	var seconds, peaks, after []float64
	for round := range min(r.env.Rounds, 3) {
		if err := r.stop(startLimit); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := r.start(ctx); err != nil {
			return nil, err
		}
		if err := r.firstRead(ctx, startVariable, startValue); err != nil {
			return nil, err
		}
		seconds = append(seconds, time.Since(begin).Seconds())
		now, peak, err := r.resident()
		if err != nil {
			return nil, err
		}
		after, peaks = append(after, megabytes(now)), append(peaks, megabytes(peak))
		r.env.progress("  round %d: %.3f s, %.0f MB resident, %.0f MB at most", round+1, seconds[round], after[round], peaks[round])
	}
	operation := "start with " + what
	return []Result{
		{Operation: operation + " to the first answer", Unit: "s", Figure: spread(seconds), AtMost: wantedSeconds},
		{Operation: operation + ", most memory resident until then", Unit: "MB", Figure: spread(peaks), AtMost: wantedMegabytes,
			Note: fmt.Sprintf("%.0f MB at the first answer", spread(after).Median)},
	}, nil
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

// seedBranches loads policies of n hosts and n variables each.
func (r *rekey) seedBranches(ctx context.Context, branches, n int) error {
	begin := time.Now()
	for i := range branches {
		var err error
		if r.token, err = r.authenticate(ctx, "admin", r.adminKey); err != nil {
			return err
		}
		if _, err := r.load(ctx, branchPolicy(fmt.Sprintf("branch%02d", i), n, n)); err != nil {
			return fmt.Errorf("branch %d: %w", i, err)
		}
	}
	r.env.progress("  %d records loaded in %.1f s", 2*n*branches, time.Since(begin).Seconds())
	return nil
}

// firstRead authenticates and reads the variable, again and again until the server answers.
func (r *rekey) firstRead(ctx context.Context, variable, value string) error {
	var got string
	var lastErr error
	err := r.poll(ctx, startLimit, func() bool {
		if r.token, lastErr = r.authenticate(ctx, "admin", r.adminKey); lastErr == nil {
			got, lastErr = r.read(ctx, variable)
		}
		return lastErr == nil
	})
	if err != nil {
		return errors.Join(err, lastErr)
	}
	if got != value {
		return fmt.Errorf("%s reads as %q, want %q", variable, got, value)
	}
	return nil
}
