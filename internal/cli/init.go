package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
)

// initFlags are the flags of init.
type initFlags struct {
	cfg                                  conjurapi.Config
	file, certFile, pin                  string
	selfSigned, insecure, netrc, forcing bool
	wrote                                map[string]any // files, by what they have
}

func initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use: "init [oss|self-hosted]", Short: "Choose the server and the account to work with",
		Long: "Writes the configuration that this and the ecosystem's other tools read, ~/.conjurrc. If the system\n" +
			"does not trust the server's certificate, its fingerprint is shown, and after a yes the certificate is\n" +
			"stored and nothing else is trusted from then on. If the server sends the certificate of its authority,\n" +
			"that one is stored, so that the server's own can be renewed. In a script, give the fingerprint with --pin.",
		Example: "  rekey init -u https://rekey.example.com -a demo\n  rekey init -u https://rekey.example.com -a demo --pin \"$FINGERPRINT\"",
		Args:    arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.cfg.Environment, f.wrote = conjurapi.EnvironmentOSS, map[string]any{}
			if len(args) == 1 {
				if err := f.cfg.Environment.Set(args[0]); err != nil {
					e := fault.New(fault.Invalid, "'%s' is no kind of server", args[0])
					e.Advice = "leave it out, or write oss or self-hosted"
					return e
				}
			}
			return f.run(cmd)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.cfg.ApplianceURL, "url", "u", "", "URL of the server")
	flags.StringVarP(&f.cfg.Account, "account", "a", "", "account")
	flags.StringVar(&f.pin, "pin", "", "trust the certificate with this SHA-256 fingerprint, without asking")
	flags.StringVarP(&f.cfg.SSLCertPath, "ca-cert", "c", "", "file with the certificate to trust, instead of asking the server")
	flags.StringVarP(&f.file, "file", "f", "", "file to write the configuration to (default ~/.conjurrc) [CONJURRC]")
	flags.StringVar(&f.certFile, "cert-file", "", "file to write the certificate to (default ~/conjur-server.pem)")
	flags.StringVarP(&f.cfg.AuthnType, "authn-type", "t", "", "how to log in: authn (the one that a rekey server has); with servers that have them ldap, oidc, jwt, iam, azure, gcp, cert")
	flags.StringVar(&f.cfg.ServiceID, "service-id", "", "service id of the authenticator")
	flags.StringVar(&f.cfg.JWTFilePath, "jwt-file", "", "file with the token, for -t jwt")
	flags.StringVar(&f.cfg.JWTHostID, "jwt-host-id", "", "host to log in as, for -t jwt")
	flags.BoolVarP(&f.insecure, "insecure", "i", false, "allow plain HTTP to another machine")
	flags.BoolVarP(&f.selfSigned, "self-signed", "s", false, "accepted for scripts; a certificate is always asked for")
	flags.BoolVar(&f.netrc, "force-netrc", false, "keep credentials in a netrc file, also if there is a keyring")
	flags.BoolVar(&f.forcing, "force", false, "overwrite files without asking")
	outcomeFlag(flags)
	addRemoteFlags(cmd)
	return cmd
}

func (f *initFlags) run(cmd *cobra.Command) error {
	server, err := f.complete(cmd)
	if err != nil {
		return err
	}
	if err := f.trust(cmd, server); err != nil {
		return err
	}
	if err := f.cfg.Validate(); err != nil {
		e := fault.New(fault.Invalid, "the configuration cannot be used: %v", err)
		e.Advice = "see `rekey init --help`"
		return e
	}
	if err := f.write(cmd, f.file, "configuration", f.cfg.Conjurrc()); err != nil {
		return err
	}
	if err := client.Probe(cmd.Context(), f.cfg, remoteOptions(cmd)); err != nil {
		fmt.Fprint(cmd.ErrOrStderr(), "warning: ")
		printFailure(cmd.ErrOrStderr(), err, false)
	}
	return formOf(cmd).say(cmd, "", f.wrote)
}

