package docs_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rekey/internal/core"
	"rekey/internal/rotation"
	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/aws"
	"rekey/internal/rotation/target/azure"
	"rekey/internal/rotation/target/conjur"
	"rekey/internal/rotation/target/exec"
	"rekey/internal/rotation/target/gcp"
	"rekey/internal/rotation/target/ldap"
	"rekey/internal/rotation/target/mongodb"
	"rekey/internal/rotation/target/mssql"
	"rekey/internal/rotation/target/mysql"
	"rekey/internal/rotation/target/postgresql"
	"rekey/internal/rotation/target/redis"
	"rekey/internal/rotation/target/ssh"
	targethook "rekey/internal/rotation/target/webhook"
	"rekey/internal/webhook"
)

// secretLine is a secret of a webhook.
const secretLine = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// targets are the kinds that the pages speak of, without a network.
func targets() *core.Targets {
	programs := map[string]exec.Program{"shop-users": {Path: "/usr/local/bin/shop-users"}}
	kinds := map[string]target.Kind{}
	for _, kind := range []target.Kind{
		postgresql.Kind(), mysql.Kind(), redis.Kind(), ldap.Kind(), ssh.Password(), ssh.Key(), aws.Kind(), azure.Kind(), gcp.Kind(),
		conjur.Kind(), mongodb.Kind(), mssql.Kind(), exec.Kind(programs), targethook.Kind(time.Now),
	} {
		kinds[kind.Name()] = kind
	}
	nowhere := func(context.Context, string, string) (net.Conn, error) {
		return nil, target.Errorf(target.Unreachable, nil, "the tests have no network")
	}
	return &core.Targets{Kinds: kinds, Dial: nowhere, Node: "the test", Limits: rotation.DefaultLimits()}
}

// Each policy loads, and there is one for each kind; the commands succeed one after the
// other, upon the first policy.
func TestRotationExamples(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	auth := w.header("admin")
	runner := ""
	rotators := map[string]bool{}
	for i, f := range fences(t, "rotation.md") {
		at := fmt.Sprintf("rotation.md:%d", f.line)
		switch f.info {
		case "yaml":
			each := w
			if i > 0 {
				each = newWorld(t) // the examples stand alone
			}
			each.at = at
			each.load("post root", f.text)
			each.expectResult("")
			_, after, _ := strings.Cut(f.text, "rotation/rotator: ")
			name, _, _ := strings.Cut(after, "\n")
			rotators[name] = true
		case "yaml shared.yml":
			w.at = at
			w.load("post root", f.text)
			w.expectResult("")
			runner = w.header("host/shop/jobs/runner")
		case "sh":
			cmd := osexec.Command("bash", "-c", "set -euo pipefail\n"+f.text)
			cmd.Env = append(os.Environ(), "REKEY="+server.URL, "AUTH="+auth, "RUNNER="+runner)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v\n%s", at, err, out)
			}
			if strings.Contains(f.text, "plan") && !strings.Contains(string(out), "the tests have no network") {
				t.Errorf("%s: the plan does not come to the target: %s", at, out)
			}
		case "text":
		case "python": // the tests below run these
		case "yaml webhooks.yml":
			dir := t.TempDir()
			for name, text := range map[string]string{"webhooks.yml": f.text, "deploy.secret": secretLine, "oncall.secret": secretLine} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if hooks, err := webhook.Read(filepath.Join(dir, "webhooks.yml")); err != nil || len(hooks) != 2 {
				t.Errorf("%s: %v", at, err)
			}
		default:
			t.Errorf("%s: a block of no known kind: %s", at, f.info)
		}
	}
	if len(rotators) != len(targets().Kinds) {
		t.Errorf("not one example for each kind: %v", rotators)
	}
	page, err := os.ReadFile("rotation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tested, _ := strings.Cut(string(page), "\n## How the kinds are tested\n")
	for name := range targets().Kinds {
		if !strings.Contains(tested, "\n| `"+name+"` | ") { // what is in the row is for its tests to say
			t.Errorf("the page does not say what %s is tested against", name)
		}
	}
}

// header is that of the requests of somebody who has a key.
func (w *world) header(login string) string {
	role := login
	if !strings.Contains(login, "/") {
		role = "user:" + login
	}
	token := w.serve(httptest.NewRequest("POST", "/authn/acme/"+url.PathEscape(login)+"/authenticate", strings.NewReader(w.keys[strings.Replace(role, "host/", "host:", 1)])))
	return `Authorization: Token token="` + base64.StdEncoding.EncodeToString(token.Body.Bytes()) + `"`
}

// What the page says of kinds whose targets end old values by themselves.
func TestWhichKindsCanWaitForConsumers(t *testing.T) {
	kinds := targets().Kinds
	for name, want := range map[string]bool{
		"postgresql/password": false, "mssql/password": false, "mongodb/password": false, "ldap/password": false, "ssh/password": false, "conjur/api-key": false,
		"redis/password": true, "mysql/password": true, "ssh/key": true, "aws/secret-key": true, "azure/client-secret": true, "gcp/service-account-key": true, "exec": true, "webhook": true,
	} {
		annotations := map[string]string{"rotation/rotator": name, "rotation/grace": "PT1H", "rotation/consumers": "host/app"}
		waits := func() bool {
			return !slices.ContainsFunc(rotation.Check("variable", annotations, kinds), func(p target.Problem) bool { return p.Annotation == "rotation/consumers" })
		}
		if kinds[name] == nil || waits() != want {
			t.Errorf("%s waits for consumers: %v", name, waits())
		}
		if annotations["rotation/"+name+"/users"] = "a,b"; strings.HasSuffix(name, "/password") && !waits() {
			t.Errorf("%s does not with users who take turns", name)
		}
	}
}
