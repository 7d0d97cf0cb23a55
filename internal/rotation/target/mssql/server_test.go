package mssql_test

import (
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/mssqltest"
)

// The servers of these tests: one has TLS, one has not.
var (
	strict, plain *mssqltest.Server
	authority     *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		authority = site.Authority
		if strict, err = mssqltest.Start(site); err == nil {
			plain, err = mssqltest.StartPlain(site)
		}
		return err
	})
}
