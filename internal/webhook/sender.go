package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"rekey/internal/core"
	"rekey/internal/row"
)

const (
	requestTime   = 10 * time.Second
	claimTime     = requestTime + 5*time.Second // after which an attempt of which nobody hears is made again
	firstPause    = 5 * time.Second
	longestPause  = time.Hour
	patience      = 72 * time.Hour // then it is dropped
	lookAgain     = time.Minute    // whatever the clock and other processes do
	failurePause  = 5 * time.Second
	longestAnswer = 4 << 10 // that is read, so that the connection can be used again
)

// Sender sends what waits. Its fields are what it depends on.
type Sender struct {
	Core  *core.Core
	Hooks []Hook
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Now   func() time.Time
	Rand  func() float64 // in [0, 1)
	Log   *slog.Logger
}

// Run sends until ctx is done. Each hook has a worker of its own.
func (s *Sender) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for _, hook := range s.Hooks {
		w := s.worker(hook)
		workers.Go(func() { w.run(ctx) })
	}
	workers.Wait()
}

// worker sends to one hook, one request at a time.
type worker struct {
	*Sender
	hook   Hook
	client *http.Client
}

func (s *Sender) worker(hook Hook) *worker {
	return &worker{s, hook, &http.Client{
		Timeout:       requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: s.Dial, TLSHandshakeTimeout: requestTime, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
			TLSClientConfig: &tls.Config{RootCAs: hook.Trust, MinVersion: tls.VersionTLS12},
		},
	}}
}

func (w *worker) run(ctx context.Context) {
	defer w.client.CloseIdleConnections()
	for ctx.Err() == nil {
		next, err := w.pass(ctx)
		wait := lookAgain
		switch {
		case err != nil && ctx.Err() == nil:
			w.Log.Error("webhooks cannot be worked on", "webhook", w.hook.Name, "error", err)
			wait = failurePause
		case !next.IsZero():
			wait = max(0, min(wait, next.Sub(w.Now())))
		}
		timer := time.NewTimer(wait)
		select {
		case <-w.Core.DeliveriesChanged(w.hook.Name):
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// pass sends all that is due, and tells when there will be more; zero: that is not known.
func (w *worker) pass(ctx context.Context) (next time.Time, err error) {
	dropped, err := w.Core.TrimDeliveries(ctx, w.hook.Name)
	if err != nil {
		return next, err
	}
	if dropped > 0 {
		w.Log.Warn("news for a webhook was dropped, because too many wait for it", "webhook", w.hook.Name, "dropped", dropped)
	}
	for {
		list, err := w.Core.WaitingDeliveries(ctx, w.hook.Name)
		if err != nil || len(list) == 0 {
			return next, err
		}
		for _, d := range list {
			if d.NextAt.After(w.Now()) {
				return d.NextAt, nil
			}
			if err := w.deliver(ctx, d); err != nil && !errors.Is(err, core.ErrDeliveryTaken) {
				return next, err
			}
			if ctx.Err() != nil {
				return next, ctx.Err()
			}
		}
	}
}

// deliver makes one attempt. It is counted before it is made, so that a crash makes the
// next one come later, and never makes the receiver miss it.
func (w *worker) deliver(ctx context.Context, d row.Delivery) error {
	claimed, err := w.Core.ClaimDelivery(ctx, d, w.Now().Add(claimTime))
	if err != nil {
		return err
	}
	ended := claimed
	ended.Status, err = w.send(ctx, claimed)
	ended.NextAt, ended.Problem = time.Time{}, ""
	switch pause := w.pause(claimed.Attempts); {
	case err == nil:
		ended.State = row.Delivered
	case ctx.Err() != nil: // the server stops, which is not the receiver's fault
		ended.NextAt, ended.Problem = w.Now(), "the server stopped meanwhile"
	case w.Now().Add(pause).Sub(d.CreatedAt) > patience:
		ended.State, ended.Problem = row.Dropped, problem(err)
		w.Log.Warn("news for a webhook was dropped", "webhook", w.hook.Name, "delivery", d.ID, "attempts", claimed.Attempts, "problem", ended.Problem)
	default:
		ended.NextAt, ended.Problem = w.Now().Add(pause), problem(err)
	}
	return w.Core.EndAttempt(context.WithoutCancel(ctx), claimed, ended)
}

// pause is how long to wait after so many attempts: twice as long each time, up to a
// bound, and of that between half and all.
func (w *worker) pause(attempts int) time.Duration {
	longest := longestPause
	if shift := attempts - 1; shift < 10 {
		longest = min(longest, firstPause<<shift)
	}
	return longest/2 + time.Duration(w.Rand()*float64(longest/2))
}

// send makes a request. Any status but those of success is an error.
func (w *worker) send(ctx context.Context, d row.Delivery) (status int, err error) {
	secrets, failed := readSecrets(w.hook.SecretFile)
	if failed != nil {
		return 0, failed
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.hook.URL, strings.NewReader(d.Body))
	if err != nil {
		return 0, err
	}
	at := w.Now().Unix()
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "rekey",
		"webhook-id": d.ID, "webhook-timestamp": strconv.FormatInt(at, 10), "webhook-signature": sign(secrets, d.ID, at, d.Body),
	} {
		request.Header.Set(name, value)
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, longestAnswer) // what it says does not matter
	if err := answer.Body.Close(); err != nil {
		return answer.StatusCode, err
	}
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return code, nil
	case code >= 300 && code < 400:
		return code, fmt.Errorf("it answered %d, and redirects are not followed", code)
	default:
		return code, fmt.Errorf("it answered %d", code)
	}
}

// longestProblem bounds what is kept of an error, in bytes.
const longestProblem = 300

// problem is an error for the log of deliveries, without the URL, which may have a
// token in it.
func problem(err error) string {
	var sent *url.Error
	if errors.As(err, &sent) {
		err = sent.Err
	}
	text := err.Error()
	return strings.ToValidUTF8(text[:min(len(text), longestProblem)], "")
}
