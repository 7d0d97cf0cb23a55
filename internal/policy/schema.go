package policy

import "strings"

// recordType is what a tag names. Its attributes map each spelling of a key to the
// singular name that messages use.
type recordType struct {
	name       string // as messages call it: HostFactory
	tag        string // as a policy writes it: host-factory
	kind       string // of the full id; empty where an attribute says it
	role       bool   // may be named where a role is expected
	resource   bool   // may be named where a resource is expected
	statement  bool   // may stand in a list of statements
	shorthand  bool   // !tag text stands for {id: text}
	attributes map[string]string
}

func attributes(keys string) map[string]string {
	table := map[string]string{}
	for key := range strings.FieldsSeq(keys) {
		singular, plural, both := strings.Cut(key, "/")
		table[singular] = singular
		if both {
			table[plural] = singular
		}
	}
	return table
}

const ownable = "id account owner annotations "

var (
	typePolicy      = &recordType{name: "Policy", tag: "policy", kind: "policy", role: true, resource: true, attributes: attributes(ownable + "body")}
	typeUser        = &recordType{name: "User", tag: "user", kind: "user", role: true, resource: true, attributes: attributes(ownable + "uidnumber public_key/public_keys restricted_to/restricted_tos")}
	typeGroup       = &recordType{name: "Group", tag: "group", kind: "group", role: true, resource: true, attributes: attributes(ownable + "gidnumber")}
	typeHost        = &recordType{name: "Host", tag: "host", kind: "host", role: true, resource: true, attributes: attributes(ownable + "restricted_to/restricted_tos")}
	typeLayer       = &recordType{name: "Layer", tag: "layer", kind: "layer", role: true, resource: true, attributes: attributes(ownable)}
	typeVariable    = &recordType{name: "Variable", tag: "variable", kind: "variable", resource: true, attributes: attributes(ownable + "kind mime_type")}
	typeWebservice  = &recordType{name: "Webservice", tag: "webservice", kind: "webservice", resource: true, attributes: attributes(ownable)}
	typeHostFactory = &recordType{name: "HostFactory", tag: "host-factory", kind: "host_factory", role: true, resource: true, attributes: attributes(ownable + "layer/layers role")}
	typeRole        = &recordType{name: "Role", tag: "role", role: true, attributes: attributes("id account kind")}
	typeResource    = &recordType{name: "Resource", tag: "resource", resource: true, attributes: attributes(ownable + "kind")}

	typeGrant  = &recordType{name: "Grant", tag: "grant", statement: true, attributes: attributes("role/roles member/members")}
	typeRevoke = &recordType{name: "Revoke", tag: "revoke", statement: true, attributes: attributes("role/roles member/members")}
	typePermit = &recordType{name: "Permit", tag: "permit", statement: true, attributes: attributes("role/roles privilege/privileges resource/resources")}
	typeDeny   = &recordType{name: "Deny", tag: "deny", statement: true, attributes: attributes("role/roles privilege/privileges resource/resources")}
	typeDelete = &recordType{name: "Delete", tag: "delete", statement: true, attributes: attributes("record/records")}

	typeMember        = &recordType{name: "Member", tag: "member", attributes: attributes("role admin")}
	typeAutomaticRole = &recordType{name: "AutomaticRole", tag: "automatic-role", role: true, attributes: attributes("record role_name account")}
)

// types finds a type by its tag in lower case, without dashes and underscores.
var types = func() map[string]*recordType {
	table := map[string]*recordType{"managedrole": typeAutomaticRole}
	for _, t := range []*recordType{
		typePolicy, typeUser, typeGroup, typeHost, typeLayer, typeVariable,
		typeWebservice, typeHostFactory, typeRole, typeResource,
	} {
		t.statement, t.shorthand = true, true
		table[bare(t.tag)] = t
	}
	for _, t := range []*recordType{typeGrant, typeRevoke, typePermit, typeDeny, typeDelete, typeMember, typeAutomaticRole} {
		table[bare(t.tag)] = t
	}
	return table
}()

var separators = strings.NewReplacer("-", "", "_", "")

func bare(tag string) string { return separators.Replace(strings.ToLower(tag)) }

// typeOf is the type that a node's tag names, nil if it has none. Only a tag with
// a '!' of its own names one, by what follows it; the standard tags (!!str) and
// the tags of lists say nothing.
func typeOf(n *node) (*recordType, error) {
	if n.Tag == "" || strings.HasPrefix(n.Tag, "!!") {
		return nil, nil
	}
	_, tag, ok := strings.Cut(n.Tag, "!")
	if !ok {
		return nil, nil
	}
	if t := types[bare(tag)]; t != nil {
		return t, nil
	}
	if tag == "" {
		tag = "!" // what the message shows for a '!' alone
	} else {
		tag = "!" + tag
	}
	detail := "Unrecognized data type '" + clip(tag) + "'"
	known := make([]string, 0, len(types))
	for _, t := range types {
		if t.statement {
			known = append(known, t.tag)
		}
	}
	advice := advise(detail)
	if near := didYouMean(tag[1:], known, "!"); near != "" {
		advice += ". " + near
	}
	return nil, refuse(ErrStatement, position(n), advice, detail)
}
