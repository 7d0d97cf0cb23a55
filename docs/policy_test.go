package docs_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/audit"
	"rekey/internal/core"
	"rekey/internal/httpapi"
	"rekey/internal/seal"
	"rekey/internal/store/sqlite"
)

// fence is a fenced block of a page.
type fence struct {
	section string
	line    int
	info    string
	text    string
}

// fences reads the fenced blocks of a page.
func fences(t *testing.T, page string) (all []fence) {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	var open *fence
	for i, line := range strings.Split(string(content), "\n") {
		info, marks := strings.CutPrefix(line, "```")
		switch {
		case open != nil && marks:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case marks:
			open = &fence{section: section, line: i + 1, info: info}
		default:
			if title, ok := strings.CutPrefix(line, "## "); ok {
				section = title
			}
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block has no end", page, open.line)
	}
	return all
}

// Every example of the page about the policy language is loaded, and leads to what
// stands below it.
func TestPolicyExamples(t *testing.T) {
	var world *world
	var section string
	results := 0
	for _, f := range fences(t, "policy.md") {
		if f.section != section || world == nil {
			if world != nil {
				world.expectResult("")
			}
			world, section = newWorld(t), f.section
		}
		world.at = fmt.Sprintf("policy.md:%d", f.line)
		word, rest, _ := strings.Cut(f.info, " ")
		switch word {
		case "yaml":
			world.expectResult("")
			world.load(rest, f.text)
		case "store":
			world.expectResult("")
			if got := world.call("POST", "/secrets/acme/"+slashed(rest), "user:admin", strings.TrimSuffix(f.text, "\n")); got.Code != 201 {
				t.Errorf("%s: %d %s", world.at, got.Code, got.Body)
			}
		case "result":
			results++
			world.expectResult(f.text)
		default:
			t.Errorf("%s: a block of no known kind: %s", world.at, f.info)
		}
	}
	world.expectResult("")
	if results < 30 {
		t.Errorf("only %d examples have a result", results)
	}
}

// world is a server with an account, and the answer to the example that is under way.
type world struct {
	*testing.T
	at      string
	handler http.Handler
	keys    map[string]string // API keys by role
	pending *httptest.ResponseRecorder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := sqlite.Open(t.TempDir())
	check(err)
	t.Cleanup(func() { check(store.Close()) })
	text, err := seal.NewRootText(rand.Reader)
	check(err)
	root, err := seal.ParseRoot("the test", text)
	check(err)
	c, err := core.Open(context.Background(), core.Options{
		Store: store, Audit: audit.To(io.Discard), RootKey: root, Config: core.Default(), Now: time.Now, Rand: rand.Reader, Targets: targets(),
	})
	check(err)
	t.Cleanup(func() { check(c.Close()) })
	key, err := c.CreateAccount(context.Background(), core.Operator(), "acme", nil)
	check(err)
	return &world{T: t, handler: httpapi.New(c, httpapi.Options{}), keys: map[string]string{"user:admin": key.RevealString()}}
}

// call sends a request with an access token of a role.
func (w *world) call(method, target, role, body string) *httptest.ResponseRecorder {
	login := strings.TrimPrefix(role, "user:")
	if login == role {
		login = slashed(role)
	}
	token := w.serve(httptest.NewRequest("POST", "/authn/acme/"+strings.ReplaceAll(login, "/", "%2F")+"/authenticate", strings.NewReader(w.keys[role])))
	if token.Code != 200 {
		w.Fatalf("%s: %s does not log in: %d", w.at, role, token.Code)
	}
	r := httptest.NewRequest(method, strings.ReplaceAll(target, " ", "%20"), strings.NewReader(body))
	r.Header.Set("Authorization", `Token token="`+base64.StdEncoding.EncodeToString(token.Body.Bytes())+`"`)
	return w.serve(r)
}

func (w *world) serve(r *http.Request) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	return recorder
}

// slashed writes kind:identifier as a path.
func slashed(id string) string { return strings.Replace(id, ":", "/", 1) }

