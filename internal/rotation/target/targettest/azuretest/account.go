package azuretest

import (
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/azure"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/secret"
)

const prefix = "rotation/azure/client-secret/"

func id(c target.Credential) string { return c[azure.KeyID].RevealString() }

// Account makes an application with one secret.
func (c *Cloud) Account(_ *testing.T, ask targettest.IssuingAsk) targettest.IssuingAccount {
	c.Lock()
	defer c.Unlock()
	a := c.Register()
	a.Delay = ask.Delay
	annotations := map[string]string{prefix + "ca": "ca", prefix + "login-endpoint": c.URL, prefix + "graph-endpoint": c.URL}
	values := map[string]string{"ca": c.site.Authority.PEM, "tenant_id": Tenant, "client_id": a.ID + "\n"}
	by := a
	if ask.Mode == targettest.Admin {
		by = c.Register()
		annotations[prefix+"admin-client-id"], annotations[prefix+"admin-client-secret"] = "admin/id", "admin/secret"
		values["admin/id"], values["admin/secret"] = by.ID, by.Secrets[0].Secret
	}
	a.Owners[by.ID] = !ask.Weak
	return targettest.IssuingAccount{
		Account: targettest.Account{Annotations: annotations, Values: values},
		Current: target.Credential{target.Main: secret.FromString(a.Secrets[0].Secret), azure.KeyID: secret.FromString(a.Secrets[0].ID)},
		Wrong:   target.Credential{target.Main: secret.FromString("8Q~wrong"), azure.KeyID: secret.FromString(a.Secrets[0].ID)},
		ID:      id,
		Holds: func(held target.Credential) bool {
			c.Lock()
			defer c.Unlock()
			for _, k := range a.Secrets {
				if k.ID == id(held) && k.Secret == held[target.Main].RevealString() {
					return true
				}
			}
			return false
		},
		Keys: func() (all []string) {
			c.Lock()
			defer c.Unlock()
			for _, k := range a.Secrets {
				all = append(all, k.ID)
			}
			return all
		},
		Foreign: func() string {
			c.Lock()
			defer c.Unlock()
			return a.Make("rekey", 0).ID
		},
	}
}
