package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measureStart: the time from starting the program to its first answer to a read of a secret (with an authentication
// before it), with 100,000 hosts and 100,000 variables in the data directory, and the memory resident until then.
func measureStart(ctx context.Context, e *Env) ([]Result, error) {
	return e.measureStart(ctx, "100,000 hosts and 100,000 variables", 20, 3, 400)
}

// measureLargeStart is the same with ten times as many; nothing is promised of it.
func measureLargeStart(ctx context.Context, e *Env) ([]Result, error) {
	return e.measureStart(ctx, "1,000,000 hosts and 1,000,000 variables", 200, 0, 0)
}

// measureStart measures the start with that many branches of 5,000 hosts and 5,000 variables; what is wanted is in
// seconds and MB.
func (e *Env) measureStart(ctx context.Context, what string, branches int, wantedSeconds, wantedMegabytes float64) ([]Result, error) {
	r, err := e.startRekey(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.seedBranches(ctx, branches, e.size(5_000)); err != nil {
		return nil, err
	}
	const variable, value = "branch00/v00000", "the value to be read"
	if err := r.write(ctx, variable, value); err != nil {
		return nil, err
	}

	var seconds, peaks, after []float64
	for round := range min(e.Rounds, 3) {
		if err := r.stop(startLimit); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := r.start(ctx); err != nil {
			return nil, err
		}
		if err := r.firstRead(ctx, variable, value); err != nil {
			return nil, err
		}
		seconds = append(seconds, time.Since(begin).Seconds())
		now, peak, err := r.resident()
		if err != nil {
			return nil, err
		}
		after, peaks = append(after, megabytes(now)), append(peaks, megabytes(peak))
		e.progress("  round %d: %.3f s, %.0f MB resident, %.0f MB at most", round+1, seconds[round], after[round], peaks[round])
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
