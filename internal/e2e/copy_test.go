package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// Everything can move from a data directory into a database and back, while nobody serves
// it, and only into what is empty.
func TestStoresAreCopiedBothWays(t *testing.T) {
	t.Parallel()
	s, key := start(t)
	admin := newClient(s.url).as(t, "admin", key)
	host := admin.load(t, "POST", "root", "- !variable v\n- !host h\n- !permit { role: !host h, privileges: [ read, execute ], resource: !variable v }\n")["host/h"]
	for _, value := range []string{"one", "two"} {
		admin.must(t, 201, "POST", "/secrets/demo/variable/v", value)
	}
	before, url, back := admin.listing(t), newDatabase(t), filepath.Join(t.TempDir(), "back")
	key64 := filepath.Join(s.dir, "root.key")
	copies := func(from, to string) (string, error) {
		return rekey("store", "copy", "--from", from, "--to", to, "--data-key-file", key64)
	}
	refused := func(from, to, want string) {
		t.Helper()
		if said, err := copies(from, to); err == nil || !strings.Contains(said, want) {
			t.Errorf("from %s to %s: %v", from, to, err)
		}
	}
	refused(s.dir, url, "is in use by process")
	s.terminate(t)
	refused(filepath.Join(t.TempDir(), "none"), url, "there is nothing to copy")
	there, err := copies(s.dir, url)
	if err != nil {
		t.Fatal(err)
	}
	refused(s.dir, url, "the store is not empty")
	again, err := copies(url, back)
	if err != nil || digestOf(again) != digestOf(there) || digestOf(there) == "" {
		t.Fatalf("the digests differ: %s, %s, %v", there, again, err)
	}
	dir := newDir(t)
	copyKey(t, s.dir, dir)
	copyKey(t, s.dir, back)
	for _, served := range []*server{serve(t, dir, "--database-url", url), serve(t, back)} {
		unchanged(t, before, newClient(served.url).as(t, "admin", key).listing(t))
		got := newClient(served.url).as(t, "host/h", host).must(t, 200, "GET", "/secrets/demo/variable/v?version=1", "")
		if got.body != "one" {
			t.Errorf("got %v", got)
		}
	}
}
