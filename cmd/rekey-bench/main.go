// Command rekey-bench measures the rekey server against bare net/http servers on the same core and prints a table of
// ratios with their thresholds. See docs/performance.md.
//
// It exits with 0 when every threshold is kept, 1 when one is missed, and 2 when the run failed: a server did not
// start, or an answer was wrong.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"rekey/internal/bench"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == bench.BareCommand {
		exit(bench.ServeBare(os.Args[2:], os.Stdin))
	}
	exit(run())
}

func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "rekey-bench:", err)
	if _, is := err.(missed); is {
		os.Exit(1)
	}
	os.Exit(2)
}

// missed is the number of thresholds that a run did not keep.
type missed int

func (n missed) Error() string { return fmt.Sprintf("%d thresholds missed", int(n)) }

func run() error {
	var (
		rekey    = flag.String("rekey", "", "rekey `program` to measure; built from this module when empty")
		dir      = flag.String("dir", "", "`directory` for the data, on the disk to measure; the system's temporary one when empty")
		selected = flag.String("run", ".", "measure only the rows whose name matches the regular `expression`")
		list     = flag.Bool("list", false, "print the names of the rows and exit")
		duration = flag.Duration("duration", 700*time.Millisecond, "length of one round on one server")
		rounds   = flag.Int("rounds", 15, "rounds of each row")
		quick    = flag.Bool("quick", false, "smoke test: two rounds of 200 ms, accounts 20 times smaller, thresholds not judged")
		noFail   = flag.Bool("no-fail", false, "exit with 0 although a threshold is missed")
		jsonFile = flag.String("json", "", "write the figures to `file`")
		markdown = flag.String("markdown", "", "print the table of a `file` made with -json as Markdown and exit")
	)
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see -help", flag.Arg(0))
	}
	if *markdown != "" {
		report, err := bench.ReadJSON(*markdown)
		if err != nil {
			return err
		}
		return report.WriteMarkdown(os.Stdout)
	}
	expression, err := regexp.Compile(*selected)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	names := bench.Rows(expression)
	if len(names) == 0 {
		return fmt.Errorf("-run %s matches no row: see -list", *selected)
	}
	if *list {
		for _, name := range names {
			fmt.Println(name)
		}
		return nil
	}
	if *duration <= 0 || *rounds <= 0 {
		return fmt.Errorf("-duration %s and -rounds %d must be greater than 0", *duration, *rounds)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	scratch, err := os.MkdirTemp(*dir, "rekey-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)

	env, err := bench.NewEnv(scratch)
	if err != nil {
		return err
	}
	env.Duration, env.Rounds, env.Progress = *duration, *rounds, os.Stderr
	if *quick {
		env.Duration, env.Rounds, env.Shrink = 200*time.Millisecond, 2, 20
	}
	if bench.NeedRekey(names) {
		if env.Rekey, err = program(ctx, *rekey, scratch); err != nil {
			return err
		}
	}
	results, err := env.Run(ctx, names)
	report, reportErr := env.NewReport(results)
	if reportErr != nil {
		return reportErr
	}
	if len(results) > 0 {
		if tableErr := report.WriteTable(os.Stdout); tableErr != nil {
			return tableErr
		}
	}
	if err != nil {
		return err
	}
	if *jsonFile != "" {
		if err := report.WriteJSON(*jsonFile); err != nil {
			return err
		}
	}
	if n := len(report.Missed()); n > 0 && !*noFail && !*quick {
		return missed(n)
	}
	return nil
}

// program returns the absolute path of the rekey program, built if none is given.
func program(ctx context.Context, path, scratch string) (string, error) {
	if path != "" {
		return filepath.Abs(path)
	}
	built := filepath.Join(scratch, "rekey")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", built, "rekey/cmd/rekey")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("%s: %w", build, err)
	}
	return built, nil
}
