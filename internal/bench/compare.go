package bench

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// side is one of the two that are compared: it runs one round.
type side func(context.Context) (Sample, error)

// loaded is a side that the load generator loads. scripts returns what the connections send in the next round; it is
// called before each round, outside of the measured time, so that tokens can be renewed.
func (e *Env) loaded(on target, scripts func(context.Context) ([]Script, error)) side {
	return func(ctx context.Context) (Sample, error) {
		made, err := scripts(ctx)
		if err != nil {
			return Sample{}, fmt.Errorf("prepare the requests: %w", err)
		}
		sample, err := Drive(ctx, on, made, e.Duration)
		if err != nil {
			return Sample{}, fmt.Errorf("%s: %w\n%s", on.servers[0].name, err, on.servers[0].logTail())
		}
		return sample, nil
	}
}

// compare loads the subject and the reference in turns and fills in what a row shows of them: the spread of the ratios of
// their rates, the ratio of their processor times, and of each the round with the median rate.
func (e *Env) compare(ctx context.Context, subject, reference side) (Result, error) {
	subjects, references, err := e.inTurns(ctx, subject, reference)
	if err != nil {
		return Result{}, err
	}
	rates := ratios(subjects, references, Sample.Rate)
	costs := ratios(references, subjects, Sample.cost)
	return Result{
		Unit: "x", Figure: spread(rates), ByCPU: spread(costs).Median,
		Rekey: medianSide(subjects), Bare: medianSide(references),
	}, nil
}

// inTurns runs all rounds of both and returns their samples.
func (e *Env) inTurns(ctx context.Context, subject, reference side) (subjects, references []Sample, err error) {
	sides := []side{subject, reference}
	samples := make([][]Sample, len(sides))
	for round := range e.Rounds {
		for turn := range sides {
			i := (turn + round) % len(sides) // neither is always the first
			sample, err := sides[i](ctx)
			if err != nil {
				return nil, nil, fmt.Errorf("round %d: %w", round+1, err)
			}
			samples[i] = append(samples[i], sample)
		}
		a, b := samples[0][round], samples[1][round]
		e.progress("  round %d: %.0f/s against %.0f/s, ratio %.3f, by processor time %.3f",
			round+1, a.Rate(), b.Rate(), a.Rate()/b.Rate(), b.cost()/a.cost())
	}
	return samples[0], samples[1], nil
}

// ratios are those of one figure in each round.
func ratios(a, b []Sample, figure func(Sample) float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = figure(a[i]) / figure(b[i])
	}
	return list
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
	// Processor time of the database that it keeps its rows in.
	DatabaseCPU float64 `json:"database_cpu_us_per_request,omitempty"`
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

		DatabaseCPU: s.databaseCost(),
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
