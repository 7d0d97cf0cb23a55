package sqlite

import (
	"context"
	"database/sql/driver"
	"strings"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// deliverySQL selects deliveries, with conditions and an order behind it.
var deliverySQL = strings.TrimSuffix(statementsOf[schema.Deliveries].load, " ORDER BY id")

// Deliveries returns the newest deliveries, as store.Deliveries says.
func (s *Store) Deliveries(ctx context.Context, f store.DeliveryFilter) ([]row.Delivery, error) {
	from, to := f.Account+":", f.Account+";" // ; follows :
	if f.Account == "" {
		from, to = "", "\U0010ffff"
	}
	return s.deliveries(ctx, deliverySQL+` WHERE subject >= ?1 AND subject < ?2 AND (?3 = '' OR hook = ?3) AND (?4 = '' OR state = ?4)
		ORDER BY created_at DESC, id DESC LIMIT ?5 OFFSET ?6`, from, to, f.Hook, string(f.State), int64(f.Limit), int64(f.Skip))
}

// WaitingDeliveries returns what waits for a webhook, as store.Deliveries says.
func (s *Store) WaitingDeliveries(ctx context.Context, hook string, limit int) ([]row.Delivery, error) {
	return s.deliveries(ctx, deliverySQL+" WHERE hook = ?1 AND state = ?2 ORDER BY next_at, id LIMIT ?3", hook, string(row.Waiting), int64(limit))
}

func (s *Store) deliveries(ctx context.Context, sql string, args ...driver.Value) (list []row.Delivery, err error) {
	err = s.read(ctx, "reading deliveries", func(reader *conn) error {
		return reader.query(func(v []driver.Value) error {
			r, err := schema.Deliveries.Row(v)
			if err == nil {
				list = append(list, r.(row.Delivery))
			}
			return err
		}, sql, args...)
	})
	return list, err
}
