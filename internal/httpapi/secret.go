package httpapi

import (
	"encoding/base64"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rekey/internal/core"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// readSecret answers with a value, or with 304 where the client has it already. With
// ?wait it answers 304 only when nothing has changed for that long.
func (a *api) readSecret(e *exchange) error {
	variable := ident.New(e.path[account], "variable", e.path[id])
	version, err := e.query.version()
	if err != nil {
		return err
	}
	var found core.Value
	err = a.whenChanged(e, []ident.ID{variable}, func() (held bool, err error) {
		found, err = a.core.SecretUnless(e.r.Context(), e.caller, variable, version, e.held(valueTag))
		return found.Held, err
	})
	if err != nil {
		return err
	}
	h := e.w.Header()
	h["ETag"] = e.header(valueTag(found.Tag))
	h["Rekey-Secret-Version"] = e.header(strconv.Itoa(found.Version))
	if found.Rotation != nil {
		announce(h, found.Rotation)
	}
	askFor(h, []ident.ID{variable}, []core.Value{found})
	if found.Held {
		return e.unchanged()
	}
	contentType := typeBytes
	if found.MimeType != "" && found.MimeType != typeBytes[0] {
		contentType = e.header(found.MimeType)
	}
	h["Content-Disposition"] = attachment
	h["Content-Transfer-Encoding"] = binaryTransfer
	return e.confide(http.StatusOK, contentType, found.Value.Reveal())
}

// announce tells a reader how far it can rely on a value that rotates.
func announce(h http.Header, r *core.Rotating) {
	set := func(name string, t time.Time) {
		if !t.IsZero() {
			h[name] = []string{t.UTC().Format(timeLayout)}
		}
	}
	set("Rekey-Rotated-At", r.LastSuccess)
	set("Rekey-Next-Rotation", r.Next)
	h["Rekey-Rotating"] = []string{strconv.FormatBool(r.Now)}
}

// An answer asks its reader to acknowledge no more than so many variables, and for more than
// one only if that takes no more bytes than these: proxies take four thousand for all headers.
// The next answer asks for more.
const (
	mostAsked      = 16
	mostAskedBytes = 2048
)

// askFor asks a reader to acknowledge what it reads, where an old value waits for that. It
// is in the form of a query: variables, each with its version.
func askFor(h http.Header, ids []ident.ID, values []core.Value) {
	var asked []string
	size := 0
	for i, v := range values {
		if v.Rotation == nil || !v.Rotation.Awaited || len(asked) == mostAsked {
			continue
		}
		one := url.QueryEscape(string(ids[i])) + "=" + strconv.Itoa(v.Version) + "&"
		if len(asked) > 0 && size+len(one) > mostAskedBytes {
			continue
		}
		asked, size = append(asked, strings.TrimSuffix(one, "&")), size+len(one)
	}
	if len(asked) > 0 {
		h["Rekey-Acknowledge"] = []string{strings.Join(asked, "&")}
	}
}

// version reads the version that is asked for, 0 for the newest. Numbers that no
// version can have become one that none has.
func (q query) version() (int, error) {
	text, ok := q.lookup("version")
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 0, 0)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && n < 1:
		return math.MaxInt, nil
	case err != nil:
		return 0, fault.New(fault.Argument, "invalid type for parameter 'version'")
	}
	return int(n), nil
}

func (a *api) writeSecret(e *exchange) error {
	if err := e.admit(func() error { return a.core.MaySetSecret(e.caller, e.subject()) }); err != nil {
		return err
	}
	value, err := e.body()
	if err != nil {
		return err
	}
	if err := a.core.SetSecret(e.r.Context(), e.caller, e.subject(), secret.New(value)); err != nil {
		return err
	}
	return e.empty(http.StatusCreated)
}

func (a *api) expireSecret(e *exchange) error {
	if e.path[kind] != "variable" {
		return fault.New(fault.Argument, "Invalid secret kind: %s", e.path[kind])
	}
	if err := a.core.ExpireSecret(e.r.Context(), e.caller, e.subject()); err != nil {
		return err
	}
	return e.empty(http.StatusCreated)
}

// readSecrets reads many values at once, all or none of them.
func (a *api) readSecrets(e *exchange) error {
	ids, err := e.query.variables()
	if err != nil {
		return err
	}
	encode, encoded := appendPlain, strings.EqualFold(header(e.r, "Accept-Encoding"), "base64")
	if encoded {
		encode = appendMIME
	}
	tag := func(tags ...string) string { return batchTag(ids, tags, encoded) }
	var values []core.Value
	err = a.whenChanged(e, ids, func() (held bool, err error) {
		values, err = a.core.Secrets(e.r.Context(), e.caller, ids, e.held(tag))
		return len(values) > 0 && values[0].Held, err
	})
	if err != nil {
		return err
	}
	tags := make([]string, len(values))
	for i := range values {
		tags[i] = values[i].Tag
	}
	askFor(e.w.Header(), ids, values)
	if values[0].Held {
		e.w.Header()["ETag"] = []string{tag(tags...)}
		return e.unchanged()
	}
	body, err := appendValues(ids, values, encode)
	if err != nil {
		return err
	}
	e.w.Header()["ETag"] = []string{tag(tags...)}
	if encoded {
		e.w.Header()["Content-Encoding"] = base64Encoding
	}
	err = e.confide(http.StatusOK, typeJSON, body)
	clear(body)
	return err
}

// variables are the ids of a batch, each once, in the order in which they are first asked for.
func (q query) variables() ([]ident.ID, error) {
	list := strings.TrimRight(q.get("variable_ids"), ",")
	if list == "" {
		return nil, fault.New(fault.Argument, "variable_ids")
	}
	ids := make([]ident.ID, 0, 1+strings.Count(list, ","))
	seen := make(map[string]bool, cap(ids))
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			return nil, fault.New(fault.Argument, "variable_ids")
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		variable, err := ident.Parse(name)
		if err != nil {
			return nil, &fault.Error{Kind: fault.NotFound, Message: "CONJ00076E Variable " + name + " is empty or not found.", Cause: err}
		}
		ids = append(ids, variable)
	}
	return ids, nil
}

// appendValues builds the JSON object of a batch in one buffer of sufficient size, so
// that no copy of a value is left behind.
func appendValues(ids []ident.ID, values []core.Value, encode func([]byte, []byte) ([]byte, error)) ([]byte, error) {
	size := 2
	for i := range ids {
		size += 6*(len(ids[i])+values[i].Value.Len()) + 8
	}
	body := append(make([]byte, 0, size), '{')
	var err error
	for i := range ids {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendString(body, ids[i])
		body = append(body, ':')
		if body, err = encode(body, values[i].Value.Reveal()); err != nil {
			clear(body)
			return nil, err
		}
	}
	return append(body, '}'), nil
}

func appendPlain(to, value []byte) ([]byte, error) {
	if !utf8.Valid(value) {
		return to, fault.New(fault.NotAcceptable,
			"CONJ00074E Issue encoding secret into JSON format, try including 'Accept-Encoding: base64' header in request.")
	}
	return appendString(to, value), nil
}

// appendMIME appends base64 with a line break after every 60 characters and at the end,
// as the clients of this route expect it.
func appendMIME(to, value []byte) ([]byte, error) {
	const line = 45 // bytes that make 60 characters
	to = append(to, '"')
	for len(value) > 0 {
		n := min(line, len(value))
		to = base64.StdEncoding.AppendEncode(to, value[:n])
		to = append(to, '\\', 'n')
		value = value[n:]
	}
	return append(to, '"'), nil
}
