package audit

import "rekey/internal/ident"

// Operation is what somebody does to a branch, a membership, an authenticator and the
// like, which are resources of the second version of the protocol.
type Operation string

// The operations.
const (
	Create Operation = "create"
	Get    Operation = "get"
	List   Operation = "list"
	Update Operation = "update"
	Revoke Operation = "remove"
	Delete Operation = "delete"
	Enable Operation = "enable"
)

var operationVerbs = map[Operation][2]string{
	Create: {"created", "create"},
	Get:    {"retrieved", "retrieve"},
	List:   {"listed", "list"},
	Update: {"updated", "update"},
	Revoke: {"removed", "remove"},
	Delete: {"deleted", "delete"},
	Enable: {"enabled", "enable"},
}

// Operated is an operation on a resource of the kind that is named in words ("branch
// data/safe"), by a request to a path and, unless it is empty, with a body that has
// nothing secret in it. The kind is also the message id.
func (o Origin) Operated(kind string, operation Operation, named, path, body string, err error) *Record {
	object := " " + named + " with URI path: '" + path + "'"
	if body != "" {
		object += " and JSON object: " + body
	}
	verbs := operationVerbs[operation]
	r := o.event(kind, string(operation), []Pair{{"edge", ""}}, o.by("successfully "+verbs[0], "failed to "+verbs[1], object), err)
	r.Severity = Notice
	return r
}

// AuthenticatorSwitch is an authenticator being enabled or disabled.
func (o Origin) AuthenticatorSwitch(authenticator string, service ident.ID, err error) *Record {
	// Without a blank in the text of success, which is what log rules know.
	r := o.event(msgAuthn, "update-authenticator-configuration", []Pair{{"role", string(o.Role)}},
		o.by("successfully updated authenticator configuration"+authenticator+" service", "failed to update authenticator configuration "+authenticator+" service", " "+string(service)), err)
	r.Auth = append(r.Auth, Pair{"authenticator", authenticator}, Pair{"service", string(service)})
	return r
}