// complete asks for what is missing and looks at the URL.
func (f *initFlags) complete(cmd *cobra.Command) (*url.URL, error) {
	home, err := os.UserHomeDir()
	if err != nil && (f.file == "" || f.certFile == "") {
		e := fault.New(fault.Invalid, "there is no home directory: %v", err)
		e.Advice = "name the files with -f and --cert-file"
		return nil, e
	}
	if f.file == "" {
		f.file = os.Getenv("CONJURRC")
	}
	if f.file == "" {
		f.file = filepath.Join(home, ".conjurrc")
	}
	if f.certFile == "" {
		f.certFile = filepath.Join(home, "conjur-server.pem")
	}
	if f.netrc {
		f.cfg.CredentialStorage = conjurapi.CredentialStorageFile
	}
	if f.cfg.ApplianceURL == "" {
		if f.cfg.ApplianceURL, err = ask(cmd, cmd.ErrOrStderr(), "URL of the server: ", "give it with -u URL"); err != nil {
			return nil, err
		}
	}
	f.cfg.ApplianceURL = strings.TrimRight(strings.TrimSpace(f.cfg.ApplianceURL), "/")
	if !strings.Contains(f.cfg.ApplianceURL, "://") {
		f.cfg.ApplianceURL = "https://" + f.cfg.ApplianceURL
	}
	if old, err := client.Load(remoteOptions(cmd)); err == nil && f.cfg.Account == "" && old.ApplianceURL == f.cfg.ApplianceURL {
		f.cfg.Account = old.Account // the same server once more, perhaps with a new certificate
	}
	if f.cfg.Account == "" {
		if f.cfg.Account, err = ask(cmd, cmd.ErrOrStderr(), "Account: ", "give it with -a ACCOUNT"); err != nil {
			return nil, err
		}
	}
	server, err := url.Parse(f.cfg.ApplianceURL)
	if err != nil || server.Host == "" || server.Scheme != "http" && server.Scheme != "https" {
		e := fault.New(fault.Invalid, "'%s' is no URL of a server", f.cfg.ApplianceURL)
		e.Advice = "write it as in https://rekey.example.com"
		return nil, e
	}
	if server.Scheme == "http" && !f.insecure && !client.Loopback(server.Hostname()) {
		e := fault.New(fault.Invalid, "%s would get passwords and keys in the clear", f.cfg.ApplianceURL)
		e.Advice = "use https, or allow it with --insecure"
		return nil, e
	}
	return server, nil
}

// trust finds out which certificate to trust, and stores it if it must.
func (f *initFlags) trust(cmd *cobra.Command, server *url.URL) error {
	if server.Scheme == "http" {
		if f.pin != "" {
			e := fault.New(fault.Invalid, "%s has no certificate to pin", f.cfg.ApplianceURL)
			e.Advice = "leave --pin out, or use https"
			return e
		}
		return nil
	}
	if f.cfg.SSLCertPath != "" {
		path, err := filepath.Abs(f.cfg.SSLCertPath)
		if err != nil {
			return fault.Wrap(err, "looking for %s", f.cfg.SSLCertPath)
		}
		f.cfg.SSLCertPath = path
		if err := client.Verify(cmd.Context(), server, path); !f.forcing && fault.Is(err, fault.Invalid) {
			return fault.Wrap(err, "nothing was written")
		}
		return nil // a server that cannot be asked now may be there later; the probe warns
	}
	cert, err := client.FetchCertificate(cmd.Context(), server)
	if err != nil || cert == nil {
		return err
	}
	if f.pin != "" {
		cert, err = cert.Pinned(f.pin)
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "The system does not trust %s. It shows %s\n", f.cfg.ApplianceURL, cert.Describe())
		var yes bool
		yes, err = agrees(cmd, cmd.OutOrStdout(), "Is this the fingerprint that the operator of the server sees? Trust it?", "compare the fingerprint and give it with --pin "+cert.Fingerprint())
		if err == nil && !yes {
			e := fault.New(fault.Invalid, "the certificate is not trusted")
			e.Advice = "nothing was written; ask the operator of the server for its fingerprint"
			err = e
		}
	}
	if err != nil {
		return err
	}
	f.cfg.SSLCertPath = f.certFile
	return f.write(cmd, f.certFile, "certificate", cert.PEM())
}

// write writes a file, and asks before it overwrites another text.
func (f *initFlags) write(cmd *cobra.Command, path, what string, text []byte) error {
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && string(old) == string(text) || f.forcing:
	case err != nil:
		return &fault.Error{Kind: fault.Invalid, Message: err.Error(), Advice: "name another file, see `rekey init --help`", Cause: err}
	default:
		yes, err := agrees(cmd, cmd.OutOrStdout(), path+" exists. Overwrite it?", "overwrite it with --force")
		if err != nil {
			return err
		}
		if !yes {
			return fault.New(fault.Conflict, "%s exists and was left as it is: overwrite it with --force", path)
		}
	}
	if err := client.WriteFile(path, text); err != nil {
		return err
	}
	f.wrote[what] = path
	if formOf(cmd) == formatText {
		fmt.Fprintf(cmd.OutOrStdout(), "Wrote %s to %s\n", what, path)
	}
	return nil
}
