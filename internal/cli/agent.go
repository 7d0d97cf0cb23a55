package cli

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rekey/internal/agent"
	"rekey/internal/fault"
	"rekey/internal/period"
	"rekey/internal/secretsyml"
)

// agentFlags are what the command line adds to the configuration of an agent.
type agentFlags struct {
	config, identity, oldKey, tokenFile, health string
	every, poll                                 string
	now, once                                   bool
	secrets, templates                          []string // FILE=ID, FILE=TEMPLATE
	list, section, onChange                     string
	chosen                                      map[string]string
	logFormat                                   string
}

func agentCommand() *cobra.Command {
	var f agentFlags
	cmd := &cobra.Command{
		Use: "agent [flags] [-- COMMAND [ARGUMENT...]]", Short: "Keep the API key, token and secrets of a workload fresh",
		Long: "Runs beside a workload. It replaces the API key in its identity file before it grows old, keeps an access\n" +
			"token in a file, writes secrets into files, and runs a command with secrets in its environment, which it\n" +
			"signals or starts again within a second after one of them has changed. Whatever dies at any moment, the\n" +
			"identity file has a key that works. Server and identity are configured as for the other commands.\n\n" +
			"SIGHUP reads the configuration again. SIGTERM ends the command, and then the agent; the exit status is\n" +
			"that of the command. With --once each duty is done once, for cron and init containers. See docs/agent.md.",
		Example: "  rekey agent --once --rotate-every PT1H --token-file token --secret db.password=shop/db/password\n" +
			"  echo 'PASSWORD: !var shop/db/password' >secrets.yml && rekey agent -f secrets.yml -- printenv PASSWORD",
		RunE: func(cmd *cobra.Command, args []string) error {
			log, err := f.logger(cmd)
			if err != nil {
				return err
			}
			if f.tokenFile == "" {
				f.tokenFile = os.Getenv("CONJUR_AUTHN_TOKEN_FILE")
			}
			load := func() (agent.Plan, error) { return f.plan(cmd, args) }
			if !f.once {
				err := agent.Run(cmd.Context(), load, log)
				var exit agent.Exit
				if errors.As(err, &exit) {
					return ended(exit)
				}
				return err
			}
			plan, err := load()
			if err != nil {
				return err
			}
			return agent.Once(cmd.Context(), plan, log)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "YAML file that says what to do; flags go before it")
	flags.BoolVar(&f.once, "once", false, "do everything once, and end")
	flags.StringVar(&f.identity, "identity", "", "file with the login and the API key, in netrc form [the configured one]")
	flags.StringVar(&f.every, "rotate-every", "", "age at which the API key is replaced, as an ISO 8601 duration such as PT1H")
	flags.BoolVar(&f.now, "rotate-now", false, "replace the API key at once, whatever its age is")
	flags.StringVar(&f.oldKey, "old-key", "", "how long a replaced key goes on [PT15M, or rotate-every if that is less]")
	flags.StringVar(&f.tokenFile, "token-file", "", "file for an access token [CONJUR_AUTHN_TOKEN_FILE]")
	flags.StringArrayVar(&f.secrets, "secret", nil, "file for the value of a variable, as FILE=ID")
	flags.StringArrayVar(&f.templates, "template", nil, "file that is made of a template, as FILE=TEMPLATE")
	flags.StringVarP(&f.list, "file", "f", "", "secrets.yml with the environment of the command")
	flags.StringVarP(&f.section, "environment", "e", "", "section of secrets.yml")
	flags.StringToStringVarP(&f.chosen, "substitute", "D", nil, "what stands for $NAME in secrets.yml, as NAME=text")
	flags.StringVar(&f.onChange, "on-change", "", "what the command gets when a secret has changed: restart, or a signal such as HUP [restart]")
	flags.StringVar(&f.poll, "poll", "", "how often to look at values where the server does not tell of changes [PT30S]")
	flags.StringVar(&f.health, "health", "", "address of the health and metrics pages, such as 127.0.0.1:9180 or unix:PATH")
	flags.StringVar(&f.logFormat, "log-format", "text", "text or json")
	addRemoteFlags(cmd)
	return cmd
}

func (f *agentFlags) logger(cmd *cobra.Command) (*slog.Logger, error) {
	switch f.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil)), nil
	}
	return nil, wrongFlag("--log-format is '"+f.logFormat+"'", "write text or json")
}

// plan reads the file and puts the flags on top.
func (f *agentFlags) plan(cmd *cobra.Command, args []string) (agent.Plan, error) {
	plan := agent.Usual()
	if f.config != "" {
		if err := agent.ReadPlan(f.config, &plan); err != nil {
			return plan, err
		}
	}
	options := remoteOptions(cmd)
	plan.Trace = options.Trace
	if options.Timeout > 0 {
		plan.Timeout = options.Timeout
	}
	for _, o := range []struct{ text, to *string }{{&f.identity, &plan.Identity}, {&f.oldKey, &plan.OldKey}, {&f.tokenFile, &plan.TokenFile}, {&f.health, &plan.Health}} {
		if *o.text != "" {
			*o.to = *o.text
		}
	}
	for _, o := range []struct {
		flag, text string
		to         *time.Duration
	}{{"--rotate-every", f.every, &plan.RotateEvery}, {"--poll", f.poll, &plan.Poll}} {
		if o.text == "" {
			continue
		}
		d, err := period.ParseOrSeconds(o.text)
		if err != nil || d <= 0 {
			return plan, wrongFlag(o.flag+" is '"+o.text+"'", "write an ISO 8601 duration such as PT1H, or a number of seconds")
		}
		*o.to = d
	}
	plan.RotateNow = plan.RotateNow || f.now
	for _, given := range f.secrets {
		file, id, err := pairOf("--secret", given, "FILE=ID")
		if err != nil {
			return plan, err
		}
		plan.Files = append(plan.Files, agent.File{To: file, Secret: id})
	}
	for _, given := range f.templates {
		file, template, err := pairOf("--template", given, "FILE=TEMPLATE")
		if err != nil {
			return plan, err
		}
		plan.Files = append(plan.Files, agent.File{To: file, Template: template})
	}
	if err := f.command(&plan, args); err != nil {
		return plan, err
	}
	return plan, plan.Check()
}

func (f *agentFlags) command(plan *agent.Plan, args []string) error {
	if len(args) == 0 && f.list == "" {
		return nil
	}
	if plan.Command == nil {
		plan.Command = &agent.Command{StopAfter: agent.UsualStop}
	}
	if len(args) > 0 {
		plan.Command.Args = args
	}
	if f.list != "" {
		entries, err := agent.ReadEntries(f.list, secretsyml.Subst{Section: f.section, Values: f.chosen})
		if err != nil {
			return err
		}
		plan.Command.Entries = entries
	}
	if f.onChange != "" {
		s, err := agent.ParseChange(f.onChange)
		if err != nil {
			return err
		}
		plan.Command.Signal = s
	}
	return nil
}

func pairOf(flag, given, form string) (name, value string, err error) {
	name, value, ok := strings.Cut(given, "=")
	if !ok || name == "" || value == "" {
		return "", "", wrongFlag(fmt.Sprintf("%s is '%s'", flag, given), "write "+flag+" "+form)
	}
	return name, value, nil
}

func wrongFlag(what, advice string) error {
	e := fault.New(fault.Invalid, "%s", what)
	e.Advice = advice
	return e
}
