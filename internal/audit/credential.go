package audit

import (
	"strconv"
	"time"

	"rekey/internal/ident"
)

// Authenticate is an attempt to get an access token. The claimed role is in the
// record even if there is no such role; o.Role is empty then. The service is the
// full id of the authenticator's webservice, empty if not known.
func (o Origin) Authenticate(claimed ident.ID, authenticator string, service ident.ID, err error) *Record {
	return o.authn("authenticate", claimed, authenticator, service, "successfully authenticated", "failed to authenticate", err)
}

// Login is an attempt to prove an identity by password or API key, with the same
// parameters as Authenticate.
func (o Origin) Login(claimed ident.ID, authenticator string, service ident.ID, err error) *Record {
	return o.authn("login", claimed, authenticator, service, "successfully logged in", "failed to login", err)
}

func (o Origin) authn(operation string, claimed ident.ID, authenticator string, service ident.ID, success, failure string, err error) *Record {
	with := " with authenticator " + authenticator
	if service != "" {
		with += " service " + string(service)
	}
	r := o.event(msgAuthn, operation, []Pair{{"role", string(claimed)}}, sentence{string(claimed), success, failure, with, ""}, err)
	if o.Role == "" {
		r.Auth[0].Value = "not-found"
	}
	r.Auth = append(r.Auth, Pair{"authenticator", authenticator})
	if service != "" {
		r.Auth = append(r.Auth, Pair{"service", string(service)})
	}
	return r
}

// PasswordChange is a user changing their own password.
func (o Origin) PasswordChange(err error) *Record {
	return o.event(msgPassword, "change", []Pair{{"role", string(o.Role)}},
		o.by("successfully changed their password", "failed to change their password", ""), err)
}

// APIKeyRotate is a role's API key being replaced, by itself or by another; also
// when it was refused. The key before it goes on until a moment; zero: it is dead.
func (o Origin) APIKeyRotate(role ident.ID, oldUntil time.Time, err error) *Record {
	subject, object := []Pair{{"role", string(role)}}, o.apiKeyOf(role)
	if !oldUntil.IsZero() {
		until := oldUntil.UTC().Format(time.RFC3339)
		subject = append(subject, Pair{"old-key-until", until})
		object += ", of which the old one goes on until " + until
	}
	return o.event(msgAPIKey, "rotate", subject, o.by("successfully rotated", "failed to rotate", object), err)
}

func (o Origin) apiKeyOf(role ident.ID) string {
	if role == o.Role {
		return " their API key"
	}
	return " the api key for " + string(role)
}

// APIKeyRepeat is the key of an earlier rotation being given out again to who asked for
// that rotation.
func (o Origin) APIKeyRepeat(role ident.ID, err error) *Record {
	return o.event(msgAPIKey, "repeat", []Pair{{"role", string(role)}},
		o.by("successfully asked again for", "failed to ask again for", o.apiKeyOf(role)), err)
}

// APIKeyStage is a role being given a key that replaces its own at its first use, unless
// it lapses before.
func (o Origin) APIKeyStage(role ident.ID, lapses time.Time, err error) *Record {
	subject := []Pair{{"role", string(role)}}
	if !lapses.IsZero() {
		subject = append(subject, Pair{"lapses", lapses.UTC().Format(time.RFC3339)})
	}
	return o.event(msgAPIKey, "stage", subject, o.by("successfully staged", "failed to stage", " a successor of"+o.apiKeyOf(role)), err)
}

// APIKeyPromote is a staged key being used for the first time and so becoming the
// role's key.
func (o Origin) APIKeyPromote(role ident.ID, err error) *Record {
	return o.event(msgAPIKey, "promote", []Pair{{"role", string(role)}},
		o.by("successfully replaced", "failed to replace", o.apiKeyOf(role)+" by the staged one"), err)
}

// APIKeyLapse is a staged key of a role being found unused after its time; o.Role has
// come across it.
func (o Origin) APIKeyLapse(role ident.ID) *Record {
	return o.event(msgAPIKey, "lapse", []Pair{{"role", string(role)}},
		o.by("found", "", " the staged successor of"+o.apiKeyOf(role)+" lapsed"), nil)
}

// APIKeyList is a listing of the ages of API keys, with the parameters of the request.
func (o Origin) APIKeyList(parameters []Pair, err error) *Record {
	return o.event(msgAPIKey, "list", parameters, o.listed("API keys", parameters), err)
}

// AccountCreate is a new account.
func (o Origin) AccountCreate(account string, err error) *Record {
	return o.event(msgAccount, "create", []Pair{{"account", account}},
		o.by("successfully created", "failed to create", " account "+account), err)
}

// AccountDelete is the end of an account.
func (o Origin) AccountDelete(account string, err error) *Record {
	return o.event(msgAccount, "delete", []Pair{{"account", account}},
		o.by("successfully deleted", "failed to delete", " account "+account), err)
}

// HostFactoryTokens is the creation of tokens for a host factory, all with the same
// expiration (as the client gave it) and networks.
func (o Origin) HostFactoryTokens(factory ident.ID, count int, expiration string, networks []string, err error) *Record {
	subject := []Pair{{"resource", string(factory)}, {"count", strconv.Itoa(count)}, {"expiration", expiration}}
	for _, network := range networks {
		subject = append(subject, Pair{"cidr", network})
	}
	object := " " + strconv.Itoa(count) + " host factory tokens for " + string(factory)
	return o.event(msgFactory, "create-token", subject, o.by("successfully created", "failed to create", object), err)
}

// HostFactoryRevoke is the revocation of a token of a host factory; the factory is
// empty if the token was not found.
func (o Origin) HostFactoryRevoke(factory ident.ID, err error) *Record {
	object := " a host factory token"
	if factory != "" {
		object += " of " + string(factory)
	}
	return o.event(msgFactory, "revoke-token", []Pair{{"resource", string(factory)}},
		o.by("successfully revoked", "failed to revoke", object), err)
}

// HostFactoryHost is a host being created with a token of a host factory, or given
// a new API key if it was there; o.Role is the factory.
func (o Origin) HostFactoryHost(host ident.ID, err error) *Record {
	return o.event(msgFactoryHost, "create", []Pair{{"role", string(host)}, {"resource", string(o.Role)}},
		o.by("successfully created", "failed to create", " "+string(host)), err)
}
