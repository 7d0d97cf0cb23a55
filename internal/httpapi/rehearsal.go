package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/policy"
)

// isRehearsal tells whether a policy is to be tried out only.
func (e *exchange) isRehearsal() bool {
	return strings.EqualFold(strings.TrimSpace(e.query.get("dryRun")), "true")
}

// rehearsePolicy answers what loading the text would do. A text that cannot be loaded
// is a report too, of its error.
func (a *api) rehearsePolicy(e *exchange, mode core.Mode, text []byte) error {
	id := ident.New(e.path[account], "policy", e.path[id])
	report, err := a.core.RehearsePolicy(e.r.Context(), e.caller, id, mode, text)
	var invalid *fault.Error
	switch {
	case err == nil:
		return e.answerJSON(func(to []byte) []byte { return appendReport(to, report) })
	case errors.As(err, &invalid) && slices.Contains([]fault.Kind{fault.PolicyInvalid, fault.Validation}, invalid.Kind):
		return e.answer(http.StatusUnprocessableEntity, typeJSON, appendInvalid(nil, id, invalid))
	}
	return err
}

// appendInvalid appends the report of a policy that cannot be loaded. The status has
// these words whatever is wrong.
func appendInvalid(to []byte, id ident.ID, e *fault.Error) []byte {
	number := func(n int) {
		if n > 0 {
			to = strconv.AppendInt(to, int64(n), 10)
		} else {
			to = append(to, "null"...)
		}
	}
	text := e.Message
	if e.Kind == fault.Validation && e.Target != "" {
		text = e.Target + " " + text
	}
	to = append(to, `{"status":"Invalid YAML","errors":[{"line":`...)
	number(e.Line)
	to = append(to, `,"column":`...)
	number(e.Column)
	to = append(to, `,"message":`...)
	to = appendString(to, text+"\n"+e.Advice)
	to = append(to, `,"context":{"policy_id":`...)
	to = appendString(to, id.Identifier())
	to = append(to, `,"offending_lines":[`...)
	if e.Line > 0 {
		number(e.Line)
	}
	return append(to, `]}}]}`...)
}

func appendReport(to []byte, r *policy.Report) []byte {
	to = append(to, `{"status":"Valid YAML","created":`...)
	to = appendItems(to, r.Created)
	to = append(to, `,"updated":{"before":`...)
	to = appendItems(to, r.Before)
	to = append(to, `,"after":`...)
	to = appendItems(to, r.After)
	to = append(to, `},"deleted":`...)
	to = appendItems(to, r.Deleted)
	if len(r.Warnings) > 0 {
		to = append(to, `,"warnings":`...)
		to = appendList(to, r.Warnings, appendString[string])
	}
	if r.Values.Count > 0 {
		to = append(to, `,"deleted_values":{"count":`...)
		to = strconv.AppendInt(to, int64(r.Values.Count), 10)
		to = append(to, `,"variables":`...)
		to = appendList(to, r.Values.IDs, appendString[ident.ID])
		to = append(to, '}')
	}
	return append(to, '}')
}

func appendItems(to []byte, items []policy.Item) []byte {
	to = append(to, `{"items":`...)
	to = appendList(to, items, appendItem)
	return append(to, '}')
}

func appendItem(to []byte, item policy.Item) []byte {
	to = append(to, `{"identifier":`...)
	to = appendString(to, item.ID)
	if item.Hidden {
		to = append(to, `,"type":`...)
		to = appendString(to, item.ID.Kind())
		return append(to, '}')
	}
	to = append(to, `,"id":`...)
	to = appendString(to, item.ID.Identifier())
	to = append(to, `,"type":`...)
	to = appendString(to, item.ID.Kind())
	to = append(to, `,"owner":`...)
	to = appendString(to, item.Owner)
	to = append(to, `,"policy":`...)
	if item.Policy == "" {
		to = append(to, "null"...)
	} else {
		to = appendString(to, item.Policy)
	}
	if item.RoleLike {
		to = append(to, `,"permissions":`...)
	} else {
		to = append(to, `,"permitted":`...)
	}
	to = append(to, '{')
	for i, p := range item.Privileges {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendString(to, p.Name)
		to = append(to, ':')
		to = appendList(to, p.IDs, appendString[ident.ID])
	}
	to = append(to, `},"annotations":{`...)
	for i, a := range item.Annotations {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendString(to, a.Name)
		to = append(to, ':')
		to = appendString(to, a.Value)
	}
	to = append(to, '}')
	if item.RoleLike {
		to = append(to, `,"members":`...)
		to = appendList(to, item.Members, appendString[ident.ID])
		to = append(to, `,"memberships":`...)
		to = appendList(to, item.Memberships, appendString[ident.ID])
		to = append(to, `,"restricted_to":`...)
		to = appendList(to, item.Networks, appendNetwork)
	}
	if item.Omitted != (policy.Omitted{}) {
		to = append(to, `,"omitted":{"privileges":`...)
		to = strconv.AppendInt(to, int64(item.Omitted.Privileges), 10)
		to = append(to, `,"members":`...)
		to = strconv.AppendInt(to, int64(item.Omitted.Members), 10)
		to = append(to, `,"memberships":`...)
		to = strconv.AppendInt(to, int64(item.Omitted.Memberships), 10)
		to = append(to, '}')
	}
	return append(to, '}')
}
