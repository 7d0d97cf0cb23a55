package agent

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/period"
	"rekey/internal/secret"
)

// identityDuty keeps the key in its file good and fresh.
func (a *Agent) identityDuty(identity *client.Identity, plan Plan) *duty {
	every := plan.RotateEvery + time.Duration(rand.Float64()*float64(plan.RotateEvery)/10)
	upkeep := client.Upkeep{Every: every, OldKey: plan.OldKey, Now: plan.RotateNow}
	look := lookAgain(plan)
	if identity.Exposed() {
		a.log.Warn("everybody on this machine has access to the file with the API key, and its mode is kept: chmod o-rwx it", "identity", identity.Name())
	}
	return newDuty("identity", func(context.Context) (time.Duration, error) {
		done, err := identity.Keep(upkeep)
		a.counts.kept(done)
		if done.Rotated {
			upkeep.Now = false
			a.log.Info("replaced the API key", "login", done.Login, "identity", identity.Name())
		}
		if done.Found {
			a.log.Info("took over a key that was replaced before", "login", done.Login, "identity", identity.Name())
		}
		if err != nil || done.Age < 0 {
			return every, err
		}
		return min(every-done.Age, look), nil
	})
}

// lookAgain is how often the key is looked after, so that whoever has a copy of the file
// learns of a new key while the old one goes on.
func lookAgain(plan Plan) time.Duration {
	look := 5 * time.Minute
	if grace, err := period.Parse(plan.OldKey); err == nil && grace > 0 {
		look = min(look, grace/3)
	}
	return look
}

// login is who the agent is, and its access token.
type login struct {
	identity *client.Identity // nil if its credentials are of another kind
	buy      func() (secret.Bytes, error)

	mutex   sync.Mutex
	current secret.Bytes
	renewAt time.Time
}

func (a *Agent) openLogin(ctx context.Context, o client.Options, plan Plan) (*login, error) {
	// For the agent itself this is where a token goes, not where one comes from.
	if err := os.Unsetenv("CONJUR_AUTHN_TOKEN_FILE"); err != nil {
		return nil, fault.Wrap(err, "preparing the environment")
	}
	cfg, err := client.Load(o)
	if err != nil {
		return nil, err
	}
	if _, kept := client.KeepsKey(&cfg, o); !kept && !plan.keepsKey() {
		o.Fresh = true
		return &login{buy: func() (secret.Bytes, error) {
			s, err := client.Open(ctx, o)
			if err != nil {
				return secret.Bytes{}, err
			}
			return s.Token()
		}}, nil
	}
	identity, err := client.OpenIdentity(ctx, o)
	if err != nil {
		return nil, err
	}
	return &login{identity: identity, buy: identity.Token}, nil
}

// token is an access token that has at least half of its life before it.
func (l *login) token() (secret.Bytes, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.current.Len() > 0 && time.Now().Before(l.renewAt) {
		return l.current, nil
	}
	began := time.Now()
	token, err := l.buy()
	if err != nil {
		return secret.Bytes{}, err
	}
	l.current, l.renewAt = token, began.Add(life(token)/2)
	return token, nil
}

// refuse forgets the token, which the server does not take any more.
func (l *login) refuse() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.current = secret.Bytes{}
}

// usualLife is that of a token that does not say.
const usualLife = 8 * time.Minute

// life is how long an access token is good, from when it was issued.
func life(token secret.Bytes) time.Duration {
	var parts struct{ Payload string }
	var claims struct{ Iat, Exp int64 }
	if json.Unmarshal(token.Reveal(), &parts) != nil {
		return usualLife
	}
	payload, err := base64.StdEncoding.DecodeString(parts.Payload)
	if err != nil {
		payload, err = base64.RawURLEncoding.DecodeString(parts.Payload)
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil || claims.Exp <= claims.Iat {
		return usualLife
	}
	return time.Duration(claims.Exp-claims.Iat) * time.Second
}

// tokenDuty keeps an access token in a file.
func (a *Agent) tokenDuty(who *login, path string) *duty {
	return newDuty("token", func(context.Context) (time.Duration, error) {
		who.refuse() // a fresh one each time: each has its whole life before it
		token, err := who.token()
		if err != nil {
			return 0, err
		}
		if err := client.WriteFile(path, token.Reveal()); err != nil {
			return 0, err
		}
		a.counts.tokens.Add(1)
		return life(token) / 2, nil
	})
}
