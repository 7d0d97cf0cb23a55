package mysql_test

import (
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/mysqltest"
)

// The servers of these tests: one has TLS and judges passwords, one has neither.
var (
	strict, plain *mysqltest.Server
	authority     *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		authority = site.Authority
		if strict, err = mysqltest.Start(site); err == nil {
			plain, err = mysqltest.StartPlain(site)
		}
		return err
	})
}
