package postgres

import (
	"context"

	"rekey/internal/row"
	"rekey/internal/store"
	"rekey/internal/store/schema"
)

// Deliveries returns the newest deliveries, as store.Deliveries says.
func (s *Store) Deliveries(ctx context.Context, f store.DeliveryFilter) ([]row.Delivery, error) {
	from, to := f.Account+":", f.Account+";" // ; follows :
	if f.Account == "" {
		from, to = "", "\xff"
	}
	return s.deliveries(ctx, `WHERE subject >= $1 AND subject < $2 AND ($3 = '' OR hook = $3) AND ($4 = '' OR state = $4)
		ORDER BY created_at DESC, id DESC LIMIT $5 OFFSET $6`,
		one(schema.Name, from), one(schema.Name, to), one(schema.Name, short(f.Hook)), one(schema.Name, string(f.State)),
		one(schema.Int, int64(f.Limit)), one(schema.Int, int64(f.Skip)))
}

// WaitingDeliveries returns what waits for a webhook, as store.Deliveries says.
func (s *Store) WaitingDeliveries(ctx context.Context, hook string, limit int) ([]row.Delivery, error) {
	return s.deliveries(ctx, "WHERE hook = $1 AND state = $2 ORDER BY next_at, id LIMIT $3",
		one(schema.Name, short(hook)), one(schema.Name, string(row.Waiting)), one(schema.Int, int64(limit)))
}

func (s *Store) deliveries(ctx context.Context, conditions string, parameters ...parameter) (list []row.Delivery, err error) {
	t := schema.Deliveries
	long := map[string]string{}
	columns := append(t.Columns[:len(t.Columns):len(t.Columns)], schema.Column{Name: "full_subject", Kind: schema.Text})
	err = s.query(ctx, "reading deliveries", func() { list = nil }, func(raw [][]byte) error {
		if subject := string(raw[3]); len(subject) == shortLength {
			long[subject] = string(raw[len(raw)-1])
		}
		r, err := rowOf(t, columns[:len(t.Columns)], raw[:len(t.Columns)], long)
		if err == nil {
			list = append(list, r.(row.Delivery))
		}
		return err
	}, "SELECT "+names(t.Columns)+", coalesce((SELECT name FROM rekey.names WHERE short = subject), '') FROM rekey.deliveries "+conditions, parameters...)
	return list, err
}
