package cloud

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/transport"
	"rekey/internal/secret"
)

// Client makes HTTPS requests, each on a connection of its own: only through the dialer
// that it was given, to servers that prove who they are, by no proxy, following no
// redirect, repeating nothing by itself. http.Transport is not used because it does not
// tell whether a request has left.
type Client struct {
	dial     target.Dial
	security transport.Security
}

// maxAnswer is more than any answer that is needed here.
const maxAnswer = 1 << 20

// Do makes a request, and reads all of the answer. It fails with an Uncertain error when
// the request may have arrived, even if it would change nothing; else as transport.Failure.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	ctx, address := r.Context(), Address(r.URL)
	conn, err := c.dial(ctx, "tcp", address)
	if err != nil {
		return nil, transport.Failure(address, err)
	}
	defer conn.Close()
	// Whoever waits for the server waits no longer than the context lasts.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a closed one needs none
	defer stop()
	why := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	secure := tls.Client(conn, c.security.TLS(r.URL.Hostname()))
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, transport.Failure(address, why(err))
	}
	if ctx.Err() != nil {
		return nil, transport.Failure(address, ctx.Err())
	}
	r = r.Clone(ctx)
	r.Close = true
	if err := r.Write(secure); err != nil {
		return nil, transport.Lost(address, why(err))
	}
	// Header and body together are bounded, however the body's length is told.
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(secure, maxAnswer)), r)
	if err != nil {
		return nil, transport.Lost(address, why(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, transport.Lost(address, why(err))
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// Request is one to an API that speaks JSON.
type Request struct {
	Method string
	URL    *url.URL
	Form   url.Values   // a form as body
	JSON   any          // or JSON as body
	Bearer secret.Bytes // token; empty: none
}

// Answer is what came of a request that was answered.
type Answer struct {
	Status  int
	Date    time.Time // by the server's clock, or else ours
	Refusal []byte    // what it says instead of the result
}

// OK tells whether the status is one of success.
func (a Answer) OK() bool { return a.Status/100 == 2 }

// JSON makes a request and reads the answer into result, which may be nil, if it is OK.
func (c *Client) JSON(ctx context.Context, request Request, result any) (Answer, error) {
	var body []byte
	var err error
	kind := ""
	switch {
	case request.Form != nil:
		body, kind = []byte(request.Form.Encode()), "application/x-www-form-urlencoded"
	case request.JSON != nil:
		kind = "application/json"
		if body, err = json.Marshal(request.JSON); err != nil {
			return Answer{}, target.Errorf(target.Refused, err, "the request cannot be written")
		}
	}
	r, err := http.NewRequestWithContext(ctx, request.Method, request.URL.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, target.Errorf(target.Refused, err, "the request to %s cannot be made", Address(request.URL))
	}
	r.Header.Set("User-Agent", Agent)
	r.Header.Set("Accept", "application/json")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if request.Bearer.Len() > 0 {
		r.Header.Set("Authorization", "Bearer "+request.Bearer.RevealString())
	}
	answer, err := c.Do(r)
	if err != nil {
		return Answer{}, err
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return Answer{}, transport.Lost(Address(request.URL), err)
	}
	a := Answer{Status: answer.StatusCode}
	if a.Date, err = http.ParseTime(answer.Header.Get("Date")); err != nil {
		a.Date = time.Now()
	}
	if !a.OK() {
		a.Refusal = text
		return a, nil
	}
	if result != nil && json.Unmarshal(text, result) != nil {
		return Answer{}, target.Errorf(target.Uncertain, nil, "%s answers with something else than was asked for", Address(request.URL))
	}
	return a, nil
}

// Agent names the program to servers, and so in the logs of the cloud.
const Agent = "rekey"

// Unchanged is an error of a request that changes nothing: whether it arrived does not
// matter.
func Unchanged(err error) error {
	if err == nil || target.ClassOf(err) != target.Uncertain {
		return err
	}
	return target.Errorf(target.Unreachable, err, "%s", strings.TrimPrefix(err.Error(), target.Uncertain.String()+": "))
}

// Failure classifies a status for which the API has no words of its own. A server that
// fails may have done all the same what it was asked.
func Failure(address string, status int) error {
	switch {
	case status == http.StatusTooManyRequests:
		return target.Errorf(target.Unreachable, nil, "%s is asked too often", address)
	case status/100 == 5:
		return target.Errorf(target.Uncertain, nil, "%s fails (status %d)", address, status)
	case status/100 == 3:
		return target.Errorf(target.Refused, nil, "%s sends elsewhere (status %d), and redirects are not followed: see whether it is the right endpoint", address, status)
	}
	return target.Errorf(target.Refused, nil, "%s refuses (status %d)", address, status)
}
