package cli

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	_ "embed"

	"github.com/spf13/cobra"

	"rekey/internal/config"
	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
	"rekey/internal/server"
)

//go:embed quickstart.yml
var samplePolicy []byte

const samplePassword = "correct-horse-battery-staple"

func quickstartCommand() *cobra.Command {
	var account, listen string
	cmd := &cobra.Command{
		Use: "quickstart", Short: "Start a server with a sample account to try",
		Long: "Makes a data directory with a root key, an account, a sample policy and a secret, serves it until\n" +
			"Ctrl-C, and prints what to try. Started again, it goes on with the same directory. Unless told\n" +
			"otherwise it uses a directory of its own beside the server's.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := quickstartConfig(cmd)
			if err != nil {
				return err
			}
			cfg.Listen = listen
			return quickstart(cmd, cfg, account)
		},
	}
	addSettings(cmd.Flags(), localSettings...)
	dir := cmd.Flags().Lookup("data-dir")
	dir.DefValue += quickstartSuffix
	cmd.Flags().StringVar(&account, "account", "demo", "name of the account")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "loopback address to listen on; a free port if this default is taken")
	return cmd
}

// quickstartSuffix makes a data directory of the server's, beside it.
const quickstartSuffix = "-quickstart"

// quickstartConfig is the ordinary configuration with quieter defaults and a data
// directory that no other server uses by default.
func quickstartConfig(cmd *cobra.Command) (*config.Config, error) {
	src := sources(cmd)
	loaded, err := config.LoadLocal(src)
	if err != nil {
		return nil, err
	}
	defaults := map[string]string{"data_dir": loaded.DataDir + quickstartSuffix, "log_level": "warn"}
	for _, s := range config.Settings() {
		if text, ok := defaults[s.Key]; ok && loaded.Source(s.Key) == "default" {
			src.Flags[s.Flag] = text
		}
	}
	audit := loaded.Source("audit") == "default"
	if loaded, err = config.LoadLocal(src); err != nil {
		return nil, err
	}
	loaded.DatabaseURL = secret.Bytes{} // a sample has no business in a database
	if loaded.DataDir, err = filepath.Abs(loaded.DataDir); err != nil {
		return nil, fault.Wrap(err, "looking for the data directory")
	}
	if loaded.DataKeyFile, err = filepath.Abs(loaded.DataKeyFile); err != nil {
		return nil, fault.Wrap(err, "looking for the root key")
	}
	if audit {
		loaded.Audit = "file:" + filepath.Join(loaded.DataDir, "audit.log")
	}
	return &loaded.Config, nil
}

func quickstart(cmd *cobra.Command, cfg *config.Config, account string) error {
	log := logger(cfg, cmd.ErrOrStderr())
	if err := prepareDirectory(cfg); err != nil {
		return err
	}
	backend, err := server.Open(cmd.Context(), *cfg, cmd.ErrOrStderr(), log)
	if err != nil {
		return err
	}
	return errors.Join(showAround(cmd, backend, cfg, account), backend.Close())
}

// showAround listens first, so that keys which are shown once are not made for
// nothing when the address is taken.
func showAround(cmd *cobra.Command, backend *server.Backend, cfg *config.Config, account string) error {
	srv := backend.Server()
	err := srv.Listen()
	if errors.Is(err, syscall.EADDRINUSE) && !cmd.Flags().Changed("listen") {
		srv.Config.Listen = "127.0.0.1:0" // any port will do for a sample
		err = srv.Listen()
	}
	if err != nil {
		return err
	}
	t, err := prepareAccount(cmd.Context(), backend, account)
	if err != nil {
		return errors.Join(err, srv.Close())
	}
	t.URL, t.DataDir, t.Self = srv.URL(), cfg.DataDir, selfName()
	t.RootKey = cfg.DataKeyFile
	if cfg.DataKey.Len() > 0 {
		t.RootKey = cfg.DataKeyName
	}
	if err := t.print(cmd.OutOrStdout()); err != nil {
		return errors.Join(err, srv.Close())
	}
	return srv.Serve(cmd.Context())
}

// prepareDirectory makes a new data directory with a root key. A directory that has
// anything in it is left as it is.
func prepareDirectory(cfg *config.Config) error {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return &fault.Error{Kind: fault.Invalid, Message: "cannot make the data directory: " + err.Error(), Advice: "name another one with --data-dir", Cause: err}
	}
	entries, err := os.ReadDir(cfg.DataDir)
	if err != nil {
		return fault.Wrap(err, "looking into the data directory")
	}
	_, err = os.Stat(cfg.DataKeyFile)
	if len(entries) > 0 || cfg.DataKey.Len() > 0 || !errors.Is(err, fs.ErrNotExist) {
		return nil // server.Open tells if there is something wrong with it
	}
	return server.WriteRootKey(cfg.DataKeyFile, newRootKey())
}

// prepareAccount makes the sample account unless it is there. The keys are in the
// tour only if it made them.
func prepareAccount(ctx context.Context, backend *server.Backend, account string) (*tour, error) {
	local := backend.Local()
	names, err := local.ListAccounts(ctx)
	if err != nil {
		return nil, err
	}
	t := &tour{Account: account}
	if slices.Contains(names, account) {
		return t, nil
	}
	created, err := local.CreateAccount(ctx, account, nil)
	if err != nil {
		return nil, err
	}
	loaded, err := local.LoadPolicy(ctx, account, samplePolicy)
	if err != nil {
		return nil, fault.Wrap(err, "loading the sample policy")
	}
	admin, err := backend.Core.Basic(ctx, core.Origin{IP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}, account, "admin", secret.FromString(created.APIKey))
	if err != nil {
		return nil, fault.Wrap(err, "logging the admin in")
	}
	for name, value := range map[string]string{"shop/db/username": "shop", "shop/db/password": samplePassword} {
		if err := backend.Core.SetSecret(ctx, admin, ident.New(account, "variable", name), secret.FromString(value)); err != nil {
			return nil, fault.Wrap(err, "setting the sample secret %s", name)
		}
	}
	host := loaded.CreatedRoles[string(ident.New(account, "host", "shop/web-1"))]
	if host.APIKey == nil {
		return nil, fault.New(fault.Internal, "the sample host got no API key")
	}
	t.AdminKey, t.HostKey = created.APIKey, *host.APIKey
	return t, nil
}
