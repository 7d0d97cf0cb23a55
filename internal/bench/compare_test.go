package bench

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestCompareCountsBothSides(t *testing.T) {
	e := testEnv(t)
	results, err := e.compareBare(t.Context(), "two of a kind", bare{barePlain, 200, []byte("ok")}, fixed(render("GET", "/", "", ""), 200, []byte("ok")))
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	if r.Figure.Low <= 0 || r.Figure.Low > r.Figure.Median || r.Figure.Median > r.Figure.High || r.ByCPU <= 0 {
		t.Errorf("figure %+v, by processor time %g", r.Figure, r.ByCPU)
	}
	for _, s := range []*Side{r.Rekey, r.Bare} {
		if s.Rate <= 0 || s.P50 <= 0 || s.P99 < s.P50 || s.CPU <= 0 || s.Busy <= 0 {
			t.Errorf("side %+v", s)
		}
	}
}

func TestAWrongAnswerFailsTheRound(t *testing.T) {
	request := render("GET", "/", "", "")
	cases := []struct {
		name   string
		script Script
		want   string
	}{
		{"status", fixed(request, 201, nil), "status 200, want 201"},
		{"body", fixed(request, 200, []byte("other")), `body "right", want "other"`},
		{"check of its own", checkedOnce(t, fixed(request, 200, []byte("right"))), "not this one"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := testEnv(t)
			server, err := e.startBare(t.Context(), bare{barePlain, 200, []byte("right")})
			if err != nil {
				t.Fatal(err)
			}
			good := fixed(request, 200, []byte("right"))
			_, err = Drive(t.Context(), only(server), []Script{good, c.script, good}, time.Minute)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// checkedOnce refuses the answers of its connection.
func checkedOnce(t *testing.T, script Script) Script {
	t.Helper()
	refuse := func(int, []byte) error { return errors.New("not this one") }
	made, err := checked(same(1, script), refuse)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return made[0]
}

func TestCheckedKeepsTheFirstCheckAndDoesNotPileUp(t *testing.T) {
	calls := 0
	scripts := checked(same(1, fixed(nil, 200, nil)), func(int, []byte) error { calls++; return nil })
	for range 3 { // rounds
		made, err := scripts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := made[0].Check(500, nil); err == nil {
			t.Fatal("status 500 was accepted")
		}
		if err := made[0].Check(200, nil); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 3 {
		t.Fatalf("the added check ran %d times in 3 rounds", calls)
	}
}

func TestDriveEndsWhenTheServerDies(t *testing.T) {
	e := testEnv(t)
	server, err := e.startBare(t.Context(), bare{barePlain, 200, nil})
	if err != nil {
		t.Fatal(err)
	}
	kill := Script{
		Next:  func() []byte { return render("GET", "/", "", "") },
		Check: func(int, []byte) error { return server.cmd.Process.Kill() },
	}
	if _, err := Drive(t.Context(), only(server), []Script{kill}, time.Minute); err == nil {
		t.Fatal("the round went on without a server")
	}
}

func TestCompareStopsWhenAskedTo(t *testing.T) {
	e := testEnv(t)
	server, err := e.startBare(t.Context(), bare{barePlain, 200, nil})
	if err != nil {
		t.Fatal(err)
	}
	asked := errors.New("no more")
	scripts := func(context.Context) ([]Script, error) { return nil, asked }
	if _, err := e.compare(t.Context(), e.loaded(only(server), scripts), e.loaded(only(server), scripts)); !errors.Is(err, asked) {
		t.Fatalf("error %v, want %v", err, asked)
	}
}

func TestSpread(t *testing.T) {
	cases := []struct {
		name    string
		figures []float64
		want    Spread
	}{
		{"one", []float64{2}, Spread{2, 2, 2}},
		{"odd", []float64{3, 1, 2}, Spread{2, 1, 3}},
		{"even", []float64{4, 1, 3, 2}, Spread{2.5, 1, 4}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := spread(c.figures); got != c.want {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestPercentile(t *testing.T) {
	var s Sample
	if s.Percentile(50) != 0 {
		t.Fatal("a sample without requests has no latency")
	}
	for i := range 101 {
		s.latency = append(s.latency, time.Duration(i))
	}
	if p50, p99 := s.Percentile(50), s.Percentile(99); p50 != 50 || p99 != 99 {
		t.Fatalf("p50 %d, p99 %d; want 50, 99", p50, p99)
	}
}
