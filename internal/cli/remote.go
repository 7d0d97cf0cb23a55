package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rekey/internal/cli/client"
)

// newRemote makes a command that speaks to the configured server as the role that is
// logged in.
func newRemote(cmd *cobra.Command, run func(cmd *cobra.Command, s *client.Session, args []string) error) *cobra.Command {
	addRemoteFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := client.Open(cmd.Context(), remoteOptions(cmd))
		if err != nil {
			return err
		}
		return run(cmd, s, args)
	}
	return cmd
}

// seconds is a duration that may be written as a number of seconds.
type seconds time.Duration

func (s *seconds) Set(text string) error {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		*s = seconds(time.Duration(n) * time.Second)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		return fmt.Errorf("'%s' is no number of seconds, as in 30 or 2m", text)
	}
	*s = seconds(d)
	return nil
}
func (s *seconds) String() string { return "" }
func (s *seconds) Type() string   { return "seconds" }

func addRemoteFlags(cmd *cobra.Command) { remoteFlags(cmd.Flags()) }

func remoteFlags(flags *pflag.FlagSet) {
	flags.BoolP("debug", "d", false, "tell each request on standard error, without secrets")
	flags.Var(new(seconds), "timeout", "how long to wait for an answer [CONJUR_HTTP_TIMEOUT]")
}

func remoteOptions(cmd *cobra.Command) client.Options {
	var o client.Options
	if debug, err := cmd.Flags().GetBool("debug"); err == nil && debug {
		o.Trace = cmd.ErrOrStderr()
	}
	if flag := cmd.Flags().Lookup("timeout"); flag != nil {
		o.Timeout = time.Duration(*flag.Value.(*seconds))
	}
	return o
}
