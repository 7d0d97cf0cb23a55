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

// AuditResume is the audit being writable again, after records that were not written and
// whose requests were refused.
func (o Origin) AuditResume() *Record {
	return o.event(msgAudit, "resume", nil, o.by("resumed", "failed to resume", " the audit"), nil)
}

// Backup is everything leaving the store, encrypted. It is recorded before anything has
// left; if that fails on the way, there is a second record.
func (o Origin) Backup(fingerprint string, err error) *Record {
	return o.event(msgBackup, "backup", []Pair{{"key", fingerprint}},
		o.by("took", "failed to take", " a backup for the key "+fingerprint), err)
}

// Restore is an empty store being filled from a backup.
func (o Origin) Restore(created, digest string, err error) *Record {
	return o.event(msgBackup, "restore", []Pair{{"created", created}, {"digest", digest}},
		o.by("restored", "failed to restore", " the backup of "+created), err)
}
