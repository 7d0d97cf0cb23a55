package client

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cyberark/conjur-api-go/conjurapi"

	"rekey/internal/fault"
)

// State is how good a finding is.
type State string

// The states.
const (
	Good    State = "ok"
	Warning State = "warning"
	Bad     State = "error"
)

// Finding is what one check has found. It has no secrets.
type Finding struct {
	Check  string `json:"check"`
	State  State  `json:"state"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

const (
	noticedSkew  = 5 * time.Second
	harmfulSkew  = time.Minute // beyond which a server may take tokens for issued in the future
	renewalDays  = 14 * 24 * time.Hour
	othersAccess = 0o077
)

// Examine looks at everything that a command needs to reach the server and to be let
// in, one thing after the other, as far as it comes. It changes nothing and uses no
// remembered token.
func Examine(ctx context.Context, o Options) []Finding {
	var e examination
	made, err := Settings()
	if err != nil {
		return append(e.found, failed("configuration", err))
	}
	for _, s := range made {
		e.add("setting "+s.Name, Good, s.Value+"  from "+s.Source, "")
	}
	cfg, err := Load(o)
	if err != nil {
		return append(e.found, failed("configuration", err))
	}
	for _, file := range configurationFiles() {
		e.mode(file, 0o022, "others can change which server is used")
	}
	e.credentials(&cfg)
	if !e.certificate(ctx, &cfg) {
		return e.found
	}
	s, version, err := probe(ctx, cfg, o)
	if err != nil {
		return append(e.found, failed("server", err))
	}
	e.add("server", Good, fmt.Sprintf("%s answers as version %s in %v", cfg.ApplianceURL, version, s.wire.took.Round(time.Millisecond)), "")
	e.clock(s.wire.skew)
	e.login(ctx, o)
	return e.found
}

type examination struct{ found []Finding }

func (e *examination) add(check string, state State, detail, advice string) {
	e.found = append(e.found, Finding{check, state, detail, advice})
}

// failed is a finding for an error.
func failed(check string, err error) Finding {
	f := Finding{Check: check, State: Bad, Detail: err.Error()}
	var known *fault.Error
	if errors.As(err, &known) {
		f.Advice = known.Advice
	}
	return f
}

// mode looks whether a file that is there gives others more than they should have.
func (e *examination) mode(file string, tooMuch fs.FileMode, harm string) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		e.found = append(e.found, failed("file "+file, unwritable(file, err)))
	case info.Mode().Perm()&tooMuch != 0:
		e.add("file "+file, Warning, fmt.Sprintf("its mode is %o: %s", info.Mode().Perm(), harm), fmt.Sprintf("chmod %o %s", info.Mode().Perm()&^tooMuch, file))
	default:
		e.add("file "+file, Good, fmt.Sprintf("mode %o", info.Mode().Perm()), "")
	}
}

// credentials looks at where they are kept.
func (e *examination) credentials(cfg *conjurapi.Config) {
	keep, err := OpenKeep(cfg)
	switch {
	case err != nil:
		e.found = append(e.found, failed("credentials", err))
		return
	case keep == nil:
		e.add("credentials", Good, "they are kept nowhere (credential_storage is none)", "")
		return
	}
	if file, ok := keep.(netrcFile); ok {
		e.mode(file.path, othersAccess, "others can read the keys in it")
	}
	login, _, err := keep.Read()
	switch {
	case err == nil:
		e.add("credentials", Good, keep.Name()+" has those of '"+login+"'", "")
	case fault.Is(err, fault.NotFound):
		e.add("credentials", Good, keep.Name()+" has none for this server", "")
	default:
		e.found = append(e.found, failed("credentials", err))
	}
}

// certificate looks whether the server's is trusted, and for how long it is good.
func (e *examination) certificate(ctx context.Context, cfg *conjurapi.Config) bool {
	server, err := url.Parse(cfg.ApplianceURL)
	if err != nil {
		e.found = append(e.found, failed("TLS", unusable(cfg, err)))
		return false
	}
	if server.Scheme != "https" && Loopback(server.Hostname()) {
		e.add("TLS", Good, "the URL is a plain one, of this machine", "")
		return true
	}
	if server.Scheme != "https" {
		e.add("TLS", Warning, "the URL is a plain one: everybody on the way can read keys and values", "use https")
		return true
	}
	chain, err := fetchChain(ctx, server)
	if err == nil {
		err = vouched(chain, server, cfg)
	}
	if err != nil {
		e.found = append(e.found, failed("TLS", err))
		return false
	}
	leaf := &Certificate{Certificate: chain[0], Server: chain[0]}
	state, advice := Good, ""
	if time.Until(leaf.NotAfter) < renewalDays {
		state, advice = Warning, "give the server a new certificate soon"
	}
	e.add("TLS", state, "the certificate is trusted, and good until "+day(leaf.NotAfter)+"; SHA-256 "+leaf.Fingerprint(), advice)
	return true
}

// Loopback tells whether a host is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// vouched tells whether what the configuration trusts, or the system, vouches for a
// chain.
func vouched(chain []*x509.Certificate, server *url.URL, cfg *conjurapi.Config) error {
	var roots *x509.CertPool // nil: those of the system
	trusted := "the system"
	text := []byte(cfg.SSLCert)
	if cfg.SSLCert != "" {
		trusted = "CONJUR_SSL_CERTIFICATE"
	} else if cfg.SSLCertPath != "" {
		var err error
		trusted = cfg.SSLCertPath
		if text, err = os.ReadFile(cfg.SSLCertPath); err != nil {
			return unusable(cfg, err)
		}
	}
	if len(text) > 0 {
		if block, _ := pem.Decode(text); block == nil {
			return unusable(cfg, fmt.Errorf("%s has no certificate", trusted))
		}
		roots = x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: server.Hostname(), Roots: roots, Intermediates: between})
	if err == nil {
		return nil
	}
	f := fault.New(fault.Unavailable, "")
	f.Message, f.Advice = diagnose(cfg.ApplianceURL, err)
	f.Message += " (" + trusted + " does not vouch for it)"
	return f
}

// clock compares this machine's with the server's. The server tells whole seconds.
func (e *examination) clock(skew time.Duration) {
	text := fmt.Sprintf("the server's clock is %v ahead of this machine's", skew.Round(time.Second))
	if skew < 0 {
		text = fmt.Sprintf("the server's clock is %v behind this machine's", -skew.Round(time.Second))
	}
	switch {
	case skew.Abs() > harmfulSkew:
		e.add("clock", Bad, text, "set both by NTP: tokens and certificates depend on the time")
	case skew.Abs() > noticedSkew:
		e.add("clock", Warning, text, "set both by NTP")
	default:
		e.add("clock", Good, "it agrees with the server's", "")
	}
}

func (e *examination) login(ctx context.Context, o Options) {
	o.Fresh = true
	s, err := Open(ctx, o)
	if err != nil {
		e.found = append(e.found, failed("login", err))
		return
	}
	if _, err := s.API.WhoAmI(); err != nil {
		e.found = append(e.found, failed("login", s.Explain(err, Task{Do: "ask who it is at", On: s.URL})))
		return
	}
	e.add("login", Good, "'"+s.Who+"' is let in, by "+strings.TrimPrefix(s.Source, "environment "), "")
}

// skewOf is how far the clock of an answer is ahead, which was under way for some time.
func skewOf(answer *http.Response, began time.Time, took time.Duration) time.Duration {
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0
	}
	skew := date.Add(time.Second / 2).Sub(began.Add(took / 2)) // whole seconds are cut off
	if skew.Abs() < time.Second {
		return 0
	}
	return skew
}
