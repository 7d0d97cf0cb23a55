package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/cyberark/conjur-api-go/conjurapi/response"

	"rekey/internal/fault"
)

// Task says what a request was for, so that its refusal can be explained.
type Task struct {
	Do        string // "read", "load a policy into": what was to be done with On
	On        string // the full id, or other words for the thing
	Privilege string // that it takes on On; "" if none
}

// problem is what an answer says about a refusal, in any of the forms that servers use.
type problem struct {
	Error struct {
		Code, Message, Advice string
		Inner                 struct{ Line, Column int } `json:"innererror"`
	}
	Message string
}

// Explain puts an error of the library into the vocabulary. Errors of the vocabulary
// stay as they are.
func (s *Session) Explain(err error, t Task) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if e := s.unreachable(err); e != nil {
		return e
	}
	status := s.refusedStatus(err)
	if status == 0 {
		e := fault.New(fault.Invalid, "%v", err)
		e.Cause = err
		return e
	}
	p, said := s.said()
	said = strings.TrimSuffix(said, ".")
	e := &fault.Error{Message: said, Advice: p.Error.Advice, Line: p.Error.Inner.Line, Column: p.Error.Inner.Column, Cause: err}
	switch status {
	case http.StatusUnauthorized:
		e.Kind = fault.Unauthenticated
		if said == "" {
			e.Message = s.URL + " does not accept the access token of '" + s.Who + "'"
			e.Advice = "log in again with `rekey login`; if that does not help, compare this machine's clock with the server's"
		}
	case http.StatusForbidden:
		e.Kind = fault.Forbidden
		if said == "" {
			e.Message = "'" + s.Who + "' may not " + t.Do + " " + t.On
			if t.Privilege != "" {
				e.Advice = "it takes the privilege '" + t.Privilege + "' on " + t.On + ", which a !permit in a policy gives"
			}
		}
	case http.StatusNotFound:
		e.Kind = fault.NotFound
		if said == "" {
			e.Message = "there is no " + t.On + ", or '" + s.Who + "' may not see it"
		}
		if e.Advice == "" {
			e.Advice = s.suggestion(meant(t.On, said), t)
		}
	case http.StatusConflict:
		e.Kind = fault.Conflict
		if p.Error.Code == "policy_conflict" {
			e.Kind, e.Advice = fault.Busy, "try again"
		}
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		e.Kind = fault.Invalid
		if p.Error.Code == "policy_invalid" {
			e.Kind = fault.PolicyInvalid
		}
	case http.StatusMethodNotAllowed:
		e.Kind = fault.NotAllowed
	case http.StatusRequestEntityTooLarge:
		e.Kind = fault.TooLarge
	default:
		e.Kind = fault.Unavailable
		if e.Advice == "" {
			e.Advice = "try again, or look into the server's log"
		}
	}
	if e.Message == "" {
		e.Message = "the server answered " + http.StatusText(status)
	}
	return e
}

// refusedStatus is the status of the refusal that the library has made an error of.
func (s *Session) refusedStatus(err error) int {
	var refused *response.ConjurError
	switch {
	case errors.As(err, &refused):
		return refused.Code
	case s.wire.refused != nil:
		return s.wire.refused.status // some calls make a text of their own
	}
	return 0
}

// said reads the last refusal.
func (s *Session) said() (p problem, text string) {
	if s.wire.refused == nil || json.Unmarshal(s.wire.refused.body, &p) != nil {
		return problem{}, ""
	}
	text = p.Error.Message
	if text == "" {
		text = p.Message
	}
	return p, text
}

// unreachable explains what went wrong before there was an answer. It is nil for
// anything else.
func (s *Session) unreachable(err error) error {
	var sent *url.Error
	if !errors.As(err, &sent) {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return fault.New(fault.Unavailable, "interrupted")
	}
	e := &fault.Error{Kind: fault.Unavailable, Cause: err}
	e.Message, e.Advice = diagnose(s.URL, sent.Err)
	return e
}

// diagnose tells why a server cannot be reached, and what to do.
func diagnose(server string, err error) (message, advice string) {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		alert   tls.AlertError
		dns     *net.DNSError
		timeout net.Error
	)
	const anew = "`rekey init -u " // followed by the URL
	switch {
	case errors.As(err, &unknown):
		shown := ""
		if unknown.Cert != nil {
			shown = ": it shows SHA-256 " + (&Certificate{Certificate: unknown.Cert}).Fingerprint()
		}
		return "TLS: the certificate of " + server + " is not trusted" + shown,
			"if the server has a new one, compare its fingerprint with the operator's and run " + anew + server + "`"
	case errors.As(err, &host):
		return "TLS: the certificate of " + server + " is for other names: " + host.Error(), "use one of those names in the URL: " + anew + "URL`"
	case errors.As(err, &invalid):
		return "TLS: the certificate of " + server + " cannot be used: " + invalid.Error(), "look at the dates of the certificate and at this machine's clock"
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "TLS: " + server + " does not speak TLS", "if it is a plain server, run " + anew + strings.Replace(server, "https://", "http://", 1) + "`"
	case errors.As(err, &alert), strings.HasPrefix(err.Error(), "tls: "):
		return "TLS: " + server + ": " + err.Error(), "check that the URL is that of the server: `rekey init -u URL`"
	case errors.As(err, &dns):
		return "unreachable: the host name of " + server + " is not known: " + dns.Err, "check the URL, or name another one with " + anew + "URL` or CONJUR_APPLIANCE_URL"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "unreachable: " + server + " did not answer in time", "try again, or give it longer with --timeout"
	}
	return "unreachable: " + server + ": " + err.Error(), "check that the server runs and that the URL is right (CONJUR_APPLIANCE_URL or `rekey init -u URL`)"
}
