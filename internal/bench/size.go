package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// measureSize: the time of single requests for lists and searches in an account of 100,000 hosts and 100,000 variables,
// asked by the administrator, who sees everything, and by a host that sees one variable.
func measureSize(ctx context.Context, e *Env) ([]Result, error) {
	r, err := e.startRekey(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.seedBranches(ctx, 20, e.size(5_000)); err != nil {
		return nil, err
	}
	keys, err := r.load(ctx, "- !host reader\n- !variable hidden/needle\n- !permit {role: !host reader, privileges: [read], resource: !variable hidden/needle}\n")
	if err != nil {
		return nil, err
	}
	reader, err := r.authenticate(ctx, "host/reader", keys["reader"])
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, q := range []struct {
		operation, query, token string
		rows                    int
		atMost                  float64 // ms
	}{
		{"list 50 of 200,000 resources, after 50,000", "?limit=50&offset=" + fmt.Sprint(e.size(50_000)), r.token, 50, 20},
		{"list 50 variables of 100,000", "/variable?limit=50", r.token, 50, 20},
		{"list what a host sees: 1 resource of 200,000", "?limit=50", reader, 1, 20},
		{"search a word that one resource has", "?search=needle&limit=50", r.token, 1, 50},
		{"search two words that thousands of resources have", "/variable?search=branch07%20variable&limit=50", r.token, 50, 50},
		{"count all resources", "?count=true", r.token, 0, 50},
	} {
		figure, err := r.timed(ctx, e, "/resources/"+account+q.query, q.token, q.rows)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q.operation, err)
		}
		e.progress("  %s: %.2f ms", q.operation, figure.Median)
		results = append(results, Result{Operation: q.operation, Unit: "ms", Figure: figure, AtMost: q.atMost})
	}
	return results, nil
}

// timed asks the same again and again, one after the other, and returns how long each answer took, in milliseconds. The
// answer must list so many rows; 0 for a count.
func (r *rekey) timed(ctx context.Context, e *Env, path, token string, rows int) (Spread, error) {
	const repetitions = 20
	// The search index is made beside the first requests: wait until it is there.
	var answer []byte
	var lastErr error
	if err := r.poll(ctx, startLimit, func() bool {
		answer, lastErr = r.call(ctx, "GET", path, token, "", http.StatusOK)
		return lastErr == nil && (rows == 0 || bytes.Count(answer, []byte(`"created_at":`)) == rows)
	}); err != nil {
		return Spread{}, errors.Join(err, lastErr, fmt.Errorf("%s answers %.300s, want %d rows", path, answer, rows))
	}
	var times []float64
	for range repetitions {
		begin := time.Now()
		answer, err := r.call(ctx, "GET", path, token, "", http.StatusOK)
		if err != nil {
			return Spread{}, err
		}
		times = append(times, milliseconds(time.Since(begin)))
		if got := bytes.Count(answer, []byte(`"created_at":`)); rows > 0 && got != rows {
			return Spread{}, fmt.Errorf("%d rows, want %d: %.300s", got, rows, answer)
		}
	}
	return spread(times), nil
}
