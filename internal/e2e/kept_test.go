package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/seal"
	"rekey/internal/secret"
	"rekey/internal/store/sqlite"
)

// kept is what the data directory of a dead server holds about rotations, read from a
// copy by somebody with the root key, so that the next server finds it as it was left.
type kept struct {
	rotations   map[ident.ID]row.Rotation
	published   map[ident.ID]string              // newest values of variables
	credentials map[ident.ID]map[row.Slot]values // beside the published ones
}

// values belong together, by variable name; that of the rotated variable has none.
type values map[string]string

func lookInto(t *testing.T, dir string) kept {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	copied := t.TempDir()
	for _, name := range []string{"rekey.db", "rekey.db-wal"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		must(err)
		must(os.WriteFile(filepath.Join(copied, name), text, 0o600))
	}
	rows, err := sqlite.Open(copied)
	must(err)
	defer func() {
		must(rows.Close())
		must(os.RemoveAll(copied)) // there are many of them
	}()
	ctx := context.Background()
	root, err := seal.ParseRoot("root.key", secret.FromString(read(t, filepath.Join(dir, "root.key"))))
	must(err)
	keys, err := rows.DataKeys(ctx)
	must(err)
	ring := &seal.Keyring{}
	for _, k := range keys {
		key, err := root.Unwrap(k.ID, k.Wrapped)
		must(err)
		must(ring.Add(key))
	}
	open := func(sealed []byte, err error, aad string) []byte {
		t.Helper()
		must(err)
		plain, err := ring.Open(sealed, aad)
		must(err)
		return plain.Reveal()
	}
	k := kept{map[ident.ID]row.Rotation{}, map[ident.ID]string{}, map[ident.ID]map[row.Slot]values{}}
	newest := map[ident.ID]int{}
	var slots []row.Credential
	must(rows.Load(ctx, func(r row.Row) error {
		switch r := r.(type) {
		case row.Secret:
			newest[r.Resource] = max(newest[r.Resource], r.Version)
		case row.Rotation:
			k.rotations[r.Variable] = r
		case row.Credential:
			slots = append(slots, r)
		}
		return nil
	}))
	for id, version := range newest {
		sealed, err := rows.Secret(ctx, id, version)
		k.published[id] = string(open(sealed, err, fmt.Sprintf("secret\x00%s\x00%d", id, version)))
	}
	for _, c := range slots {
		sealed, err := rows.Credential(ctx, c.Variable, c.Slot)
		var plain map[string][]byte
		must(json.Unmarshal(open(sealed, err, "rotation\x00"+string(c.Variable)+"\x00"+string(c.Slot)), &plain))
		if k.credentials[c.Variable] == nil {
			k.credentials[c.Variable] = map[row.Slot]values{}
		}
		v := values{}
		for name, value := range plain {
			v[name] = string(value)
		}
		k.credentials[c.Variable][c.Slot] = v
	}
	return k
}
