package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"rekey/internal/config"
	"rekey/internal/fault"
	"rekey/internal/server"
)

func serverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "server", Short: "Serve a data directory",
		Long: "Serves until SIGTERM or SIGINT, then finishes the requests under way. SIGHUP reads the TLS\n" +
			"certificate again and opens the audit file again. The log goes to standard error, audit records to\n" +
			"standard output unless they are sent elsewhere.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := config.Load(sources(cmd))
			if err != nil {
				return err
			}
			log := logger(&loaded.Config, cmd.ErrOrStderr())
			for _, warning := range loaded.Warnings {
				log.Warn(warning)
			}
			backend, err := server.Open(cmd.Context(), loaded.Config, cmd.OutOrStdout(), log)
			if err != nil {
				return err
			}
			return errors.Join(serve(cmd, backend, accountToMake(&loaded.Config), log), backend.Close())
		},
	}
	addSettings(cmd.Flags())
	return cmd
}

// accountToMake is the account that a server has to make if it is missing; empty for none.
func accountToMake(cfg *config.Config) string {
	if cfg.ReadOnly {
		return ""
	}
	return cfg.Account
}

// serve makes the account if it is asked for and missing, and serves until the
// command's context is done.
func serve(cmd *cobra.Command, backend *server.Backend, account string, log *slog.Logger) error {
	if account != "" {
		local := backend.Local()
		names, err := local.ListAccounts(cmd.Context())
		if err != nil {
			return err
		}
		if !slices.Contains(names, account) {
			created, err := local.CreateAccount(cmd.Context(), account, nil)
			switch {
			case fault.Is(err, fault.Conflict): // another server was faster
			case err != nil:
				return err
			default:
				fmt.Fprintf(cmd.ErrOrStderr(), "Created new account '%s'\n", account)
				fmt.Fprint(cmd.OutOrStdout(), accountText(created))
			}
		}
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	srv := backend.Server()
	if err := srv.Listen(); err != nil {
		return err
	}
	go reload(cmd.Context(), srv, hangups, log)
	return srv.Serve(cmd.Context())
}

// reload reloads the server at each signal until ctx is done.
func reload(ctx context.Context, srv *server.Server, hangups <-chan os.Signal, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		if err := srv.Reload(); err != nil {
			log.Error("reloading failed; what failed stays as it was", "error", err)
			continue
		}
		log.Info("reloaded the TLS certificate and the audit file")
	}
}
