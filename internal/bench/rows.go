package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"
)

// Env is what a run is made with.
type Env struct {
	Rekey       string // the rekey program
	Dir         string // scratch directory, on the file system to measure; the caller removes it
	Cores       Cores
	Connections int
	Rounds      int
	Duration    time.Duration // of one round on one server
	Shrink      int           // divides the sizes of accounts; 1 for real figures
	Progress    io.Writer

	scratch string     // what Dir is of the whole run
	servers []*process // started so far in this row
}

func (e *Env) progress(format string, args ...any) {
	fmt.Fprintf(e.Progress, format+"\n", args...)
}

// size shrinks a number of records for a quick run.
func (e *Env) size(n int) int { return n / e.Shrink }

// Result is one line of the table.
type Result struct {
	Row       string  `json:"row"`
	Operation string  `json:"operation"`
	Unit      string  `json:"unit"` // "x" for a ratio, "s", "ms" or "MB" (10^6 bytes)
	Figure    Spread  `json:"figure"`
	AtLeast   float64 `json:"at_least,omitempty"`     // threshold, if not 0
	AtMost    float64 `json:"at_most,omitempty"`      // threshold, if not 0
	ByCPU     float64 `json:"ratio_by_cpu,omitempty"` // the ratio by the servers' processor time for each request
	Rekey     *Side   `json:"rekey,omitempty"`
	Bare      *Side   `json:"bare,omitempty"`
	Note      string  `json:"note,omitempty"`
}

// Met tells whether the median keeps the threshold.
func (r Result) Met() bool {
	return (r.AtLeast == 0 || r.Figure.Median >= r.AtLeast) && (r.AtMost == 0 || r.Figure.Median <= r.AtMost)
}

// row is one measurement: a name to select it by, and how it is made, with servers of its own.
type row struct {
	name    string
	measure func(context.Context, *Env) ([]Result, error)
}

var rows = []row{
	{"noise", measureNoise},
	{"noise-durable", measureDurableNoise},
	{"read", measureRead},
	{"authenticate", measureAuthenticate},
	{"write", measureWrite},
	{"rotate", measureRotate},
	{"list", measureList},
	{"check", measureCheck},
	{"nodes", measureNodes},
	{"pg-write", measurePostgresWrite},
	{"load", measureLoad},
	{"add-host", measureAddHost},
	{"start", measureStart},
	{"start-large", measureLargeStart},
	{"size", measureSize},
}

// Rows returns the names of the rows that the expression matches, in the order they are measured.
func Rows(selected *regexp.Regexp) []string {
	var names []string
	for _, row := range rows {
		if selected.MatchString(row.name) {
			names = append(names, row.name)
		}
	}
	return names
}

// NeedRekey tells whether one of the named rows measures rekey, and not only the bare servers.
func NeedRekey(names []string) bool {
	for _, name := range names {
		if name != "noise" && name != "noise-durable" {
			return true
		}
	}
	return false
}

// Run measures the named rows, one after the other. Servers of a row are stopped before the next one begins. The first
// failure (a server that does not start, a wrong answer) ends the run with the results so far.
func (e *Env) Run(ctx context.Context, names []string) ([]Result, error) {
	if err := pinSelf(e.Cores.Load); err != nil {
		return nil, err
	}
	var results []Result
	for _, name := range names {
		for _, row := range rows {
			if row.name != name {
				continue
			}
			e.progress("%s", row.name)
			found, err := e.runRow(ctx, row)
			if err != nil {
				return results, fmt.Errorf("%s: %w", row.name, err)
			}
			results = append(results, found...)
		}
	}
	return results, nil
}

// runRow measures one row in a scratch directory of its own. Its servers end with it.
func (e *Env) runRow(ctx context.Context, row row) ([]Result, error) {
	dir, err := os.MkdirTemp(e.Dir, row.name+"-")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	own := *e
	own.scratch, own.Dir, own.servers = e.Dir, dir, nil
	results, err := row.measure(ctx, &own)
	cancel() // kills the servers that still run
	for _, server := range own.servers {
		<-server.ended
	}
	if removeErr := os.RemoveAll(dir); err == nil {
		err = removeErr
	}
	for i := range results {
		results[i].Row = row.name
	}
	return results, err
}

// NewEnv picks the cores and fills in the defaults of a full run.
func NewEnv(dir string) (*Env, error) {
	cores, err := pickCores()
	if err != nil {
		return nil, err
	}
	return &Env{
		Dir: dir, Cores: cores, Connections: 16, Rounds: 15, Duration: 700 * time.Millisecond, Shrink: 1, Progress: io.Discard,
	}, nil
}
