package cli_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	"rekey/internal/cli"
)

func TestAnInterruptEndsTheReadingOfStandardInput(t *testing.T) {
	read, write := io.Pipe() // which never ends
	defer write.Close()
	ctx, interrupt := context.WithCancel(context.Background())
	interrupt()
	cmd := &cobra.Command{}
	cmd.SetContext(ctx)
	cmd.SetIn(read)
	if _, err := cli.ReadAll(cmd); err == nil || err.Error() != "reading standard input: interrupted" {
		t.Errorf("got %v", err)
	}
}

func TestOneInterruptEndsAQuestion(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	p := &process{cmd: exec.Command("rekey", "login"), exited: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "CONJURRC=", "CONJUR_APPLIANCE_URL=http://127.0.0.1:1", "CONJUR_ACCOUNT=demo")
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = read, &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait(); close(p.exited) }()

	p.await(t, &p.stderr, "Login: ")
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if got := p.cmd.ProcessState.ExitCode(); got != 8 {
		t.Errorf("exit status %d\n%s", got, p.stderr.String())
	}
	p.await(t, &p.stderr, "error: interrupted")
}
