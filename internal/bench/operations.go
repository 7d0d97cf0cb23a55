package bench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// against compares the scripts on a rekey server with a bare server of the kind. That one gets the request, which is one
// of those that rekey gets, so that both parse the same bytes.
func (e *Env) against(ctx context.Context, subject side, kind bare, request []byte) (Result, error) {
	server, err := e.startBare(ctx, kind)
	if err != nil {
		return Result{}, err
	}
	wanted := kind.body
	if kind.kind == bareSign {
		wanted = nil // every signature is another one
	}
	reference := e.loaded(only(server), same(e.Connections, fixed(request, kind.status, wanted)))
	return e.compare(ctx, subject, reference)
}

// measureRead: each of 16 hosts reads its variable; afterwards the audit file must hold a record for each read.
func measureRead(ctx context.Context, e *Env) ([]Result, error) {
	c, err := e.startClients(ctx)
	if err != nil {
		return nil, err
	}
	token, err := c.login(ctx, 0)
	if err != nil {
		return nil, err
	}
	scripts, audited, err := c.readScripts(ctx)
	if err != nil {
		return nil, err
	}
	result, err := e.against(ctx, e.loaded(only(c.process), scripts), bare{barePlain, http.StatusOK, []byte(clientValue)},
		render("GET", secretPath(clientVariable(0)), token, ""))
	if err != nil {
		return nil, err
	}
	if err := audited(); err != nil {
		return nil, err
	}
	result.Operation, result.AtLeast = "read one secret by an authenticated client, audited", 0.6
	return []Result{result}, nil
}

// measureAuthenticate: each host exchanges its API key for a token.
func measureAuthenticate(ctx context.Context, e *Env) ([]Result, error) {
	c, err := e.startClients(ctx)
	if err != nil {
		return nil, err
	}
	sample, err := c.call(ctx, "POST", authenticatePath("host/"+clientHost(0)), "", c.keys[0], http.StatusOK)
	if err != nil {
		return nil, err
	}
	scripts := func(context.Context) ([]Script, error) {
		var scripts []Script
		for i, key := range c.keys {
			request := render("POST", authenticatePath("host/"+clientHost(i)), "", key)
			scripts = append(scripts, fixed(request, http.StatusOK, nil))
		}
		return scripts, nil
	}
	subject := e.loaded(only(c.process), checked(scripts, func(_ int, body []byte) error {
		if !bytes.HasPrefix(body, []byte(`{"protected":"`)) {
			return fmt.Errorf("not an access token: %.300q", body)
		}
		return nil
	}))
	result, err := e.against(ctx, subject, bare{bareSign, http.StatusOK, sample},
		render("POST", authenticatePath("host/"+clientHost(0)), "", c.keys[0]))
	result.Operation, result.AtLeast = "authenticate with an API key, against a server that signs with Ed25519", 0.5
	return []Result{result}, err
}

// measureWrite: each host writes ever new values to its variable; afterwards each variable must hold its last one.
func measureWrite(ctx context.Context, e *Env) ([]Result, error) {
	c, err := e.startClients(ctx)
	if err != nil {
		return nil, err
	}
	token, err := c.login(ctx, 0)
	if err != nil {
		return nil, err
	}
	written := make([]string, e.Connections)
	value := strings.Repeat("s", 32)
	result, err := e.against(ctx, e.loaded(only(c.process), c.writeScripts(written)), bare{kind: bareDurable, status: http.StatusCreated},
		render("POST", secretPath(clientVariable(0)), token, value))
	if err != nil {
		return nil, err
	}
	if err := c.hold(ctx, written); err != nil {
		return nil, err
	}
	result.Operation, result.AtLeast = "durable secret writes, 16 writers, against a server with shared fdatasync", 0.5
	return []Result{result}, nil
}

// measureRotate: each host replaces its own API key with each request.
func measureRotate(ctx context.Context, e *Env) ([]Result, error) {
	c, err := e.startClients(ctx)
	if err != nil {
		return nil, err
	}
	result, err := e.against(ctx, e.loaded(only(c.process), c.rotateScripts), bare{bareDurable, http.StatusOK, []byte(c.keys[0])}, c.rotation(0))
	if err != nil {
		return nil, err
	}
	if _, err := c.tokens(ctx); err != nil {
		return nil, fmt.Errorf("the last rotated keys do not authenticate: %w", err)
	}
	result.Operation, result.AtLeast = "rotate one's own API key, 16 hosts, against a server with shared fdatasync", 0.4
	return []Result{result}, nil
}

// measureList: a host that may see 10,000 variables lists 100 from their middle.
func measureList(ctx context.Context, e *Env) ([]Result, error) {
	r, err := e.startRekey(ctx)
	if err != nil {
		return nil, err
	}
	visible := e.size(10_000)
	keys, err := r.load(ctx, listPolicy(visible))
	if err != nil {
		return nil, err
	}
	login := func() (string, error) { return r.authenticate(ctx, "host/list/reader", keys["list/reader"]) }
	token, err := login()
	if err != nil {
		return nil, err
	}
	const resources = "/resources/" + account + "/variable"
	count, err := r.call(ctx, "GET", resources+"?count=true", token, "", http.StatusOK)
	if err != nil {
		return nil, err
	}
	if want := fmt.Sprintf(`{"count":%d}`, visible); string(bytes.TrimSpace(count)) != want {
		return nil, fmt.Errorf("the reader sees %s, want %s", count, want)
	}
	path := fmt.Sprintf("%s?limit=100&offset=%d", resources, visible/2)
	page, err := r.call(ctx, "GET", path, token, "", http.StatusOK)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(page, []byte(`"created_at":`)); n != 100 {
		return nil, fmt.Errorf("a page of %d resources, want 100: %.300s", n, page)
	}
	scripts := func(ctx context.Context) ([]Script, error) {
		token, err := login()
		if err != nil {
			return nil, err
		}
		return same(e.Connections, fixed(render("GET", path, token, ""), http.StatusOK, page))(ctx)
	}
	result, err := e.against(ctx, e.loaded(only(r.process), scripts), bare{barePlain, http.StatusOK, page}, render("GET", path, token, ""))
	result.Operation, result.AtLeast = "list 100 of 10,000 visible resources as JSON", 0.1
	result.Note = fmt.Sprintf("%d bytes", len(page))
	return []Result{result}, err
}

func listPolicy(visible int) string {
	var text strings.Builder
	text.WriteString("- !policy\n  id: list\n  body:\n  - !host reader\n  - &variables\n")
	for i := range visible {
		fmt.Fprintf(&text, "    - !variable v%05d\n", i)
	}
	text.WriteString("  - !permit\n    role: !host reader\n    privileges: [ read ]\n    resources: *variables\n")
	return text.String()
}

// measureCheck: each host asks whether it may execute its variable.
func measureCheck(ctx context.Context, e *Env) ([]Result, error) {
	c, err := e.startClients(ctx)
	if err != nil {
		return nil, err
	}
	token, err := c.login(ctx, 0)
	if err != nil {
		return nil, err
	}
	path := func(i int) string {
		return "/resources/" + account + "/variable/" + url.PathEscape(clientVariable(i)) + "?check=true&privilege=execute"
	}
	scripts := c.fixedScripts("GET", path, http.StatusNoContent, nil)
	result, err := e.against(ctx, e.loaded(only(c.process), scripts), bare{kind: barePlain, status: http.StatusNoContent},
		render("GET", path(0), token, ""))
	result.Operation, result.AtLeast = "check one permission", 0.6
	return []Result{result}, err
}
