// Package client speaks to a server over HTTP, for the commands. It finds the
// server and the credentials where the ecosystem's other tools look for them
// (/etc/conjur.conf, ~/.conjurrc, CONJUR_* variables, netrc, keyring), keeps
// credentials, and puts what goes wrong into words: which server, who asked,
// what to do next.
//
// It promises that a credential is in no error and no trace; that files with
// credentials are replaced whole or not at all, and stay as private as they were;
// that a new API key has a place on the disk before the old one is given up; and that
// an access token is remembered only where the key that bought it is kept.
// It imports apikey, ident, fault and secret.
package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/authn"
	"github.com/cyberark/conjur-api-go/conjurapi/logging"
	"github.com/cyberark/conjur-api-go/conjurapi/response"
	"github.com/sirupsen/logrus"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// Options are what a command line adds to the configuration.
type Options struct {
	Trace   io.Writer     // gets a line for each request and each answer; may be nil
	Timeout time.Duration // of a request; as configured if 0
	// Identity is the file with the credentials, in netrc form, instead of the configured
	// keep and of what the environment says; "" for none.
	Identity string
	Fresh    bool // prove the key, also if a token is remembered
}

// Session is a server and a role that has proved who it is.
type Session struct {
	API     *conjurapi.Client
	URL     string
	Account string
	Who     string // the login name
	Source  string // where the credential was found
	wire    *wire
	key     secret.Bytes
}

// Load reads the configuration. It is NotFound if there is none.
func Load(o Options) (conjurapi.Config, error) {
	if _, ok := os.LookupEnv("CONJURAPI_LOG"); !ok {
		logging.ApiLog.SetLevel(logrus.ErrorLevel)
	}
	cfg, err := conjurapi.LoadConfig()
	if err != nil {
		e := fault.New(fault.Invalid, "the configuration cannot be read: %v", err)
		e.Advice = "mend the file, or write it anew with `rekey init`"
		return cfg, e
	}
	for _, needed := range [...]struct{ value, key, variable, flag string }{
		{cfg.ApplianceURL, "appliance_url", "CONJUR_APPLIANCE_URL", "-u URL"},
		{cfg.Account, "account", "CONJUR_ACCOUNT", "-a ACCOUNT"},
	} {
		if needed.value == "" {
			e := fault.New(fault.NotFound, "no server is configured: neither a file has %s nor is %s set", needed.key, needed.variable)
			e.Advice = "run `rekey init " + needed.flag + "`"
			return cfg, e
		}
	}
	cfg.ApplianceURL = strings.TrimSuffix(cfg.BaseURL(), "/")
	if o.Identity != "" {
		cfg.NetRCPath, cfg.CredentialStorage = o.Identity, conjurapi.CredentialStorageFile
	}
	if o.Timeout > 0 {
		cfg.HTTPTimeout = max(1, int(o.Timeout/time.Second))
	}
	if err := cfg.Validate(); err != nil {
		e := fault.New(fault.Invalid, "the configuration cannot be used: %v", err)
		e.Advice = "mend the file or the CONJUR_* variables"
		return cfg, e
	}
	return cfg, nil
}

// Open finds the configured server and credentials and logs in with them.
func Open(ctx context.Context, o Options) (*Session, error) {
	cfg, err := Load(o)
	if err != nil {
		return nil, err
	}
	api, err := conjurapi.NewClientFromEnvironment(cfg)
	if err != nil {
		return nil, noCredentials(&cfg, err)
	}
	s := newSession(ctx, api, o)
	s.Source = source(&cfg)
	if pair, ok := api.GetAuthenticator().(*authn.APIKeyAuthenticator); ok {
		s.Who, s.key = pair.Login, secret.FromString(pair.APIKey)
		if !o.Fresh {
			s.remember(&cfg, pair)
		}
	}
	if err := api.RefreshToken(); err != nil {
		return nil, s.refusedLogin(err, s.key)
	}
	if s.Who == "" {
		s.Who = s.subject()
	}
	return s, nil
}

// Anonymous finds the configured server only.
func Anonymous(ctx context.Context, o Options) (*Session, error) {
	cfg, err := Load(o)
	if err != nil {
		return nil, err
	}
	cfg.CredentialStorage = conjurapi.CredentialStorageNone
	api, err := conjurapi.NewClient(cfg)
	if err != nil {
		return nil, unusable(&cfg, err)
	}
	return newSession(ctx, api, o), nil
}

func newSession(ctx context.Context, api *conjurapi.Client, o Options) *Session {
	cfg := api.GetConfig()
	s := &Session{API: api, URL: cfg.ApplianceURL, Account: cfg.Account}
	s.wire = &wire{ctx: ctx, next: api.GetHttpClient().Transport, trace: o.Trace}
	api.GetHttpClient().Transport = s.wire
	return s
}

// Role is the role of the session.
func (s *Session) Role() ident.ID { return ident.FromLogin(s.Account, s.Who) }

// Get sends a request of the library's and returns the body of the answer.
func (s *Session) Get(request *http.Request, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	answer, err := s.API.SubmitRequest(request)
	if err != nil {
		return nil, err
	}
	return response.DataResponse(answer)
}

// noCredentials says how to get some.
func noCredentials(cfg *conjurapi.Config, err error) error {
	var refused interface{ Timeout() bool }
	if errors.As(err, &refused) || strings.Contains(err.Error(), "SSL cert") {
		return unusable(cfg, err)
	}
	e := fault.New(fault.Unauthenticated, "nobody is logged in to %s (account %s)", cfg.ApplianceURL, cfg.Account)
	e.Advice = "run `rekey login`, or set CONJUR_AUTHN_LOGIN and CONJUR_AUTHN_API_KEY"
	e.Cause = err
	return e
}

func unusable(cfg *conjurapi.Config, err error) error {
	e := fault.New(fault.Invalid, "no client can be made for %s: %v", cfg.ApplianceURL, err)
	e.Advice = "mend the configuration, or write it anew with `rekey init`"
	e.Cause = err
	return e
}

// source says where a credential comes from, in the order in which they are tried.
func source(cfg *conjurapi.Config) string {
	for _, name := range [...]string{"CONJUR_AUTHN_TOKEN_FILE", "CONJUR_AUTHN_TOKEN"} {
		if os.Getenv(name) != "" {
			return "environment " + name
		}
	}
	switch {
	case cfg.AuthnType == "cert":
		return "client certificate"
	case cfg.JWTFilePath != "":
		return "token file " + cfg.JWTFilePath
	case os.Getenv("CONJUR_AUTHN_LOGIN") != "" && os.Getenv("CONJUR_AUTHN_API_KEY") != "":
		return SourceEnvironment
	}
	if k, err := OpenKeep(cfg); err == nil && k != nil {
		return k.Name()
	}
	return ""
}

// SourceEnvironment is the source of a key that only the caller of this process can
// change.
const SourceEnvironment = "environment CONJUR_AUTHN_API_KEY"
