package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says, for each package, which others it may import outside of its tests. The
// order is that of the house: a room stands above all that it may import.
var rooms = []struct {
	room string
	may  []string
}{
	{"cmd/rekey", []string{"internal/cli"}},
	{"cmd/rekey-bench", []string{"internal/bench"}},
	{"internal/bench", nil},
	{"internal/cli", []string{"internal/agent", "internal/cli/client", "internal/secretsyml", "internal/period", "internal/server", "internal/server/admin", "internal/config", "internal/core", "internal/backup", "internal/rotation/target/password", "internal/policy", "internal/apikey", "internal/seal", "internal/ident", "internal/fault", "internal/secret"}},
	{"internal/agent", []string{"internal/cli/client", "internal/secretsyml", "internal/period", "internal/ident", "internal/fault", "internal/secret"}},
	{"internal/cli/client", []string{"internal/apikey", "internal/ident", "internal/fault", "internal/secret"}},
	{"internal/server", []string{"internal/server/admin", "internal/webhook", "internal/httpapi", "internal/backup", "internal/rotation/engine", "internal/metrics", "internal/rotation", "internal/rotation/target", "internal/rotation/target/postgresql", "internal/rotation/target/mysql", "internal/rotation/target/redis", "internal/rotation/target/mongodb", "internal/rotation/target/mssql", "internal/rotation/target/ldap", "internal/rotation/target/ssh", "internal/rotation/target/aws", "internal/rotation/target/azure", "internal/rotation/target/gcp", "internal/rotation/target/exec", "internal/rotation/target/conjur", "internal/rotation/target/webhook", "internal/config", "internal/core", "internal/store/sqlite", "internal/store/postgres", "internal/store", "internal/audit", "internal/seal", "internal/ident", "internal/fault", "internal/secret"}},
	{"internal/server/admin", []string{"internal/core", "internal/backup", "internal/seal", "internal/ident", "internal/fault", "internal/secret"}},
	{"internal/config", []string{"internal/fault", "internal/secret"}},
	{"internal/rotation/target/targettest/conjurtest", []string{"internal/httpapi", "internal/core", "internal/policy", "internal/rotation/target/targettest", "internal/rotation/target", "internal/store/sqlite", "internal/audit", "internal/seal", "internal/ident", "internal/secret"}},
	{"internal/httpapi", []string{"internal/openapi", "internal/core", "internal/metrics", "internal/policy", "internal/rotation", "internal/row", "internal/ident", "internal/fault", "internal/secret"}},
	{"internal/webhook", []string{"internal/core", "internal/row", "internal/fault", "internal/secret"}},
	{"internal/openapi/openapitest", []string{"internal/openapi"}},
	{"internal/openapi", nil},
	{"internal/rotation/engine", []string{"internal/core", "internal/metrics", "internal/rotation/target", "internal/ident"}},
	{"internal/core", []string{"internal/backup", "internal/metrics", "internal/rotation", "internal/rotation/target", "internal/policy", "internal/rbac", "internal/store", "internal/audit", "internal/seal", "internal/token", "internal/apikey", "internal/password", "internal/row", "internal/ident", "internal/period", "internal/fault", "internal/secret"}},
	{"internal/backup", []string{"internal/rotation", "internal/store/schema", "internal/store", "internal/seal", "internal/row", "internal/ident", "internal/fault"}},
	{"internal/rotation", []string{"internal/rotation/target", "internal/row", "internal/ident", "internal/period", "internal/fault"}},
	{"internal/rotation/target/targettest/mysqltest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest/redistest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest/ldaptest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest/sshtest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest/mongodbtest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest/mssqltest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest/gcptest", []string{"internal/rotation/target/targettest", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/targettest/exectest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest/webhooktest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest/awstest", []string{"internal/rotation/target/aws", "internal/rotation/target/targettest", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/targettest/azuretest", []string{"internal/rotation/target/azure", "internal/rotation/target/targettest", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/postgresql", []string{"internal/rotation/target/password", "internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/mysql", []string{"internal/rotation/target/password", "internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/mssql", []string{"internal/rotation/target/password", "internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/mongodb", []string{"internal/rotation/target/password", "internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/redis", []string{"internal/rotation/target/password", "internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/ldap", []string{"internal/rotation/target/password", "internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/ssh", []string{"internal/rotation/target/password", "internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/exec", []string{"internal/rotation/target/delegate", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/webhook", []string{"internal/rotation/target/delegate", "internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/delegate", []string{"internal/rotation/target/password", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/aws", []string{"internal/rotation/target/cloud", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/azure", []string{"internal/rotation/target/cloud", "internal/rotation/target", "internal/period", "internal/secret"}},
	{"internal/rotation/target/gcp", []string{"internal/rotation/target/cloud", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/conjur", []string{"internal/rotation/target/cloud", "internal/rotation/target", "internal/period", "internal/secret"}},
	{"internal/rotation/target/cloud", []string{"internal/rotation/target/transport", "internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/targettest/postgresqltest", []string{"internal/store/postgres/postgrestest", "internal/rotation/target/targettest"}},
	{"internal/store/postgres/postgrestest", []string{"internal/rotation/target/targettest"}},
	{"internal/rotation/target/targettest", []string{"internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/password", []string{"internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target/transport", []string{"internal/rotation/target", "internal/secret"}},
	{"internal/rotation/target", []string{"internal/secret"}},
	{"internal/policy", []string{"internal/rbac", "internal/row", "internal/ident", "internal/period", "internal/fault"}},
	{"internal/rbac", []string{"internal/row", "internal/ident"}},
	{"internal/store/sqlite", []string{"internal/store/schema", "internal/store", "internal/row", "internal/ident", "internal/fault"}},
	{"internal/store/postgres", []string{"internal/store/changelog", "internal/store/schema", "internal/store", "internal/row", "internal/ident", "internal/fault"}},
	{"internal/store/changelog", []string{"internal/store/schema", "internal/row"}},
	{"internal/store/schema", []string{"internal/row", "internal/ident", "internal/fault"}},
	{"internal/store/storetest", []string{"internal/store", "internal/row", "internal/ident"}},
	{"internal/store", []string{"internal/row", "internal/ident", "internal/fault"}},
	{"internal/audit", []string{"internal/ident", "internal/fault"}},
	{"internal/seal", []string{"internal/fault", "internal/secret"}},
	{"internal/token", []string{"internal/ident", "internal/fault", "internal/secret"}},
	{"internal/apikey", []string{"internal/fault", "internal/secret"}},
	{"internal/password", []string{"internal/fault", "internal/secret"}},
	{"internal/row", []string{"internal/ident"}},
	{"internal/ident", []string{"internal/fault"}},
	{"internal/secretsyml", []string{"internal/fault"}},
	{"internal/metrics", nil},
	{"internal/period", nil},
	{"internal/fault", nil},
	{"internal/secret", nil},
}

const module = "rekey/"

func TestImportsRunDownwards(t *testing.T) {
	level := map[string]int{}
	may := map[string][]string{}
	for i, r := range rooms {
		level[r.room], may[r.room] = i, r.may
	}
	for _, r := range rooms {
		for _, below := range r.may {
			if at, ok := level[below]; !ok || at <= level[r.room] {
				t.Errorf("the table lets %s import %s, which does not stand below it", r.room, below)
			}
		}
	}
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		room := path.Dir(filepath.ToSlash(strings.TrimPrefix(filepath.ToSlash(name), "../")))
		allowed, ok := may[room]
		if !ok {
			t.Errorf("%s is in no room of the table", name)
			return nil
		}
		seen[room] = true
		for _, i := range file.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			if below, ours := strings.CutPrefix(imported, module); ours && !slices.Contains(allowed, below) {
				t.Errorf("%s imports %s", name, below)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rooms {
		if !seen[r.room] {
			t.Errorf("the table has room %s, but there is no such package", r.room)
		}
	}
}
