package mongodb_test

import (
	"testing"

	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/mongodbtest"
)

// The servers of these tests: one alone, and a set of a secondary and a primary.
var (
	alone, secondary, primary *mongodbtest.Server
	authority                 *targettest.Authority
)

func TestMain(m *testing.M) {
	targettest.Main(m, func(site *targettest.Site) (err error) {
		authority = site.Authority
		if alone, err = mongodbtest.Start(site); err == nil {
			secondary, primary, err = mongodbtest.StartSet(site)
		}
		return err
	})
}
