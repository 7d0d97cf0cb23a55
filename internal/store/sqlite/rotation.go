package sqlite

import (
	"context"
	"database/sql/driver"

	"rekey/internal/ident"
	"rekey/internal/row"
	"rekey/internal/store/schema"
)

// Credential returns a sealed credential, as store.Store says.
func (s *Store) Credential(ctx context.Context, variable ident.ID, slot row.Slot) ([]byte, error) {
	return s.sealed(ctx, "SELECT sealed FROM credentials WHERE variable = ? AND slot = ?", string(variable), string(slot))
}

// RotationEvents returns the kept history of a rotation, as store.Store says.
func (s *Store) RotationEvents(ctx context.Context, variable ident.ID) (events []row.RotationEvent, err error) {
	err = s.read(ctx, "reading the history of a rotation", func(reader *conn) error {
		return reader.query(func(v []driver.Value) error {
			r, err := schema.RotationEvents.Row(v)
			if err == nil {
				events = append(events, r.(row.RotationEvent))
			}
			return err
		}, `SELECT variable, revision, at, id, state, actor, event, class, message, took
			FROM rotation_events WHERE variable = ? ORDER BY revision`, string(variable))
	})
	return events, err
}
