package audit

import (
	"strconv"

	"rekey/internal/ident"
)

// Action is what happened to a row of the policy.
type Action string

// The actions.
const (
	Add    Action = "add"
	Remove Action = "remove"
	Change Action = "change"
)

var pastTense = map[Action]string{Add: "added", Remove: "removed", Change: "changed"}

// Row is a row that a policy defines, as records describe it.
type Row struct {
	subject []Pair
	object  string
}

// RoleRow is a role.
func RoleRow(role ident.ID) Row {
	return Row{[]Pair{{"role", string(role)}}, " role " + string(role)}
}

// ResourceRow is a resource.
func ResourceRow(resource ident.ID) Row {
	return Row{[]Pair{{"resource", string(resource)}}, " resource " + string(resource)}
}

// MembershipRow is the grant of a role to a member.
func MembershipRow(role, member ident.ID) Row {
	return Row{[]Pair{{"role", string(role)}, {"member", string(member)}},
		" membership of " + string(member) + " in " + string(role)}
}

// OwnershipRow is the grant of a role to its owner.
func OwnershipRow(role, owner ident.ID) Row {
	return Row{[]Pair{{"role", string(role)}, {"owner", string(owner)}},
		" ownership of " + string(owner) + " in " + string(role)}
}

// PermissionRow is a role's privilege on a resource.
func PermissionRow(resource, role ident.ID, privilege string) Row {
	return Row{[]Pair{{"resource", string(resource)}, {"role", string(role)}, {"privilege", privilege}},
		" permission of " + string(role) + " to " + privilege + " on " + string(resource)}
}

// AnnotationRow is an annotation of a resource, without its value.
func AnnotationRow(resource ident.ID, name string) Row {
	return Row{[]Pair{{"annotation", name}, {"resource", string(resource)}},
		" annotation " + name + " on " + string(resource)}
}

// PolicyRow is a row that changed, by the load of this version of a policy or, with
// an empty policy, otherwise.
func (o Origin) PolicyRow(action Action, row Row, policy ident.ID, version int) *Record {
	r := o.policy(string(action), row.subject, o.by(pastTense[action], "", row.object), nil)
	if policy != "" {
		r.Policy = []Pair{{"id", string(policy)}, {"version", strconv.Itoa(version)}}
	}
	return r
}

// PolicyLoadFailed is a policy that could not be loaded; created tells whether the
// load was one that only adds ("create") or not ("update").
func (o Origin) PolicyLoadFailed(created bool, err error) *Record {
	operation := "update"
	if created {
		operation = "create"
	}
	r := o.policy(operation, nil, sentence{}, err)
	r.Message = "Failed to load policy: " + err.Error()
	return r
}

// PolicyValidate is a dry run of a policy.
func (o Origin) PolicyValidate(err error) *Record {
	return o.policy("validate", nil, o.by("validated", "failed to validate", " {}"), err)
}

// PolicyRead is the reading of a policy as text: the parameters are account,
// identifier, depth and limit if given, and role_id.
func (o Origin) PolicyRead(parameters []Pair, err error) *Record {
	return o.policy("read", parameters, o.by("readed", "failed to read", " "+braced(parameters)), err) // "readed" is the text that log rules know
}

func (o Origin) policy(operation string, subject []Pair, text sentence, err error) *Record {
	r := o.event(msgPolicy, operation, subject, text, err)
	r.Severity = Notice
	return r
}
