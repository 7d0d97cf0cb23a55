package postgres_test

import (
	"context"
	"testing"

	"rekey/internal/store"
	"rekey/internal/store/postgres"
	"rekey/internal/store/postgres/postgrestest"
	"rekey/internal/store/storetest"
)

var (
	ctx    = context.Background()
	server *postgrestest.Server
)

func TestMain(m *testing.M) { postgrestest.Main(m, func(s *postgrestest.Server) { server = s }) }

func open(t testing.TB, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	urls := map[store.Store]string{}
	storetest.Run(t,
		func(t *testing.T) store.Store {
			url := server.Database(t)
			s := open(t, url)
			urls[s] = url
			return s
		},
		func(t *testing.T, old store.Store) store.Store {
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			s := open(t, urls[old])
			urls[s] = urls[old]
			return s
		})
}
