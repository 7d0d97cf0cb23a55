package gcp

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/cloud"
	"rekey/internal/secret"
)

// key is one as IAM tells it (resource projects.serviceAccounts.keys).
type key struct {
	Name    string    `json:"name"`
	Made    time.Time `json:"validAfterTime"`
	Private []byte    `json:"privateKeyData"` // the key file, once
}

func (k key) id() string { return k.Name[strings.LastIndexByte(k.Name, '/')+1:] }

// office is where the keys of an account are changed: by whom, and of whom.
type office struct {
	*account
	token secret.Bytes
	email string
}

// enter logs in whoever changes keys.
func (a *account) enter(ctx context.Context, f *file) (*office, error) {
	by := f
	if a.admin != nil {
		by = a.admin
	}
	token, err := a.login(ctx, by)
	if err != nil && a.admin != nil && target.ClassOf(err) == target.AuthFailed {
		// The administrator's key says nothing about the rotated one.
		err = target.Errorf(target.Refused, err, "the administrator %s cannot log in: correct the variable that %s names", by.Email, adminKey)
	}
	return &office{a, token, f.Email}, err
}

// list are the account's keys, but for those of Google's own, and the time of the API.
func (o *office) list(ctx context.Context) ([]key, time.Time, error) {
	var all struct {
		Keys []key `json:"keys"`
	}
	now, err := o.ask(ctx, http.MethodGet, "?keyTypes=USER_MANAGED", nil, &all)
	if err == nil && slices.ContainsFunc(all.Keys, func(k key) bool { return !keyIDs.MatchString(k.id()) }) {
		err = target.Errorf(target.Refused, nil, "%s lists keys whose ids cannot be read", cloud.Address(o.iam))
	}
	return all.Keys, now, cloud.Unchanged(err)
}

// Survey is part of target.Surveyor.
func (a *account) Survey(ctx context.Context, c target.Credential) (target.Credential, error) {
	f, err := current(c)
	if err != nil {
		return nil, err
	}
	o, err := a.enter(ctx, f)
	if err != nil {
		return nil, err
	}
	keys, now, err := o.list(ctx)
	if err != nil {
		return nil, err
	}
	intent := cloud.Intent{Asked: now}
	for _, k := range keys {
		intent.Known = append(intent.Known, k.id())
	}
	return intent.Credential(), nil
}

// Apply is part of target.Target: it has a key made. Handed one that was, it only sees
// whether that is still there.
func (a *account) Apply(ctx context.Context, c, next target.Credential) (target.Credential, error) {
	f, err := current(c)
	if err != nil {
		return nil, err
	}
	o, err := a.enter(ctx, f)
	if err != nil {
		return nil, err
	}
	keys, _, err := o.list(ctx)
	if err != nil {
		return nil, err
	}
	if next[target.Main].Len() > 0 {
		issued, err := current(next)
		if err == nil && !slices.ContainsFunc(keys, func(k key) bool { return k.id() == issued.KeyID }) {
			err = target.Errorf(target.Refused, nil, "the key is gone, and Google cannot bring one back")
		}
		return next, err
	}
	intent := cloud.ReadIntent(next)
	for _, k := range keys {
		switch {
		case k.id() == f.KeyID || !intent.Lost(k.id(), k.Made):
		case !a.deletes:
			return nil, target.Errorf(target.Refused, nil, "key %s of %s was made at %s, most likely by this rotation, and the answer with it was lost. It is kept, since somebody else may have made it: delete it if not, or let annotation %s do that. The next attempt makes another one", k.id(), f.Email, k.Made.UTC().Format(time.RFC3339), cloud.LostKeys)
		default:
			if err := o.delete(ctx, k.id()); err != nil {
				return nil, cloud.Unchanged(err) // the key that works is another one
			}
		}
	}
	var made key
	if _, err := o.ask(ctx, http.MethodPost, "", map[string]string{"privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE", "keyAlgorithm": "KEY_ALG_RSA_2048"}, &made); err != nil {
		return nil, err
	}
	issued := credential(made.Private)
	if g, err := current(issued); err != nil || g.Email != f.Email || g.KeyID != made.id() {
		return nil, target.Errorf(target.Uncertain, err, "%s answers without a key", cloud.Address(a.iam))
	}
	return issued, nil
}

// Probe is part of target.Target.
func (a *account) Probe(ctx context.Context, c target.Credential) error {
	f, err := current(c)
	if err != nil {
		return err
	}
	return cloud.Settle(ctx, c, func() error {
		_, err := a.login(ctx, f)
		return err
	})
}

// Retire is part of target.Target.
func (a *account) Retire(ctx context.Context, c, old target.Credential) error {
	f, err := current(c)
	if err != nil {
		return err
	}
	gone, err := current(old)
	if err != nil {
		return err
	}
	if gone.KeyID == f.KeyID {
		return nil
	}
	if gone.Email != f.Email {
		return target.Errorf(target.Refused, nil, "the old key is one of %s, and not of %s: delete it by hand", gone.Email, f.Email)
	}
	// A key that is new itself may not be known yet everywhere.
	return cloud.Settle(ctx, c, func() error {
		o, err := a.enter(ctx, f)
		if err != nil {
			return err
		}
		return o.delete(ctx, gone.KeyID)
	})
}

// delete deletes a key. One that is not there is deleted.
func (o *office) delete(ctx context.Context, id string) error {
	keys, _, err := o.list(ctx)
	if err != nil || !slices.ContainsFunc(keys, func(k key) bool { return k.id() == id }) {
		return err
	}
	_, err = o.ask(ctx, http.MethodDelete, "/"+id, nil, nil)
	return err
}

// ask makes a request about the account's keys, and gives the time of the API. What
// follows is a path or a query.
func (o *office) ask(ctx context.Context, method, what string, body, result any) (time.Time, error) {
	address := cloud.Address(o.iam)
	u, err := o.iam.Parse("/v1/projects/-/serviceAccounts/" + o.email + "/keys" + what)
	if err != nil {
		return time.Time{}, target.Errorf(target.Refused, err, "the request to %s cannot be made", address)
	}
	answer, err := o.client.JSON(ctx, cloud.Request{Method: method, URL: u, JSON: body, Bearer: o.token}, result)
	if err != nil || answer.OK() {
		return answer.Date, err
	}
	var said struct {
		Error struct {
			Status string `json:"status"`
		} `json:"error"`
	}
	if json.Unmarshal(answer.Refusal, &said) != nil {
		return time.Time{}, cloud.Failure(address, answer.Status)
	}
	switch said.Error.Status {
	case "PERMISSION_DENIED":
		err = target.Errorf(target.Refused, nil, "%s does not allow it: grant roles/iam.serviceAccountKeyAdmin on %s to whoever changes its keys", address, o.email)
	case "FAILED_PRECONDITION":
		err = target.Errorf(target.Refused, nil, "%s makes no key: %s has the ten that are allowed, or the organisation allows none (constraint iam.disableServiceAccountKeyCreation)", address, o.email)
	case "NOT_FOUND":
		err = target.Errorf(target.Refused, nil, "%s knows no service account %s", address, o.email)
	case "UNAUTHENTICATED":
		err = target.Errorf(target.Unreachable, nil, "%s does not take the token that was just granted", address)
	case "RESOURCE_EXHAUSTED", "ABORTED":
		err = target.Errorf(target.Unreachable, nil, "%s cannot do it now (%s)", address, said.Error.Status)
	default:
		err = cloud.Failure(address, answer.Status)
	}
	return time.Time{}, err
}
