package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// working does something that may take long, and shows on a terminal for how long it
// has been at it.
func working(cmd *cobra.Command, what string, do func() error) error {
	w := cmd.ErrOrStderr()
	if !isTerminal(w) {
		return do()
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	done := make(chan error, 1)
	go func() { done <- do() }()
	return showProgress(w, what, ticker.C, done)
}

// showProgress writes over its own line at each tick, and clears it at the end.
func showProgress(w io.Writer, what string, tick <-chan time.Time, done <-chan error) error {
	const clearLine = "\r\x1b[K"
	for seconds := 0; ; {
		select {
		case <-tick:
			seconds++
			fmt.Fprintf(w, "%s%s ... %d s", clearLine, what, seconds)
		case err := <-done:
			if seconds > 0 {
				fmt.Fprint(w, clearLine)
			}
			return err
		}
	}
}
