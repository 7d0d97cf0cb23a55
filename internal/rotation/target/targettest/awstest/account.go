package awstest

import (
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/aws"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/secret"
)

const prefix = "rotation/aws/secret-key/"

func credential(k *Key) target.Credential {
	return target.Credential{target.Main: secret.FromString(k.Secret), aws.KeyID: secret.FromString(k.ID)}
}

func id(c target.Credential) string { return c[aws.KeyID].RevealString() }

// Account makes a user with one key.
func (c *Cloud) Account(_ *testing.T, ask targettest.IssuingAsk) targettest.IssuingAccount {
	c.Lock()
	defer c.Unlock()
	u := &User{Name: "app", Weak: ask.Weak, Delay: ask.Delay}
	first := c.Make(u, 0)
	return targettest.IssuingAccount{
		Account: targettest.Account{
			Annotations: map[string]string{prefix + "ca": "ca", prefix + "iam-endpoint": c.URL, prefix + "sts-endpoint": c.URL},
			Values:      map[string]string{"ca": c.site.Authority.PEM, "region": "eu-central-1\n"},
		},
		Current: credential(first),
		Wrong:   target.Credential{target.Main: secret.FromString("wrong/" + first.Secret[6:]), aws.KeyID: secret.FromString(first.ID)},
		ID:      id,
		Holds: func(held target.Credential) bool {
			c.Lock()
			defer c.Unlock()
			k := c.Keys[id(held)]
			return k != nil && k.Secret == held[target.Main].RevealString()
		},
		Keys: func() (all []string) {
			c.Lock()
			defer c.Unlock()
			for _, k := range c.Of(u) {
				all = append(all, k.ID)
			}
			return all
		},
		Foreign: func() string {
			c.Lock()
			defer c.Unlock()
			return c.Make(u, 0).ID
		},
		Remove: func(id string) {
			c.Lock()
			defer c.Unlock()
			delete(c.Keys, id)
		},
	}
}
