package cli_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"rekey/internal/cli"
)

func TestProgressIsOneLineThatGoesAway(t *testing.T) {
	var shown bytes.Buffer
	tick, done, failed := make(chan time.Time), make(chan error), errors.New("failed")
	go func() {
		tick <- time.Time{}
		tick <- time.Time{}
		done <- failed
	}()
	if err := cli.ShowProgress(&shown, "Loading", tick, done); err != failed {
		t.Errorf("got %v", err)
	}
	if want := "\r\x1b[KLoading ... 1 s\r\x1b[KLoading ... 2 s\r\x1b[K"; shown.String() != want {
		t.Errorf("%q, want %q", shown.String(), want)
	}

	// What is done at once shows nothing.
	shown.Reset()
	at := make(chan error, 1)
	at <- nil
	if err := cli.ShowProgress(&shown, "Loading", tick, at); err != nil || shown.Len() > 0 {
		t.Errorf("%v %q", err, shown.String())
	}
}
