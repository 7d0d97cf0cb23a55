// Package webhook rotates values by requests to an HTTPS server of somebody's: kind
// webhook.
//
// Beside the value it reads variable url (https://...) and signing-key, by which the
// server knows who asks. TLS is verified; annotation ca names a variable with the
// authority to trust instead of those of the system. Redirects are not followed, and no
// proxy is used.
//
// A request is a POST with a delegate.Question as JSON. Header Rekey-Timestamp has the
// time in seconds since 1970, and Rekey-Signature v1= and, in hexadecimal, the
// HMAC-SHA256 (RFC 2104) of the timestamp, a dot and the body. The server must refuse a
// signature that is wrong or older than five minutes, and an id that it has seen since.
//
// The status of the answer decides; see fail. The body may be a delegate.Answer, whose
// result counts where the status is good.
//
// It imports target, delegate, transport and secret.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/delegate"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// The variables beside the value, and the annotation.
const (
	address    = "url"
	signingKey = "signing-key"
	ca         = "ca"
)

// minKey is the length of the shortest key, in bytes, that cannot be guessed.
const minKey = 16

// Kind is webhook. Its requests bear the time that now tells.
func Kind(now func() time.Time) target.Kind {
	return delegate.Kind{
		Kind:     "webhook",
		Settings: map[string]func(string) error{ca: nil},
		Reads: func(settings map[string]string) []string {
			reads := []string{address, signingKey}
			if settings[ca] != "" {
				reads = append(reads, settings[ca])
			}
			return reads
		},
		Open: func(p delegate.Place) (delegate.Program, error) { return open(p, now) },
	}
}

type hook struct {
	url      *url.URL
	key      secret.Bytes
	security transport.Security
	client   *http.Client
	now      func() time.Time
}

func open(p delegate.Place, now func() time.Time) (delegate.Program, error) {
	u, err := url.Parse(strings.TrimSpace(p.Values[address].RevealString()))
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, target.Errorf(target.Refused, err, "variable url: it must be https://host/path, without a user or a password")
	}
	h := &hook{url: u, key: p.Values[signingKey], now: now}
	if h.key.Len() < minKey {
		return nil, target.Errorf(target.Refused, nil, "variable signing-key: it must have %d bytes or more, such as `openssl rand -hex 32` makes", minKey)
	}
	if h.security, err = transport.NewSecurity(transport.VerifyFull, p.Values[p.Settings[ca]]); err != nil {
		return nil, target.Errorf(target.Refused, err, "ca: %s", err)
	}
	h.client = &http.Client{
		Transport: &http.Transport{
			DialContext:       p.Dial,
			TLSClientConfig:   h.security.TLS(u.Hostname()),
			DisableKeepAlives: true, // nothing is repeated on a connection that has died

			MaxResponseHeaderBytes: delegate.MaxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return h, nil
}

// Name is part of delegate.Program. The rest of the URL may hold a secret.
func (h *hook) Name() string { return "https://" + h.url.Host }

// Address is part of delegate.Program.
func (h *hook) Address() string {
	sum := sha256.Sum256([]byte(h.url.RequestURI()))
	return "webhook " + h.Name() + " path sha256:" + hex.EncodeToString(sum[:8]) + " " + h.security.String()
}

// sign is the value of header Rekey-Signature.
func sign(key secret.Bytes, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key.Reveal())
	mac.Write([]byte(timestamp + "."))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Ask is part of delegate.Program.
func (h *hook) Ask(ctx context.Context, q delegate.Question) (delegate.Answer, error) {
	body, err := q.JSON()
	if err != nil {
		return delegate.Answer{}, err
	}
	sent := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, h.url.String(), bytes.NewReader(body))
	if err != nil {
		return delegate.Answer{}, target.Errorf(target.Refused, err, "variable url: it cannot be used")
	}
	timestamp := strconv.FormatInt(h.now().Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "rekey")
	r.Header.Set("Rekey-Timestamp", timestamp)
	r.Header.Set("Rekey-Signature", sign(h.key, timestamp, body))
	response, err := h.client.Do(r)
	if err != nil {
		return delegate.Answer{}, h.broken(ctx, q, sent, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, delegate.MaxAnswer))
	if err != nil {
		return delegate.Answer{}, h.broken(ctx, q, sent, err)
	}
	answer, malformed := delegate.ParseAnswer(text)
	if malformed != nil {
		answer = delegate.Answer{}
	}
	if err := h.fail(q, response.StatusCode, answer); err != nil {
		return delegate.Answer{}, err
	}
	if answer.Result == "" {
		answer.Result = "ok"
	}
	return answer, nil
}

// broken is what a failure of the network means.
func (h *hook) broken(ctx context.Context, q delegate.Question, sent bool, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL
	}
	if !sent || q.Operation == delegate.Probe {
		return transport.Failure(h.url.Host, err)
	}
	return transport.Lost(h.url.Host, err)
}

// fail is what the status of an answer means:
//
//	2xx            done
//	401, 403       the value does not work (for retire: it is refused)
//	409            refused; 422 because of this very value
//	429, 503       not now, nothing has happened
//	other 5xx, 408 nobody knows what has happened
//	others         refused: it is not the right place, or not understood
func (h *hook) fail(q delegate.Question, status int, answer delegate.Answer) error {
	class := target.Refused
	switch {
	case status >= 200 && status < 300:
		return nil
	case (status == http.StatusUnauthorized || status == http.StatusForbidden) && q.Operation != delegate.Retire:
		class = target.AuthFailed
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		class = target.Unreachable
	case status >= 500 || status == http.StatusRequestTimeout:
		return q.Broken(h.Name(), "it answers with status "+strconv.Itoa(status))
	}
	answer.BadValue = answer.BadValue || status == http.StatusUnprocessableEntity
	return answer.Fail(class, h.Name()+" answers with status "+strconv.Itoa(status), q)
}
