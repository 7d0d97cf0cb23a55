package webhook_test

import (
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/webhooktest"
)

// The server of these tests.
var (
	server    *webhooktest.Server
	authority *targettest.Authority
)

func TestMain(m *testing.M) {
	webhooktest.Be()
	targettest.Main(m, func(site *targettest.Site) (err error) {
		authority = site.Authority
		server, err = webhooktest.Start(site)
		return err
	})
}
