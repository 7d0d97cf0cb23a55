package bench

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// clients are hosts that may use variables of theirs: client i is host clients/hNN and owns the use of variable
// clients/vNN. They are what a small application's policy looks like: a layer of hosts, permitted on variables.
type clients struct {
	*rekey
	others []*rekey // servers beside, of the same database
	keys   []string // current API key of each client
}

func clientHost(i int) string     { return fmt.Sprintf("clients/h%02d", i) }
func clientVariable(i int) string { return fmt.Sprintf("clients/v%02d", i) }

// clientValue is the value of each variable, where it is not the writing that is measured.
var clientValue = strings.Repeat("s", 32)

// startClients starts a rekey server, with settings, with one client for each connection.
func (e *Env) startClients(ctx context.Context, settings ...string) (*clients, error) {
	r, err := e.startRekey(ctx, settings...)
	if err != nil {
		return nil, err
	}
	keys, err := r.load(ctx, clientsPolicy(e.Connections))
	if err != nil {
		return nil, err
	}
	c := &clients{rekey: r}
	for i := range e.Connections {
		key := keys[clientHost(i)]
		if key == "" {
			return nil, fmt.Errorf("created_roles has no API key of host %s: %v hosts", clientHost(i), len(keys))
		}
		c.keys = append(c.keys, key)
	}
	return c, nil
}

func clientsPolicy(n int) string {
	var text strings.Builder
	text.WriteString("- !policy\n  id: clients\n  body:\n  - &hosts\n")
	for i := range n {
		fmt.Fprintf(&text, "    - !host h%02d\n", i)
	}
	text.WriteString("  - &variables\n")
	for i := range n {
		fmt.Fprintf(&text, "    - !variable v%02d\n", i)
	}
	text.WriteString(`  - !layer all
  - !grant
    role: !layer all
    members: *hosts
  - !permit
    role: !layer all
    privileges: [ read, execute, update ]
    resources: *variables
`)
	return text.String()
}

// login returns a fresh Authorization header of client i.
func (c *clients) login(ctx context.Context, i int) (string, error) {
	return c.authenticate(ctx, "host/"+clientHost(i), c.keys[i])
}

// tokens returns a fresh Authorization header of each client.
func (c *clients) tokens(ctx context.Context) ([]string, error) {
	tokens := make([]string, len(c.keys))
	for i := range c.keys {
		var err error
		if tokens[i], err = c.login(ctx, i); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// fixedScripts makes the scripts of a side whose clients each send one request of their own, with a fresh token.
func (c *clients) fixedScripts(method string, path func(i int) string, status int, body []byte) func(context.Context) ([]Script, error) {
	return func(ctx context.Context) ([]Script, error) {
		tokens, err := c.tokens(ctx)
		var scripts []Script
		for i, token := range tokens {
			scripts = append(scripts, fixed(render(method, path(i), token, ""), status, body))
		}
		return scripts, err
	}
}

// writeScripts make each client write ever new values to its own variable. After a round, written[i] is the last value
// that was acknowledged to client i.
func (c *clients) writeScripts(written []string) func(context.Context) ([]Script, error) {
	counts := make([]int, len(c.keys)) // each is used by one connection only
	return func(ctx context.Context) ([]Script, error) {
		tokens, err := c.tokens(ctx)
		var scripts []Script
		for i, token := range tokens {
			var value string
			scripts = append(scripts, Script{
				Next: func() []byte {
					counts[i]++
					value = fmt.Sprintf("value %026d", counts[i])
					return render("POST", secretPath(clientVariable(i)), token, value)
				},
				Check: func(status int, body []byte) error {
					if status != http.StatusCreated {
						return fmt.Errorf("status %d, want 201: %.300s", status, body)
					}
					written[i] = value
					return nil
				},
			})
		}
		return scripts, err
	}
}

// hold checks that the variables hold what was written last.
func (c *clients) hold(ctx context.Context, written []string) error {
	for i, want := range written {
		got, err := c.read(ctx, clientVariable(i))
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s holds %q, the last acknowledged write was %q", clientVariable(i), got, want)
		}
	}
	return nil
}

// readScripts make each client read its variable. Afterwards audited tells whether the audit files hold a record for
// each read.
func (c *clients) readScripts(ctx context.Context) (scripts func(context.Context) ([]Script, error), audited func() error, err error) {
	for i := range c.keys {
		if err := c.write(ctx, clientVariable(i), clientValue); err != nil {
			return nil, nil, err
		}
	}
	before, err := c.audits()
	if err != nil {
		return nil, nil, err
	}
	answered := make([]int, len(c.keys))
	scripts = c.fixedScripts("GET", func(i int) string { return secretPath(clientVariable(i)) }, http.StatusOK, []byte(clientValue))
	counted := checked(scripts, func(i int, _ []byte) error {
		answered[i]++
		return nil
	})
	return counted, func() error {
		after, err := c.audits()
		reads := 0
		for _, n := range answered {
			reads += n
		}
		if err == nil && after-before < reads {
			err = fmt.Errorf("%d reads were answered, but the audit grew by %d records only", reads, after-before)
		}
		return err
	}, nil
}

// audits counts the records of all servers.
func (c *clients) audits() (int, error) {
	count, err := c.auditRecords()
	for _, other := range c.others {
		more, failed := other.auditRecords()
		count, err = count+more, errors.Join(err, failed)
	}
	return count, err
}

// rotation is the request with which client i replaces its current API key.
func (c *clients) rotation(i int) []byte {
	login := "host/" + clientHost(i) + ":" + c.keys[i]
	return render("PUT", "/authn/"+account+"/api_key", "Basic "+base64.StdEncoding.EncodeToString([]byte(login)), "")
}

// rotateScripts make each client replace its own API key, each time with the key that the last answer brought.
func (c *clients) rotateScripts(context.Context) ([]Script, error) {
	var scripts []Script
	for i := range c.keys {
		scripts = append(scripts, Script{
			Next: func() []byte { return c.rotation(i) },
			Check: func(status int, body []byte) error {
				if status != http.StatusOK {
					return fmt.Errorf("status %d, want 200: %.300s", status, body)
				}
				key := string(body)
				if len(key) < 8 || key == c.keys[i] {
					return fmt.Errorf("a key of %d bytes, which must be a new API key", len(key))
				}
				c.keys[i] = key
				return nil
			},
		})
	}
	return scripts, nil
}
