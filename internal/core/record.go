package core

import (
	"strconv"

	"rekey/internal/audit"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
)

// from starts a record of what a role did, from somewhere, now.
func (c *Core) from(o Origin, role ident.ID) audit.Origin {
	origin := audit.Origin{Role: role, RequestID: o.RequestID, Time: c.clock()}
	if o.IP.IsValid() {
		origin.ClientIP = o.IP.String()
	}
	return origin
}

// by starts a record of what a caller did.
func (c *Core) by(caller Caller) audit.Origin {
	if caller.operator {
		return c.from(caller.Origin, "local")
	}
	return c.from(caller.Origin, caller.Role)
}

// knownRole keeps the name of a role that does not exist out of the place where the
// record says who acted.
func knownRole(id ident.ID, known bool) ident.ID {
	if known {
		return id
	}
	return ""
}

// webservice is the resource that plain authentication stands for in records.
func webservice(account string) ident.ID { return ident.New(account, "webservice", "conjur/authn") }

// record writes audit records. A request whose records cannot be written fails.
func (c *Core) record(records ...*audit.Record) error {
	err := c.audit.Write(records...)
	c.metrics.Audited(len(records), err)
	if err != nil {
		return &fault.Error{Kind: fault.Unavailable, Message: "the audit cannot be written, so the request was not answered", Log: err.Error(), Cause: err}
	}
	return nil
}

// decided writes the record of a decision and returns the decision's error; failing
// to write is an error of its own.
func (c *Core) decided(err error, r *audit.Record) error {
	if failed := c.record(r); failed != nil {
		return failed
	}
	return err
}

// answer is decided for an answer that carries what must not leave unrecorded: on any
// error it is empty.
func answer[T any](c *Core, what T, err error, r *audit.Record) (T, error) {
	if err := c.decided(err, r); err != nil {
		var nothing T
		return nothing, err
	}
	return what, nil
}

// parameters are those of a query, as the audit shows them.
func parameters(q ResourceQuery, count bool) []audit.Pair {
	var p []audit.Pair
	add := func(name, value string) {
		if value != "" {
			p = append(p, audit.Pair{Name: name, Value: value})
		}
	}
	add("account", q.Account)
	add("kind", q.Kind)
	if q.Search != nil {
		p = append(p, audit.Pair{Name: "search", Value: *q.Search})
	}
	add("owner", q.Owner)
	add("role", q.ActAs)
	if count {
		add("count", "true")
	}
	if q.Limit > 0 {
		add("limit", strconv.Itoa(q.Limit))
	}
	if q.Offset > 0 {
		add("offset", strconv.Itoa(q.Offset))
	}
	return p
}

func memberParameters(id ident.ID, q MemberQuery) []audit.Pair {
	p := []audit.Pair{{Name: "role", Value: string(id)}}
	for _, kind := range q.Kinds {
		p = append(p, audit.Pair{Name: "kind", Value: kind})
	}
	if q.Search != nil {
		p = append(p, audit.Pair{Name: "search", Value: *q.Search})
	}
	for _, f := range q.Filter {
		p = append(p, audit.Pair{Name: "filter", Value: f})
	}
	return p
}

// policyRecords is one audit record for each row that has changed.
func policyRecords(o audit.Origin, policy ident.ID, version int, changes []row.Change) []*audit.Record {
	records := make([]*audit.Record, 0, len(changes))
	for _, change := range changes {
		action := map[row.Op]audit.Action{row.Insert: audit.Add, row.Update: audit.Change, row.Delete: audit.Remove}[change.Op]
		var of audit.Row
		switch r := change.Row.(type) {
		case row.Role:
			of = audit.RoleRow(r.ID)
		case row.Resource:
			of = audit.ResourceRow(r.ID)
		case row.Membership:
			of = audit.MembershipRow(r.Role, r.Member)
			if r.Ownership {
				of = audit.OwnershipRow(r.Role, r.Member)
			}
		case row.Permission:
			of = audit.PermissionRow(r.Resource, r.Role, r.Privilege)
		case row.Annotation:
			of = audit.AnnotationRow(r.Resource, r.Name)
		default:
			continue
		}
		records = append(records, o.PolicyRow(action, of, policy, version))
	}
	return records
}
