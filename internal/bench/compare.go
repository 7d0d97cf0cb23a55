package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// side is one of the two servers of a comparison.
type side struct {
	server *process
	// scripts returns what the connections send in the next round. It is called before each round, outside of the
	// measured time, so that tokens can be renewed.
	scripts func(ctx context.Context) ([]Script, error)
}

// compare loads the subject and the reference in turns and fills in what a row shows of them: the spread of the ratios of
// their rates, the ratio of their processor times, and of each the round with the median rate.
func (e *Env) compare(ctx context.Context, subject, reference side) (Result, error) {
	sides := []side{subject, reference}
	samples := make([][]Sample, len(sides))
	var rates, costs []float64
	for round := range e.Rounds {
		for turn := range sides {
			i := (turn + round) % len(sides) // neither is always the first
			sample, err := e.round(ctx, sides[i])
			if err != nil {
				return Result{}, fmt.Errorf("round %d: %w", round+1, err)
			}
			samples[i] = append(samples[i], sample)
		}
		a, b := samples[0][round], samples[1][round]
		rates = append(rates, a.Rate()/b.Rate())
		costs = append(costs, b.cost()/a.cost())
		e.progress("  round %d: %.0f/s against %.0f/s, ratio %.3f, by processor time %.3f",
			round+1, a.Rate(), b.Rate(), rates[round], costs[round])
	}
	return Result{
		Unit: "x", Figure: spread(rates), ByCPU: spread(costs).Median,
		Rekey: medianSide(samples[0]), Bare: medianSide(samples[1]),
	}, nil
}

// round prepares and runs one round on one server.
func (e *Env) round(ctx context.Context, s side) (Sample, error) {
	scripts, err := s.scripts(ctx)
	if err != nil {
		return Sample{}, fmt.Errorf("prepare the requests: %w", err)
	}
	sample, err := Drive(ctx, s.server, scripts, e.Duration)
	if err != nil {
		return Sample{}, fmt.Errorf("%s: %w\n%s", s.server.name, err, s.server.logTail())
	}
	return sample, nil
}

// Spread is the middle, the least and the greatest of some figures.
type Spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// spread wants at least one figure.
func spread(figures []float64) Spread {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return Spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Low: sorted[0], High: sorted[n-1]}
}

// Side is what one server showed in its median round.
type Side struct {
	Rate float64 `json:"requests_per_second"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	CPU  float64 `json:"cpu_us_per_request"` // processor time of the server
	Busy float64 `json:"busy"`               // share of the time that its core worked for it
}

func medianSide(samples []Sample) *Side {
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b Sample) int { return a.Requests - b.Requests })
	s := sorted[(len(sorted)-1)/2]
	return &Side{
		Rate: s.Rate(),
		P50:  milliseconds(s.Percentile(50)),
		P99:  milliseconds(s.Percentile(99)),
		CPU:  s.cost(),
		Busy: s.CPU.Seconds() / s.Window.Seconds(),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// fixed is a script that sends one request again and again and wants one answer. A nil body means any.
func fixed(request []byte, status int, body []byte) Script {
	return Script{
		Next: func() []byte { return request },
		Check: func(gotStatus int, gotBody []byte) error {
			if gotStatus != status {
				return fmt.Errorf("status %d, want %d: %.300s", gotStatus, status, gotBody)
			}
			if body != nil && string(gotBody) != string(body) {
				return fmt.Errorf("body %.300q, want %.300q", gotBody, body)
			}
			return nil
		},
	}
}

// same returns the scripts of n connections that all follow the same fixed one.
func same(n int, script Script) func(context.Context) ([]Script, error) {
	scripts := slices.Repeat([]Script{script}, n)
	return func(context.Context) ([]Script, error) { return scripts, nil }
}

// checked adds a check to each script; i is the number of its connection. The checks of one connection never overlap.
func checked(scripts func(context.Context) ([]Script, error), also func(i int, body []byte) error) func(context.Context) ([]Script, error) {
	return func(ctx context.Context) ([]Script, error) {
		made, err := scripts(ctx)
		made = slices.Clone(made) // the next round may be given the same ones
		for i := range made {
			first := made[i].Check
			made[i].Check = func(status int, body []byte) error {
				if err := first(status, body); err != nil {
					return err
				}
				return also(i, body)
			}
		}
		return made, err
	}
}
