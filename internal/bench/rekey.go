package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	account    = "bench"
	auditFile  = "audit.log"
	startLimit = 3 * time.Minute // for a server to give its first answer, and to stop
)

// rekey is a rekey server with a data directory of its own and one account.
type rekey struct {
	*process
	env       *Env
	variables []string // environment of its commands
	dir       string
	core      int
	adminKey  string
	token     string // of admin, as the value of an Authorization header
}

// newRekey makes a data directory with an account in it; nothing runs yet. Settings are more environment.
func (e *Env) newRekey(ctx context.Context, settings ...string) (*rekey, error) {
	dir, err := os.MkdirTemp(e.Dir, "rekey-")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	dataKey := make([]byte, 32)
	rand.Read(dataKey)
	r := &rekey{env: e, dir: dir, core: e.Cores.Serve, process: &process{address: address}, variables: append([]string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + dir,
		"REKEY_DATA_DIR=" + filepath.Join(dir, "data"),
		"REKEY_DATA_KEY=" + base64.StdEncoding.EncodeToString(dataKey),
		"REKEY_LISTEN=" + address,
		"REKEY_AUDIT=file:" + filepath.Join(dir, auditFile),
	}, settings...)}
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	create := exec.CommandContext(ctx, e.Rekey, "account", "create", account)
	create.Env = r.variables
	var complaints bytes.Buffer
	create.Stderr = &complaints
	out, err := create.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", create, err, complaints.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	key, found := strings.CutPrefix(lines[len(lines)-1], "API key for admin: ")
	if !found {
		return nil, fmt.Errorf("%s: the last line does not begin with %q: %q", create, "API key for admin: ", out)
	}
	r.adminKey = strings.TrimSpace(key)
	return r, nil
}

// startRekey makes a server and starts it, with a token of its admin at hand.
func (e *Env) startRekey(ctx context.Context, settings ...string) (*rekey, error) {
	r, err := e.newRekey(ctx, settings...)
	if err != nil {
		return nil, err
	}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	if err := r.poll(ctx, startLimit, r.listening); err != nil {
		return nil, err
	}
	r.token, err = r.authenticate(ctx, "admin", r.adminKey)
	return r, err
}

// startBeside starts another server of the same database on another core.
func (r *rekey) startBeside(ctx context.Context, core int) (*rekey, error) {
	dir, err := os.MkdirTemp(r.env.Dir, "rekey-")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	other := *r
	other.dir, other.core, other.process = dir, core, &process{address: address}
	other.variables = append(slices.Clone(r.variables), // of which the last ones count
		"HOME="+dir,
		"REKEY_DATA_DIR="+filepath.Join(dir, "data"),
		"REKEY_LISTEN="+address,
		"REKEY_AUDIT=file:"+filepath.Join(dir, auditFile))
	if err := other.start(ctx); err != nil {
		return nil, err
	}
	return &other, other.poll(ctx, startLimit, other.listening)
}

// start runs `rekey server` on its core and does not wait for it.
func (r *rekey) start(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, r.env.Rekey, "server")
	cmd.Env, cmd.Dir = r.variables, r.dir
	var err error
	r.process, err = r.env.startServer(cmd, r.address, filepath.Join(r.dir, "log"), r.core)
	return err
}

// auditRecords counts the lines of the audit file.
func (r *rekey) auditRecords() (int, error) {
	file, err := os.Open(filepath.Join(r.dir, auditFile))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	count, chunk := 0, make([]byte, 1<<20)
	for {
		n, err := file.Read(chunk)
		count += bytes.Count(chunk[:n], []byte("\n"))
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// call sends one request outside of any measurement and returns the body of an answer with the wanted status.
func (r *rekey) call(ctx context.Context, method, path, authorization, body string, want int) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.address+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != want {
		return nil, fmt.Errorf("%s %s: status %d, want %d: %.300s", method, path, response.StatusCode, want, answer)
	}
	return answer, nil
}

// authenticate exchanges an API key for the Authorization header of the login.
func (r *rekey) authenticate(ctx context.Context, login, key string) (string, error) {
	token, err := r.call(ctx, "POST", authenticatePath(login), "", key, http.StatusOK)
	return tokenHeader(token), err
}

func authenticatePath(login string) string {
	return "/authn/" + account + "/" + url.PathEscape(login) + "/authenticate"
}

func tokenHeader(token []byte) string {
	return `Token token="` + base64.StdEncoding.EncodeToString(token) + `"`
}

// load adds the policy text to the root policy and returns the API keys of the hosts it made, by identifier.
func (r *rekey) load(ctx context.Context, text string) (keys map[string]string, err error) {
	answer, err := r.call(ctx, "POST", policyPath, r.token, text, http.StatusCreated)
	if err != nil {
		return nil, err
	}
	return createdHosts(answer)
}

const policyPath = "/policies/" + account + "/policy/root"

// createdHosts reads the answer to a policy load.
func createdHosts(answer []byte) (keys map[string]string, err error) {
	var loaded struct {
		CreatedRoles map[string]struct {
			APIKey string `json:"api_key"`
		} `json:"created_roles"`
	}
	if err := json.Unmarshal(answer, &loaded); err != nil {
		return nil, fmt.Errorf("answer to a policy load: %w: %.300s", err, answer)
	}
	keys = map[string]string{}
	for id, role := range loaded.CreatedRoles {
		if host, is := strings.CutPrefix(id, account+":host:"); is {
			keys[host] = role.APIKey
		}
	}
	return keys, nil
}

func secretPath(variable string) string {
	return "/secrets/" + account + "/variable/" + url.PathEscape(variable)
}

// write stores a value of a variable, as admin.
func (r *rekey) write(ctx context.Context, variable, value string) error {
	_, err := r.call(ctx, "POST", secretPath(variable), r.token, value, http.StatusCreated)
	return err
}

// read returns the current value of a variable, as admin.
func (r *rekey) read(ctx context.Context, variable string) (string, error) {
	value, err := r.call(ctx, "GET", secretPath(variable), r.token, "", http.StatusOK)
	return string(value), err
}

// render returns a whole HTTP/1.1 request for the load generator.
func render(method, path, authorization, body string) []byte {
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", method, path)
	if authorization != "" {
		fmt.Fprintf(&request, "Authorization: %s\r\n", authorization)
	}
	if body != "" || method != "GET" {
		fmt.Fprintf(&request, "Content-Length: %d\r\n", len(body))
	}
	request.WriteString("\r\n" + body)
	return request.Bytes()
}
