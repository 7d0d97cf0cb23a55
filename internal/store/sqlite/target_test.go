package sqlite_test

import (
	"testing"

	"rekey/internal/store"
	"rekey/internal/store/sqlite"
	"rekey/internal/store/storetest"
)

func TestTargets(t *testing.T) {
	storetest.RunTargets(t, func(t *testing.T) storetest.Place {
		dir := t.TempDir()
		return storetest.Place{
			Store:  func() (store.Store, error) { return sqlite.Open(dir) },
			Target: func() (store.Target, error) { return sqlite.OpenTarget(dir) },
		}
	})
}