var methods = map[string]string{"post": "POST", "patch": "PATCH", "put": "PUT"}

// load loads an example: MODE POLICY [dry-run] [as ROLE].
func (w *world) load(how, text string) {
	words := strings.Fields(how)
	role, query := "user:admin", ""
	if n := len(words); n > 2 && words[n-2] == "as" {
		role, words = words[n-1], words[:n-2]
	}
	if len(words) == 3 && words[2] == "dry-run" {
		query, words = "?dryRun=true", words[:2]
	}
	if len(words) != 2 || methods[words[0]] == "" {
		w.Fatalf("%s: yaml %s is no way to load", w.at, how)
	}
	w.pending = w.call(methods[words[0]], "/policies/acme/policy/"+words[1]+query, role, text)
}

// answer has what an answer to a load can say.
type answer struct {
	Created map[string]struct {
		Key *string `json:"api_key"`
	} `json:"created_roles"`
	Warnings []string
	Error    struct{ Message, Advice string }
	Errors   []struct{ Message string }
	Report   items `json:"created"`
	Updated  struct{ After items }
	Deleted  items
	Values   struct{ Variables []string } `json:"deleted_values"`
}

type items struct {
	Items []struct{ Identifier string }
}

func (i items) ids() (ids []string) {
	for _, item := range i.Items {
		ids = append(ids, item.Identifier)
	}
	return ids
}

// expectResult compares what the last example led to with what is written, or with
// success if nothing is.
func (w *world) expectResult(text string) {
	if w.pending == nil {
		if text != "" {
			w.Errorf("%s: a result of nothing", w.at)
		}
		return
	}
	recorder := w.pending
	w.pending = nil
	var got answer
	if recorder.Body.Len() > 0 {
		if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
			w.Fatalf("%s: %v", w.at, err)
		}
	}
	for id, role := range got.Created {
		if role.Key != nil {
			w.keys[strings.TrimPrefix(id, "acme:")] = *role.Key
		}
	}
	if text == "" {
		if recorder.Code != 201 {
			w.Errorf("before %s: %d %s", w.at, recorder.Code, recorder.Body)
		}
		return
	}
	first, claims, _ := strings.Cut(text, "\n")
	message := got.Error.Message
	if len(got.Errors) > 0 {
		message, got.Error.Advice, _ = strings.Cut(got.Errors[0].Message, "\n")
	}
	if said := strings.TrimRight(fmt.Sprint(recorder.Code, " ", message), " "); said != first {
		w.Errorf("%s:\ngot  %s\nwant %s\n%s", w.at, said, first, recorder.Body)
	}
	created := "created "
	for claim := range strings.Lines(claims) {
		claim = strings.TrimSuffix(claim, "\n")
		if strings.HasPrefix(claim, created) {
			created = claim
			continue
		}
		if got, want := w.claim(claim, got); got != want {
			w.Errorf("%s: %s\ngot  %s\nwant %s", w.at, claim, got, want)
		}
	}
	if made := "created " + keys(got); recorder.Code == 201 && sorted(made) != sorted(created) {
		w.Errorf("%s:\ngot  %s\nwant %s", w.at, made, created)
	}
}

// keys lists the roles that a load has created.
func keys(got answer) string {
	var roles []string
	for id, role := range got.Created {
		if id = strings.TrimPrefix(id, "acme:"); role.Key == nil {
			id += " without a key"
		}
		roles = append(roles, id)
	}
	return strings.Join(roles, ", ")
}

// sorted brings a list after one word into order.
func sorted(s string) string {
	word, list, _ := strings.Cut(s, " ")
	parts := strings.Split(list, ", ")
	slices.Sort(parts)
	return word + " " + strings.Join(parts, ", ")
}

// short joins full ids without their account.
func short(ids []string) string {
	trimmed := make([]string, len(ids))
	for i, id := range ids {
		trimmed[i] = strings.TrimPrefix(id, "acme:")
	}
	slices.Sort(trimmed)
	return strings.Join(trimmed, ", ")
}
