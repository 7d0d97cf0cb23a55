package sqlite

import (
	"bytes"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
)

const (
	roleExistsSQL     = "SELECT 1 FROM roles WHERE id = ?"
	resourceExistsSQL = "SELECT 1 FROM resources WHERE id = ?"
	keyExistsSQL      = "SELECT 1 FROM api_keys WHERE role = ?"
	accountExistsSQL  = "SELECT 1 FROM accounts WHERE name = ?"
)

// check tells whether a condition holds within the transaction.
func (s *Store) check(c row.Condition) (refused, err error) {
	switch c := c.(type) {
	case row.RoleExists:
		return s.mustExist(roleExistsSQL, "role", c.Role)
	case row.ResourceExists:
		return s.mustExist(resourceExistsSQL, "resource", c.Resource)
	case row.KeyIs:
		v, err := s.writer.get("SELECT digest FROM api_keys WHERE role = ?", string(c.Role))
		if err == nil && !bytes.Equal(blob(v), c.Digest[:]) {
			refused = changed("the API key of %s is another one", c.Role)
		}
		return refused, err
	case row.StagedKeyIs:
		return s.keyMustBe("SELECT digest FROM staged_keys WHERE role = ?", "staged", c.Role, c.Digest)
	case row.OldKeyIs:
		return s.keyMustBe("SELECT digest FROM old_keys WHERE role = ?", "old", c.Role, c.Digest)
	case row.PasswordIs:
		v, err := s.writer.get("SELECT sealed FROM passwords WHERE role = ?", string(c.Role))
		if err == nil && ((v == nil) != (c.Sealed == nil) || !bytes.Equal(blob(v), c.Sealed)) {
			refused = changed("the password of %s is another one", c.Role)
		}
		return refused, err
	case row.LatestVersion:
		v, err := s.writer.get("SELECT version FROM secrets WHERE resource = ? ORDER BY version DESC LIMIT 1", string(c.Resource))
		latest, _ := v.(int64) // 0 if there is none
		if err == nil && latest != int64(c.Version) {
			refused = changed("the latest version of %s is %d, not %d", c.Resource, latest, c.Version)
		}
		return refused, err
	case row.RotationIs:
		v, err := s.writer.get("SELECT revision FROM rotations WHERE variable = ?", string(c.Variable))
		revision, _ := v.(int64) // 0 if there is none
		if err == nil && revision != c.Revision {
			refused = changed("the rotation of %s is at revision %d, not %d", c.Variable, revision, c.Revision)
		}
		return refused, err
	case row.DeliveryIs:
		v, err := s.writer.get("SELECT attempts FROM deliveries WHERE id = ? AND state = ?", c.ID, string(row.Waiting))
		if attempts, waits := v.(int64); err == nil && (!waits || attempts != int64(c.Attempts)) {
			refused = changed("delivery %s is not waiting after %d attempts", c.ID, c.Attempts)
		}
		return refused, err
	}
	return fault.New(fault.Internal, "conditions of type %T cannot be checked", c), nil
}

// keyMustBe compares the digest of a key beside the role's API key; zero is none.
func (s *Store) keyMustBe(sql, which string, role ident.ID, digest [32]byte) (refused, err error) {
	v, err := s.writer.get(sql, string(role))
	if none := digest == [32]byte{}; err == nil && ((v == nil) != none || !none && !bytes.Equal(blob(v), digest[:])) {
		refused = changed("the %s API key of %s is another one", which, role)
	}
	return refused, err
}

func (s *Store) mustExist(sql, kind string, key ident.ID) (refused, err error) {
	v, err := s.writer.get(sql, string(key))
	if err == nil && v == nil {
		refused = changed("%s %s does not exist", kind, key)
	}
	return refused, err
}
