package rbac

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rekey/internal/ident"
	"rekey/internal/row"
)

// oracle is the naive model that the graph is compared with: a bag of durable rows by
// key, every question answered by going over all of them. It shares no code with the
// graph.
type oracle struct {
	rows map[string]row.Row
	seen *sorted // nil after a change
}

// sorted has the rows by type, each in the order of their keys.
type sorted struct {
	accounts    []row.Account
	signing     []row.SigningKey
	roles       []row.Role
	resources   []row.Resource
	memberships []row.Membership
	permissions []row.Permission
	annotations []row.Annotation
	keys        []row.APIKey
	passwords   []row.Password
	networks    []row.Restriction
	secrets     []row.Secret
	versions    []row.PolicyVersion
	tokens      []row.HostFactoryToken
}

func newOracle() *oracle { return &oracle{rows: map[string]row.Row{}} }

func (o *oracle) clone() *oracle { return &oracle{rows: maps.Clone(o.rows), seen: o.seen} }

// keyOf tells one row from another. It begins with what the order of loading is by.
func keyOf(r row.Row) string {
	switch r := r.(type) {
	case row.Account:
		return "a|" + r.Name
	case row.SigningKey:
		return "b|" + r.Account + "|" + r.KeyID
	case row.Role:
		return "c|" + string(r.ID)
	case row.Resource:
		return "d|" + string(r.ID)
	case row.Membership:
		return fmt.Sprintf("e|%s|%s|%v", r.Role, r.Member, r.Ownership)
	case row.Permission:
		return fmt.Sprintf("f|%s|%s|%s", r.Resource, r.Role, r.Privilege)
	case row.Annotation:
		return fmt.Sprintf("g|%s|%s", r.Resource, r.Name)
	case row.APIKey:
		return "h|" + string(r.Role)
	case row.StagedKey:
		return "h~1|" + string(r.Role)
	case row.OldKey:
		return "h~2|" + string(r.Role)
	case row.KeyUse:
		return "h~3|" + string(r.Role)
	case row.Password:
		return "i|" + string(r.Role)
	case row.Restriction:
		return "j|" + string(r.Role)
	case row.Secret:
		return fmt.Sprintf("k|%s|%09d", r.Resource, r.Version)
	case row.PolicyVersion:
		return fmt.Sprintf("l|%s|%09d", r.Policy, r.Version)
	case row.HostFactoryToken:
		return fmt.Sprintf("m|%x", r.Digest)
	case row.Authenticator:
		return "n|" + string(r.Resource)
	}
	panic(fmt.Sprintf("no key for %T", r))
}

// apply does to the rows what a store does: an insert wants the key free, an update
// and a delete want it taken (a value or a policy version may be gone already), and
// what the deletion of a row takes along goes as well.
func (o *oracle) apply(c row.Change) error {
	key := keyOf(c.Row)
	_, taken := o.rows[key]
	_, isSecret := c.Row.(row.Secret)
	_, isVersion := c.Row.(row.PolicyVersion)
	gone := c.Op == row.Delete && (isSecret || isVersion)
	if taken == (c.Op == row.Insert) && !gone {
		return fmt.Errorf("operation %d does not fit %s", c.Op, key)
	}
	o.seen = nil
	if c.Op != row.Delete {
		o.rows[key] = c.Row
		return nil
	}
	delete(o.rows, key)
	for key, other := range o.rows {
		if goesAlong(c.Row, other) {
			delete(o.rows, key)
		}
	}
	return nil
}

func goesAlong(deleted, other row.Row) bool {
	switch d := deleted.(type) {
	case row.Account:
		k, ok := other.(row.SigningKey)
		return ok && k.Account == d.Name
	case row.Role:
		switch r := other.(type) {
		case row.APIKey:
			return r.Role == d.ID
		case row.StagedKey:
			return r.Role == d.ID
		case row.OldKey:
			return r.Role == d.ID
		case row.KeyUse:
			return r.Role == d.ID
		case row.Password:
			return r.Role == d.ID
		case row.Restriction:
			return r.Role == d.ID
		}
	case row.APIKey:
		switch r := other.(type) {
		case row.StagedKey:
			return r.Role == d.Role
		case row.OldKey:
			return r.Role == d.Role
		case row.KeyUse:
			return r.Role == d.Role
		}
	case row.Resource:
		switch r := other.(type) {
		case row.Secret:
			return r.Resource == d.ID
		case row.PolicyVersion:
			return r.Policy == d.ID
		case row.HostFactoryToken:
			return r.Factory == d.ID
		case row.Authenticator:
			return r.Resource == d.ID
		}
	}
	return false
}

// must is apply for changes that the test itself made up.
func (o *oracle) must(op row.Op, r row.Row) {
	if err := o.apply(row.Change{Op: op, Row: r}); err != nil {
		panic(err)
	}
}

