package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"rekey/internal/fault"
	"rekey/internal/secretsyml"
)

// Exit statuses of shells for a program that does not run.
const (
	exitNotRunnable = 126
	exitNoProgram   = 127
	exitBySignal    = 128 // and the signal
)

// envFile stands for a file with the environment in the arguments of a program.
const envFile = "@SUMMONENVFILE"

// runWith runs a program with values in its environment, until it ends.
func runWith(cmd *cobra.Command, entries []secretsyml.Entry, values map[string][]byte, args []string) (err error) {
	place := secretFiles{}
	defer func() { err = errors.Join(err, place.remove()) }()
	environment, err := place.environment(entries, values)
	if err != nil {
		return err
	}
	if strings.Contains(strings.Join(args, "\x00"), envFile) {
		for _, line := range environment {
			if name, _, _ := strings.Cut(line, "="); strings.ContainsAny(line, "\r\n") {
				return unsuited(name, "has several lines, which a file of NAME=value cannot have", "leave "+envFile+" out, or take %s as a file: `!var:file ...`")
			}
		}
		path, err := place.write([]byte(strings.Join(append(environment, ""), "\n")))
		if err != nil {
			return err
		}
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], envFile, path)
		}
	}
	child := exec.Command(args[0], args[1:]...)
	child.Env = append(os.Environ(), environment...)
	child.Stdin, child.Stdout, child.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	return endOf(child, forwarded(cmd))
}

// keys are the signals that the keys of a terminal send to all that runs there. They
// must not end this process before the program.
var keys = []os.Signal{syscall.SIGINT, syscall.SIGQUIT}

// forwarded are the signals that are passed on. At a terminal, its keys signal the
// program by themselves.
func forwarded(cmd *cobra.Command) []os.Signal {
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2}
	if !isTerminal(cmd.InOrStdin()) {
		signals = append(signals, keys...)
	}
	return signals
}

// endOf runs a child and returns how it ended.
func endOf(child *exec.Cmd, forward []os.Signal) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, append(forward, keys...)...)
	defer signal.Stop(signals)
	if err := child.Start(); err != nil {
		fmt.Fprintln(child.Stderr, "error: "+err.Error()+": check the name of the program and its mode")
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return ended(exitNoProgram)
		}
		return ended(exitNotRunnable)
	}
	done := make(chan error, 1)
	go func() { done <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			if slices.Contains(forward, s) {
				_ = child.Process.Signal(s) // it may have ended this moment
			}
		case err := <-done:
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				return fault.Wrap(err, "running %s", child.Path)
			}
			if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return ended(exitBySignal + int(status.Signal()))
			}
			return ended(exit.ExitCode())
		}
	}
}

// secretFiles are in a folder for their user only: in memory, where there is such a
// place.
type secretFiles struct {
	folder string
	count  int
}

const memory = "/dev/shm"

// environment writes the files of the entries that want one, and returns NAME=value.
func (p *secretFiles) environment(entries []secretsyml.Entry, values map[string][]byte) (all []string, err error) {
	for _, e := range entries {
		value, ok := values[e.Name]
		if !ok {
			continue
		}
		text := string(value)
		switch {
		case e.File:
			if text, err = p.write(value); err != nil {
				return nil, err
			}
		case bytes.IndexByte(value, 0) >= 0:
			return nil, unsuited(e.Name, "has a NUL byte, which no environment can have", "take it as a file: `%s: !var:file ...`")
		}
		all = append(all, e.Name+"="+text)
	}
	return all, nil
}

func (p *secretFiles) write(content []byte) (path string, err error) {
	if p.folder == "" {
		parent := ""
		if info, err := os.Stat(memory); err == nil && info.IsDir() {
			parent = memory
		}
		if p.folder, err = os.MkdirTemp(parent, "rekey-"); err != nil {
			return "", fault.Wrap(err, "making a folder for secrets")
		}
	}
	p.count++
	path = filepath.Join(p.folder, strconv.Itoa(p.count))
	return path, fault.Wrap(os.WriteFile(path, content, 0o600), "writing a secret")
}

func (p *secretFiles) remove() error {
	if p.folder == "" {
		return nil
	}
	return fault.Wrap(os.RemoveAll(p.folder), "removing the files with secrets")
}
