package client

import (
	"bufio"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cyberark/conjur-api-go/conjurapi"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// OpenWith finds the configured server, and gets its access tokens from a function that
// is asked before each request.
func OpenWith(ctx context.Context, o Options, token func() (secret.Bytes, error)) (*Session, error) {
	cfg, err := Load(o)
	if err != nil {
		return nil, err
	}
	cfg.CredentialStorage = conjurapi.CredentialStorageNone
	api, err := conjurapi.NewClient(cfg)
	if err != nil {
		return nil, unusable(&cfg, err)
	}
	api.SetAuthenticator(tokens(token))
	return newSession(ctx, api, o), nil
}

// tokens is an authenticator of the library's.
type tokens func() (secret.Bytes, error)

func (t tokens) NeedsTokenRefresh() bool { return true }

func (t tokens) RefreshToken() ([]byte, error) {
	token, err := t()
	return token.Reveal(), err
}

// silence is how long a stream of events is at most without a sign of life; the server
// gives one every 15 seconds.
const silence = 45 * time.Second

// Events listens to what happens to variables, until the stream ends: they are told of
// as server-sent events. began is called when the stream has begun: what has happened
// before then is told by the values. happened is called for each event. It is NotFound if
// the server has no such stream, and nil if the server has ended it in order.
func (s *Session) Events(ctx context.Context, ids []ident.ID, began, happened func()) error {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		s.URL+"/events/"+url.PathEscape(s.Account)+"?"+url.Values{"variable_ids": {strings.Join(names, ",")}}.Encode(), nil)
	if err != nil {
		return fault.Wrap(err, "asking for events")
	}
	request.Header.Set("Accept", "text/event-stream")
	token, err := s.API.GetAuthenticator().RefreshToken()
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", `Token token="`+base64.StdEncoding.EncodeToString(token)+`"`)
	patience := time.AfterFunc(silence, stop)
	defer patience.Stop()
	endless := http.Client{Transport: s.API.GetHttpClient().Transport}
	answer, err := endless.Do(request)
	if err != nil {
		return s.Explain(err, Task{Do: "listen to", On: "the events of " + s.Account})
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusNotFound, answer.StatusCode == http.StatusMethodNotAllowed:
		return fault.New(fault.NotFound, "%s has no stream of events", s.URL)
	case answer.StatusCode == http.StatusUnauthorized:
		return fault.New(fault.Unauthenticated, "%s does not accept the access token for its events", s.URL)
	case answer.StatusCode != http.StatusOK:
		return fault.New(fault.Unavailable, "%s answers %s when asked for its events", s.URL, answer.Status)
	case !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream"):
		return fault.New(fault.NotFound, "%s has no stream of events", s.URL)
	}
	began()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		patience.Reset(silence)
		if strings.HasPrefix(lines.Text(), "event:") {
			happened()
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return fault.New(fault.Unavailable, "the stream of events from %s broke: %v", s.URL, err)
	}
	return nil
}
