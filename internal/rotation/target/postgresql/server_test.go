package postgresql_test

import (
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/postgresqltest"
)

// The servers of these tests: one with TLS, one without.
var (
	tls, plain *postgresqltest.Server
	authority  *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		authority = site.Authority
		if tls, err = postgresqltest.Start(site); err == nil {
			plain, err = postgresqltest.StartPlain(site)
		}
		return err
	})
}
