package bench

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// measureLoad: the time of the request that loads 18,000 variables in one policy, into an account with the loads of the
// rounds before.
func measureLoad(ctx context.Context, e *Env) ([]Result, error) {
	r, err := e.startRekey(ctx)
	if err != nil {
		return nil, err
	}
	var seconds []float64
	for round := range min(e.Rounds, 3) {
		text := branchPolicy(fmt.Sprintf("branch%d", round), 0, e.size(18_000))
		begin := time.Now()
		if _, err := r.load(ctx, text); err != nil {
			return nil, err
		}
		seconds = append(seconds, time.Since(begin).Seconds())
		e.progress("  round %d: %.3f s", round+1, seconds[round])
	}
	return []Result{{Operation: "load a policy of 18,000 variables", Unit: "s", Figure: spread(seconds), AtMost: 1.5}}, nil
}

// branchPolicy declares a policy with hosts h00000... and variables v00000...
func branchPolicy(id string, hosts, variables int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "- !policy\n  id: %s\n  body:\n", id)
	for i := range hosts {
		fmt.Fprintf(&text, "  - !host h%05d\n", i)
	}
	for i := range variables {
		fmt.Fprintf(&text, "  - !variable v%05d\n", i)
	}
	return text.String()
}

// measureAddHost: two servers, one with an account of 2,000 records and one with 20,000, get one host more, in turns.
// Each round's figure is the ratio of the median times of its additions.
func measureAddHost(ctx context.Context, e *Env) ([]Result, error) {
	const perRound = 40
	var servers [2]*rekey
	for i, records := range []int{e.size(2_000), e.size(20_000)} {
		r, err := e.startRekey(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := r.load(ctx, branchPolicy("records", records/2, records/2)); err != nil {
			return nil, err
		}
		servers[i] = r
	}
	var ratios, small, large []float64
	for round := range e.Rounds {
		var times [2][]float64
		var connections [2]*connection
		for i, r := range servers {
			var err error
			if r.token, err = r.authenticate(ctx, "admin", r.adminKey); err != nil {
				return nil, err
			}
			if connections[i], err = dial(r.address); err != nil {
				return nil, err
			}
			defer connections[i].Close()
		}
		for n := range perRound {
			for turn := range servers {
				i := (turn + n) % 2 // neither is always the first
				took, err := servers[i].addHost(connections[i], fmt.Sprintf("added-%d-%d", round, n))
				if err != nil {
					return nil, err
				}
				times[i] = append(times[i], milliseconds(took))
			}
		}
		few, many := spread(times[0]).Median, spread(times[1]).Median
		small, large = append(small, few), append(large, many)
		ratios = append(ratios, many/few)
		e.progress("  round %d: %.3f ms against %.3f ms, ratio %.3f", round+1, many, few, many/few)
	}
	return []Result{{
		Operation: "add one host to an account of 20,000 records, against an account of 2,000",
		Unit:      "x", Figure: spread(ratios), AtMost: 1.3,
		Note: fmt.Sprintf("%.2f ms against %.2f ms", spread(large).Median, spread(small).Median),
	}}, nil
}

// addHost loads a policy of one host into the root policy and returns how long the answer took.
func (r *rekey) addHost(conn *connection, id string) (time.Duration, error) {
	if err := conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return 0, err
	}
	request := render("POST", policyPath, r.token, "- !host "+id+"\n")
	begin := time.Now()
	status, body, err := conn.exchange(request)
	took := time.Since(begin)
	if err != nil {
		return 0, err
	}
	if status != http.StatusCreated {
		return 0, fmt.Errorf("add host %s: status %d, want 201: %.300s", id, status, body)
	}
	keys, err := createdHosts(body)
	if err == nil && keys[id] == "" {
		err = fmt.Errorf("add host %s: created_roles does not name it: %.300s", id, body)
	}
	return took, err
}
