package client

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/authn"

	"rekey/internal/secret"
)

// remembered buys access tokens for a key, and keeps the newest for the commands that
// come next, until 85 % of its life are over: a command is then one request, not two.
// Only tokens of keys that `login` has stored are kept, for the user only, and in memory
// where the system has a place for that.
type remembered struct {
	*authn.APIKeyAuthenticator
	path     string
	unproved bool   // the token in use comes from the file
	bought   []byte // instead of one that was refused; nil if none was
}

// remember makes a session use and keep remembered tokens, if its key is a stored one.
func (s *Session) remember(cfg *conjurapi.Config, pair *authn.APIKeyAuthenticator) {
	keep, err := OpenKeep(cfg)
	folder := tokenFolder()
	if err != nil || keep == nil || keep.Name() != s.Source || ReadOnly(cfg) || folder == "" {
		return
	}
	owner := sha256.Sum256([]byte(pair.Login + "\x00" + pair.APIKey))
	r := &remembered{APIKeyAuthenticator: pair, path: filepath.Join(folder, tokenPrefix(cfg)+hex.EncodeToString(owner[:]))}
	s.API.SetAuthenticator(r)
	s.wire.renew = r.renew
}

// tokenFolder is "" where there is no place for tokens.
func tokenFolder() string {
	folder := os.Getenv("XDG_RUNTIME_DIR")
	if folder == "" {
		var err error
		if folder, err = os.UserCacheDir(); err != nil {
			return ""
		}
	}
	return filepath.Join(folder, "rekey", "tokens")
}

// tokenPrefix begins the names of the files for one server and account.
func tokenPrefix(cfg *conjurapi.Config) string {
	server := sha256.Sum256([]byte(machine(cfg) + "\x00" + cfg.Account))
	return hex.EncodeToString(server[:8]) + "-"
}

// ForgetTokens removes all that are remembered of a server and account.
func ForgetTokens(cfg *conjurapi.Config) {
	files, err := filepath.Glob(filepath.Join(tokenFolder(), tokenPrefix(cfg)+"*"))
	if err != nil {
		return // the pattern is well-formed
	}
	for _, file := range files {
		_ = os.Remove(file) // a token that is left has an end of its own
	}
}

// NeedsTokenRefresh tells the session of a token that it does not know yet.
func (r *remembered) NeedsTokenRefresh() bool { return r.bought != nil }

// RefreshToken takes the remembered token if it is good for a while.
func (r *remembered) RefreshToken() ([]byte, error) {
	if text := r.bought; text != nil {
		r.bought = nil
		return text, nil
	}
	if text, err := os.ReadFile(r.path); err == nil {
		if token, err := authn.NewToken(text); err == nil && !token.ShouldRefresh() {
			r.unproved = true
			return text, nil
		}
	}
	return r.buy()
}

func (r *remembered) buy() ([]byte, error) {
	text, err := r.APIKeyAuthenticator.RefreshToken()
	if err == nil {
		r.unproved = false
		r.write(text)
	}
	return text, err
}

// write replaces the file. A token that cannot be remembered is bought again.
func (r *remembered) write(text []byte) {
	folder := filepath.Dir(r.path)
	if os.MkdirAll(folder, 0o700) != nil {
		return
	}
	file, err := os.CreateTemp(folder, ".token-*")
	if err != nil {
		return
	}
	_, err = file.Write(text)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), r.path)
	}
	if err != nil {
		_ = os.Remove(file.Name()) // see above
	}
}

// renew gives a refused request a new token, if the one that it has was remembered. It
// is nil if the refusal stands.
func (r *remembered) renew(request *http.Request) *http.Request {
	if !r.unproved || !strings.HasPrefix(request.Header.Get("Authorization"), "Token ") || request.Body != nil && request.GetBody == nil {
		return nil
	}
	_ = os.Remove(r.path) // the next command would find it out as well
	text, err := r.buy()
	if err != nil {
		return nil
	}
	r.bought = text
	again := request.Clone(request.Context())
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return nil
		}
	}
	again.Header.Set("Authorization", "Token token=\""+base64.StdEncoding.EncodeToString(text)+"\"")
	return again
}

// freshToken never takes a remembered one: whoever gets it may use it for all its life.
func (s *Session) freshToken() (secret.Bytes, error) {
	if r, ok := s.API.GetAuthenticator().(*remembered); ok {
		text, err := r.buy()
		return secret.New(text), err
	}
	text, err := s.API.InternalAuthenticate()
	return secret.New(text), err
}
