package bench

import (
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestMet(t *testing.T) {
	cases := []struct {
		name   string
		result Result
		want   bool
	}{
		{"no threshold", Result{Figure: Spread{Median: 0.1}}, true},
		{"at least, kept", Result{Figure: Spread{Median: 0.6}, AtLeast: 0.6}, true},
		{"at least, missed", Result{Figure: Spread{Median: 0.59, High: 1}, AtLeast: 0.6}, false},
		{"at most, kept", Result{Figure: Spread{Median: 1.5, High: 2}, AtMost: 1.5}, true},
		{"at most, missed", Result{Figure: Spread{Median: 1.51}, AtMost: 1.5}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.result.Met(); got != c.want {
				t.Fatalf("got %v", got)
			}
			if missed := (Report{Results: []Result{c.result}}).Missed(); (len(missed) == 0) != c.want {
				t.Fatalf("missed %v", missed)
			}
		})
	}
}

func TestReportKeepsItsFiguresInJSON(t *testing.T) {
	e := testEnv(t)
	e.Shrink = 20
	report, err := e.NewReport([]Result{
		{Row: "read", Operation: "read", Unit: "x", Figure: Spread{0.7, 0.6, 0.8}, AtLeast: 0.6, ByCPU: 0.71,
			Rekey: &Side{Rate: 70_000, P50: 0.2, P99: 0.5, CPU: 14, Busy: 1}, Bare: &Side{Rate: 100_000, P50: 0.1, P99: 0.3, CPU: 10, Busy: 1}},
		{Row: "load", Operation: "load", Unit: "s", Figure: Spread{2, 1.9, 2.1}, AtMost: 1.5, Note: "slow"},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "figures.json")
	if err := report.WriteJSON(file); err != nil {
		t.Fatal(err)
	}
	read, err := ReadJSON(file)
	if err != nil || !reflect.DeepEqual(read, report) {
		t.Fatalf("read back %+v, %v; want %+v", read, err, report)
	}

	var table strings.Builder
	if err := read.WriteMarkdown(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| read | 0.7 x | 0.6 - 0.8 | ≥ 0.6 x | met | 0.71 x | 70000 | 100000 | 0.20, 0.50 | 0.10, 0.30 | 14.0, 10.0 |\n",
		"| load (slow) | 2 s | 1.9 - 2.1 | ≤ 1.5 s | MISSED |",
		"20 times smaller",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
	columns := strings.Count(strings.SplitN(table.String(), "\n", 2)[0], "|")
	for line := range strings.Lines(table.String()) {
		if strings.HasPrefix(line, "|") && strings.Count(line, "|") != columns {
			t.Errorf("line of another width: %s", line)
		}
	}
}

func TestRowsAreSelectedByName(t *testing.T) {
	names := Rows(regexp.MustCompile("^noise"))
	if !reflect.DeepEqual(names, []string{"noise", "noise-durable"}) || NeedRekey(names) {
		t.Errorf("rows %v", names)
	}
	if names := Rows(regexp.MustCompile("rotate")); !NeedRekey(names) {
		t.Errorf("rows %v must need the program", names)
	}
}
