package audit

import (
	"strconv"
	"strings"
	"time"

	"rekey/internal/ident"
)

// The message ids.
const (
	msgAuthn       = "authn"
	msgFetch       = "fetch"
	msgUpdate      = "update"
	msgExpire      = "expire"
	msgCheck       = "check"
	msgList        = "list"
	msgResource    = "resource"
	msgMembers     = "members"
	msgMembership  = "membership"
	msgPolicy      = "policy"
	msgPassword    = "password"
	msgAPIKey      = "api-key"
	msgIdentity    = "identity-check"
	msgAccount     = "account"
	msgFactory     = "host-factory"
	msgFactoryHost = "host-factory-host"
	msgBackup      = "backup"
	msgAudit       = "audit"
)

// Origin is what the events of one request have in common: who acted, from where
// and when. Its methods make the records; each takes the error with which the
// action failed, or nil.
type Origin struct {
	Role      ident.ID // "local" for commands on the server itself; empty if not known
	ClientIP  string
	RequestID string
	Time      time.Time
}

// sentence is a message in parts: who, then how it ended, then (with its leading
// blank) the object, which may end in a name.
type sentence struct{ who, success, failure, object, name string }

// by begins a sentence with the role that acted.
func (o Origin) by(success, failure, object string) sentence {
	return sentence{string(o.Role), success, failure, object, ""}
}

// named ends a sentence with a name.
func (s sentence) named(id ident.ID) sentence {
	s.name = string(id)
	return s
}

// event makes a record. On failure the message ends in a colon and the error.
func (o Origin) event(msgID, operation string, subject []Pair, text sentence, err error) *Record {
	made := &struct {
		Record
		room [4]Pair // with the record, because every request makes one
	}{Record: Record{
		Time: o.Time, RequestID: o.RequestID, ClientIP: o.ClientIP,
		Facility: Authpriv, Severity: Info,
		MsgID: msgID, Operation: operation, Result: Success,
	}}
	r := &made.Record
	made.room[0] = Pair{"user", string(o.Role)}
	r.Auth = made.room[:1:1]
	r.Subject = append(made.room[1:1], subject...)
	if err != nil {
		r.Severity, r.Result = Warning, Failure
		r.Message = text.who + " " + text.failure + text.object + text.name + ": " + err.Error()
	} else {
		r.Message = text.who + " " + text.success + text.object + text.name
	}
	return r
}

// Fetch is the reading of a secret; version is 0 unless one was asked for.
func (o Origin) Fetch(resource ident.ID, version int, err error) *Record {
	subject, object := []Pair{{"resource", string(resource)}}, " "
	if version != 0 {
		number := strconv.Itoa(version)
		subject = append(subject, Pair{"version", number})
		object = " version " + number + " of "
	}
	return o.event(msgFetch, "fetch", subject, o.by("fetched", "tried to fetch", object).named(resource), err)
}

// Update is the writing of a secret.
func (o Origin) Update(resource ident.ID, err error) *Record {
	return o.event(msgUpdate, "update", []Pair{{"resource", string(resource)}},
		o.by("updated", "tried to update", " ").named(resource), err)
}

// Expire is a secret being declared due for rotation by hand.
func (o Origin) Expire(resource ident.ID, err error) *Record {
	return o.event(msgExpire, "expire", []Pair{{"resource", string(resource)}},
		o.by("expired", "tried to expire", " "+string(resource)), err)
}

// Check is the question whether a role may do something to a resource; "no" is a
// failure, with an error that says so.
func (o Origin) Check(resource, role ident.ID, privilege string, err error) *Record {
	who := "they"
	if role != o.Role {
		who = string(role)
	}
	object := " " + who + " can " + privilege + " " + string(resource) + " " // the blank is part of the text that log rules know
	return o.event(msgCheck, "check",
		[]Pair{{"resource", string(resource)}, {"role", string(role)}, {"privilege", privilege}},
		o.by("successfully checked if", "failed to check if", object), err)
}

// List is a search for resources, with the parameters of the request.
func (o Origin) List(parameters []Pair, err error) *Record {
	return o.event(msgList, "list", parameters, o.listed("resources", parameters), err)
}

// Members is the listing of a role's members; the parameters include "role".
func (o Origin) Members(parameters []Pair, err error) *Record {
	return o.event(msgMembers, "list", parameters, o.listed("members", parameters), err)
}

// Memberships is the listing of the roles that a role has; the parameters include
// "role" and "filter".
func (o Origin) Memberships(parameters []Pair, err error) *Record {
	return o.event(msgMembership, "list", parameters, o.listed("memberships", parameters), err)
}

func (o Origin) listed(what string, parameters []Pair) sentence {
	return o.by("successfully listed", "failed to list", " "+what+" with parameters: "+braced(parameters))
}

// Resource is the reading of a resource's description.
func (o Origin) Resource(resource ident.ID, err error) *Record {
	return o.event(msgResource, "get", []Pair{{"resource", string(resource)}},
		o.by("successfully fetched resource details.", "failed to fetch resource details", ""), err)
}

// Whoami is a role asking who it is.
func (o Origin) Whoami() *Record {
	r := o.event(msgIdentity, "check", []Pair{{"role", string(o.Role)}}, o.by("checked its identity using whoami", "", ""), nil)
	r.Facility = Auth
	return r
}

// braced writes parameters as the known texts have them: {:kind=>"user", :limit=>"3"}.
func braced(parameters []Pair) string {
	var text strings.Builder
	for i, p := range parameters {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(":" + p.Name + "=>" + strconv.Quote(p.Value))
	}
	return "{" + text.String() + "}"
}
