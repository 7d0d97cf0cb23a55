package audit

import "rekey/internal/ident"

// APIKeyRetrieve is an operator being shown a role's API key.
func (o Origin) APIKeyRetrieve(role ident.ID, err error) *Record {
	return o.event(msgAPIKey, "retrieve", []Pair{{"role", string(role)}},
		o.by("successfully retrieved", "failed to retrieve", " the api key for "+string(role)), err)
}

// SigningKeyRotate is an account getting a new key to sign access tokens with; keyID
// is empty if it did not.
func (o Origin) SigningKeyRotate(account, keyID string, err error) *Record {
	return o.event(msgAccount, "rotate", []Pair{{"account", account}, {"key", keyID}},
		o.by("successfully rotated", "failed to rotate", " the token-signing key of account "+account), err)
}
