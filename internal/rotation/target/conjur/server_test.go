package conjur_test

import (
	"os"
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/conjurtest"
)

// The server of these tests.
var (
	server    *conjurtest.Server
	authority *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		if err := os.Setenv("HTTPS_PROXY", "http://127.0.0.1:1"); err != nil { // must not matter
			return err
		}
		authority = site.Authority
		server, err = conjurtest.Start(site)
		return err
	})
}