// loadOrder returns the rows as a store loads them.
func (o *oracle) loadOrder() []row.Row {
	rows := make([]row.Row, 0, len(o.rows))
	for _, key := range slices.Sorted(maps.Keys(o.rows)) {
		rows = append(rows, o.rows[key])
	}
	return rows
}

func (o *oracle) view() *sorted {
	if o.seen != nil {
		return o.seen
	}
	s := &sorted{}
	for _, r := range o.loadOrder() {
		switch r := r.(type) {
		case row.Account:
			s.accounts = append(s.accounts, r)
		case row.SigningKey:
			s.signing = append(s.signing, r)
		case row.Role:
			s.roles = append(s.roles, r)
		case row.Resource:
			s.resources = append(s.resources, r)
		case row.Membership:
			s.memberships = append(s.memberships, r)
		case row.Permission:
			s.permissions = append(s.permissions, r)
		case row.Annotation:
			s.annotations = append(s.annotations, r)
		case row.APIKey:
			s.keys = append(s.keys, r)
		case row.Password:
			s.passwords = append(s.passwords, r)
		case row.Restriction:
			s.networks = append(s.networks, r)
		case row.Secret:
			s.secrets = append(s.secrets, r)
		case row.PolicyVersion:
			s.versions = append(s.versions, r)
		case row.HostFactoryToken:
			s.tokens = append(s.tokens, r)
		}
	}
	o.seen = s
	return s
}

func (o *oracle) role(id ident.ID) (row.Role, bool) {
	r, ok := o.rows[keyOf(row.Role{ID: id})].(row.Role)
	return r, ok
}

func (o *oracle) resource(id ident.ID) (row.Resource, bool) {
	r, ok := o.rows[keyOf(row.Resource{ID: id})].(row.Resource)
	return r, ok
}

// policyOf is the policy that declared a row, if any.
func policyOf(r row.Row) ident.ID {
	switch r := r.(type) {
	case row.Role:
		return r.Policy
	case row.Resource:
		return r.Policy
	case row.Membership:
		return r.Policy
	case row.Permission:
		return r.Policy
	case row.Annotation:
		return r.Policy
	}
	return ""
}

// dangling returns the key of a row that refers to one that is not there, or "".
func (o *oracle) dangling() string {
	for key, r := range o.rows {
		var roles, resources []ident.ID
		switch r := r.(type) {
		case row.Resource:
			roles = append(roles, r.Owner)
		case row.Membership:
			roles = append(roles, r.Role, r.Member)
		case row.Permission:
			roles, resources = append(roles, r.Role), append(resources, r.Resource)
		case row.Annotation:
			resources = append(resources, r.Resource)
		case row.APIKey:
			roles = append(roles, r.Role)
		case row.Password:
			roles = append(roles, r.Role)
		case row.Restriction:
			roles = append(roles, r.Role)
		case row.Secret:
			resources = append(resources, r.Resource)
		case row.PolicyVersion:
			resources = append(resources, r.Policy)
		case row.HostFactoryToken:
			resources = append(resources, r.Factory)
		case row.Authenticator:
			resources = append(resources, r.Resource)
		}
		if p := policyOf(r); p != "" {
			resources = append(resources, p)
		}
		for _, id := range roles {
			if _, ok := o.role(id); !ok {
				return key
			}
		}
		for _, id := range resources {
			if _, ok := o.resource(id); !ok {
				return key
			}
		}
	}
	return ""
}

// lines are the rows as far as the graph knows them, one a line, sorted.
func (o *oracle) lines() []string {
	lines := make([]string, 0, len(o.rows))
	for _, r := range o.rows {
		lines = append(lines, line(r))
	}
	slices.Sort(lines)
	return lines
}

func line(r row.Row) string {
	switch r := r.(type) {
	case row.APIKey:
		r.Sealed = nil
		return fmt.Sprintf("%T %v", r, r)
	case row.Secret:
		return fmt.Sprintf("%T %s %d %d", r, r.Resource, r.Version, milliseconds(r))
	case row.PolicyVersion:
		return fmt.Sprintf("%T %s %d", r, r.Policy, r.Version)
	case row.Annotation, row.Membership, row.Permission, row.Role, row.Resource:
		return fmt.Sprintf("%T %v", r, r)
	}
	return fmt.Sprintf("%T %+v", r, r)
}

func milliseconds(r row.Secret) int64 {
	if r.ExpiresAt.IsZero() {
		return 0
	}
	return r.ExpiresAt.UnixMilli()
}

// difference names the lines that only one of two sorted lists has.
func difference(got, want []string) string {
	var b bytes.Buffer
	for _, l := range got {
		if _, ok := slices.BinarySearch(want, l); !ok {
			fmt.Fprintln(&b, "  surplus:", l)
		}
	}
	for _, l := range want {
		if _, ok := slices.BinarySearch(got, l); !ok {
			fmt.Fprintln(&b, "  missing:", l)
		}
	}
	if b.Len() == 0 && len(got) != len(want) {
		return fmt.Sprintf("%d lines instead of %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	return b.String()
}
