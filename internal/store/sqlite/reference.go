package sqlite

import (
	"rekey/internal/row"
	"rekey/internal/store/schema"
)

// checkSet refuses a set that leaves the rows inconsistent, and names the row.
func (s *Store) checkSet(set *row.Set) (refused, err error) {
	for _, change := range set.Changes {
		if _, ok := change.Row.(row.DataKey); ok {
			n, err := s.writer.get("SELECT count(*) FROM data_keys WHERE active")
			if err == nil && n.(int64) != 1 {
				refused = changed("%d data keys would be active instead of one", n)
			}
			if refused != nil || err != nil {
				return refused, err
			}
			break
		}
	}
	if dangling, err := s.writer.dangling(); !dangling || err != nil {
		return nil, err
	}
	for _, change := range set.Changes {
		if refused, err = s.findDangling(change); refused != nil || err != nil {
			return refused, err
		}
	}
	return changed("a row refers to one that does not exist"), nil
}

// findDangling tells whether a change has left a reference to a missing row.
func (s *Store) findDangling(change row.Change) (refused, err error) {
	type reference struct{ kind, key string }
	var parents []reference
	var children []string // queries that find a row which still refers to this one
	var own string
	switch r := change.Row.(type) {
	case row.Account:
		return nil, nil // what refers to it goes with it
	case row.SigningKey:
		parents = []reference{{"account", r.Account}}
	case row.Role:
		own = string(r.ID)
		children = []string{
			"SELECT 'resource ' || id FROM resources WHERE owner = ? LIMIT 1",
			"SELECT 'membership of ' || member || ' in ' || role FROM memberships WHERE role = ? LIMIT 1",
			"SELECT 'membership of ' || member || ' in ' || role FROM memberships WHERE member = ? LIMIT 1",
			"SELECT 'permission of ' || role || ' on ' || resource FROM permissions WHERE role = ? LIMIT 1",
		}
	case row.Resource:
		own = string(r.ID)
		parents = []reference{{"role", string(r.Owner)}}
		children = []string{
			"SELECT 'permission of ' || role || ' on ' || resource FROM permissions WHERE resource = ? LIMIT 1",
			"SELECT 'annotation ' || name || ' of ' || resource FROM annotations WHERE resource = ? LIMIT 1",
		}
	case row.Membership:
		parents = []reference{{"role", string(r.Role)}, {"role", string(r.Member)}}
	case row.Permission:
		parents = []reference{{"resource", string(r.Resource)}, {"role", string(r.Role)}}
	case row.Annotation:
		parents = []reference{{"resource", string(r.Resource)}}
	case row.APIKey:
		parents = []reference{{"role", string(r.Role)}}
	case row.StagedKey:
		parents = []reference{{"key", string(r.Role)}}
	case row.OldKey:
		parents = []reference{{"key", string(r.Role)}}
	case row.KeyUse:
		parents = []reference{{"key", string(r.Role)}}
	case row.Password:
		parents = []reference{{"role", string(r.Role)}}
	case row.Restriction:
		parents = []reference{{"role", string(r.Role)}}
	case row.Secret:
		parents = []reference{{"resource", string(r.Resource)}}
	case row.PolicyVersion:
		parents = []reference{{"resource", string(r.Policy)}}
	case row.HostFactoryToken:
		parents = []reference{{"resource", string(r.Factory)}}
	case row.Authenticator:
		parents = []reference{{"resource", string(r.Resource)}}
	case row.Rotation:
		parents = []reference{{"resource", string(r.Variable)}}
	case row.Credential:
		parents = []reference{{"resource", string(r.Variable)}}
	case row.RotationEvent:
		parents = []reference{{"resource", string(r.Variable)}}
	}
	if change.Op == row.Delete {
		exists := map[bool]string{true: roleExistsSQL, false: resourceExistsSQL}
		_, isRole := change.Row.(row.Role)
		for _, sql := range children {
			child, err := s.writer.get(sql, own)
			if err != nil {
				return nil, err
			}
			if child != nil {
				again, err := s.writer.get(exists[isRole], own)
				if again == nil {
					return changed("%s still refers to %s", child, schema.Describe(change.Row)), err
				}
			}
		}
		return nil, nil
	}
	exists := map[string]string{"account": accountExistsSQL, "role": roleExistsSQL, "resource": resourceExistsSQL, "key": keyExistsSQL}
	for _, parent := range parents {
		v, err := s.writer.get(exists[parent.kind], parent.key)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return changed("%s refers to %s %s, which does not exist", schema.Describe(change.Row), parent.kind, parent.key), nil
		}
	}
	return nil, nil
}
