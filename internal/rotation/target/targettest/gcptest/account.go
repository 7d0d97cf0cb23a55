package gcptest

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/secret"
)

const prefix = "rotation/gcp/service-account-key/"

// Credential is a key file.
func Credential(text []byte) target.Credential {
	return target.Credential{target.Main: secret.New(text)}
}

// ID is the key's in a key file.
func ID(c target.Credential) string {
	var f struct {
		ID string `json:"private_key_id"`
	}
	if err := json.Unmarshal(c[target.Main].Reveal(), &f); err != nil {
		return "none"
	}
	return f.ID
}

// Account makes a service account with one key.
func (c *Cloud) Account(_ *testing.T, ask targettest.IssuingAsk) targettest.IssuingAccount {
	c.Lock()
	defer c.Unlock()
	a := c.Create()
	a.Delay = ask.Delay
	first := a.Keys[0]
	annotations := map[string]string{prefix + "ca": "ca", prefix + "token-endpoint": c.URL, prefix + "iam-endpoint": c.URL}
	values := map[string]string{"ca": c.site.Authority.PEM}
	by := a
	if ask.Mode == targettest.Admin {
		by = c.Create()
		annotations[prefix+"admin-key"] = "/admin/key"
		values["/admin/key"] = string(File(by, by.Keys[0].ID, by.Keys[0].Pair))
	}
	a.Managers[by.Email] = !ask.Weak
	return targettest.IssuingAccount{
		Account: targettest.Account{Annotations: annotations, Values: values},
		Current: Credential(File(a, first.ID, first.Pair)),
		Wrong:   Credential(File(a, first.ID, c.Wrong())),
		ID:      ID,
		Holds: func(held target.Credential) bool {
			c.Lock()
			defer c.Unlock()
			return slices.ContainsFunc(a.Keys, func(k *Key) bool {
				return k.ID == ID(held) && bytes.Equal(File(a, k.ID, k.Pair), held[target.Main].Reveal())
			})
		},
		Keys: func() (all []string) {
			c.Lock()
			defer c.Unlock()
			for _, k := range a.Keys {
				all = append(all, k.ID)
			}
			return all
		},
		Foreign: func() string {
			c.Lock()
			defer c.Unlock()
			return c.Make(a, 0).ID
		},
		Remove: func(id string) {
			c.Lock()
			defer c.Unlock()
			a.Keys = slices.DeleteFunc(a.Keys, func(k *Key) bool { return k.ID == id })
		},
	}
}
