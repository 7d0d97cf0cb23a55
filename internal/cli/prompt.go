package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"rekey/internal/fault"
)

// ask prints a question and reads a line, from a terminal or a pipe. No line is an
// error that says how to answer otherwise.
func ask(cmd *cobra.Command, w io.Writer, question, otherwise string) (string, error) {
	fmt.Fprint(w, question)
	line, err := interruptible(cmd, func() (string, error) { return readLine(cmd.InOrStdin()) })
	if !isTerminal(cmd.InOrStdin()) {
		fmt.Fprintln(w) // no one has ended the line
	}
	if cmd.Context().Err() != nil {
		return "", err
	}
	if line == "" && err != nil {
		e := fault.New(fault.Invalid, "there is no answer on standard input")
		e.Advice = otherwise
		return "", e
	}
	return strings.TrimSpace(line), nil
}

// readLine reads byte by byte, so that the next question finds the next line.
func readLine(r io.Reader) (string, error) {
	var line []byte
	for one := make([]byte, 1); ; {
		switch n, err := r.Read(one); {
		case n == 1 && one[0] == '\n':
			return string(line), nil
		case n == 1:
			line = append(line, one[0])
		case err != nil:
			return string(line), err
		}
	}
}

// agrees asks a question that only a clear yes answers with yes.
func agrees(cmd *cobra.Command, w io.Writer, question, otherwise string) (bool, error) {
	answer, err := ask(cmd, w, question+" [y/N] ", otherwise)
	switch strings.ToLower(answer) {
	case "y", "yes":
		return true, err
	}
	return false, err
}

// askSecret asks for something that must not be shown. It needs a terminal.
func askSecret(cmd *cobra.Command, question, otherwise string) (string, error) {
	file, ok := cmd.InOrStdin().(*os.File)
	if !ok || !isTerminal(file) {
		e := fault.New(fault.Invalid, "standard input is no terminal to ask for a secret")
		e.Advice = otherwise
		return "", e
	}
	state, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", fault.Wrap(err, "asking on the terminal")
	}
	fmt.Fprint(cmd.ErrOrStderr(), question)
	text, err := interruptible(cmd, func() (string, error) {
		text, err := term.ReadPassword(int(file.Fd()))
		return string(text), err
	})
	fmt.Fprintln(cmd.ErrOrStderr())
	if cmd.Context().Err() != nil { // else the terminal would go on hiding what is typed
		err = errors.Join(err, term.Restore(int(file.Fd()), state))
	}
	return text, fault.Wrap(err, "reading from the terminal")
}

// interruptible waits for an answer, or until the command is interrupted.
func interruptible(cmd *cobra.Command, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		text, err := read()
		answered <- answer{text, err}
	}()
	select {
	case a := <-answered:
		return a.text, a.err
	case <-cmd.Context().Done():
		return "", fault.New(fault.Unavailable, "interrupted")
	}
}

// secretFromStdin reads to the end and drops one final newline.
func secretFromStdin(cmd *cobra.Command) (string, error) {
	if isTerminal(cmd.InOrStdin()) {
		return askSecret(cmd, "", "")
	}
	text, err := readAll(cmd)
	return trimNewline(text), err
}

func readAll(cmd *cobra.Command) (string, error) {
	text, err := interruptible(cmd, func() (string, error) {
		text, err := io.ReadAll(cmd.InOrStdin())
		return string(text), err
	})
	return text, fault.Wrap(err, "reading standard input")
}
