package schema

import "rekey/internal/row"

// Whole makes the row of all its values, with the content that Row leaves out. The error
// wraps ErrDamaged.
func (t *Table) Whole(values []Value) (row.Row, error) {
	r, err := t.Row(values)
	if err != nil || !t.Content {
		return r, err
	}
	content := values[len(t.Columns)-1]
	switch r := r.(type) {
	case row.APIKey:
		r.Sealed = bytes(content)
		return r, nil
	case row.Secret:
		r.Sealed = bytes(content)
		return r, nil
	case row.Credential:
		r.Sealed = bytes(content)
		return r, nil
	case row.PolicyVersion:
		r.Text = text(content)
		return r, nil
	}
	panic("schema: the content of table " + t.Name + " has no place in its row")
}
