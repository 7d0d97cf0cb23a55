package postgres

import (
	"fmt"
	"slices"
	"strings"

	"rekey/internal/store/schema"
)

// write makes the stored rows what the ledger has come to.
func (l *ledger) write(p *pipeline, n *needs) {
	l.cascade(p)
	upserts, deletes := map[*schema.Table][][]schema.Value{}, map[*schema.Table][][]schema.Value{}
	for k, e := range l.entries {
		switch {
		case e.exists && e.values != nil:
			upserts[k.table] = append(upserts[k.table], e.values)
		case !e.exists && e.step != nil:
			deletes[k.table] = append(deletes[k.table], e.key)
		}
	}
	addNames(p, n.names)
	for _, t := range schema.Tables() {
		key := t.Columns[:t.Keys]
		for rows := range slices.Chunk(deletes[t], chunk) {
			p.add(nil, fmt.Sprintf("DELETE FROM rekey.%s WHERE %s", t.Name, among(key)), arrays(key, rows)...)
		}
		for rows := range portions(upserts[t]) {
			p.add(nil, upsert(t), arrays(t.Columns, rows)...)
		}
	}
}

// addNames writes long names down, by their short form.
func addNames(p *pipeline, names map[string]string) {
	var long [][]schema.Value
	for s, name := range names {
		long = append(long, []schema.Value{s, name})
	}
	if len(long) > 0 {
		columns := []schema.Column{{Name: "short", Kind: schema.Name}, {Name: "name", Kind: schema.Name}}
		p.add(nil, "INSERT INTO rekey.names (short, name) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT (short) DO NOTHING", arrays(columns, long)...)
	}
}

// cascade deletes what went with accounts, roles, resources and API keys.
func (l *ledger) cascade(p *pipeline) {
	gone := map[*schema.Table][]schema.Value{}
	for k, name := range l.dropped {
		gone[k.table] = append(gone[k.table], name)
	}
	gone[schema.APIKeys] = append(gone[schema.APIKeys], gone[schema.Roles]...) // which go along
	for _, t := range schema.Tables() {
		for _, parent := range t.Parents {
			if names := gone[parent.Of]; parent.Goes && len(names) > 0 {
				p.add(nil, fmt.Sprintf("DELETE FROM rekey.%s WHERE %s = ANY($1::bytea[])", t.Name, t.Columns[parent.Column].Name), many(schema.Name, names))
			}
		}
	}
}

func upsert(t *schema.Table) string {
	var set []string
	for _, c := range t.Columns[t.Keys:] {
		set = append(set, c.Name+" = excluded."+c.Name)
	}
	key := names(t.Columns[:t.Keys])
	return fmt.Sprintf("INSERT INTO rekey.%s (%s) SELECT * FROM unnest(%s) ON CONFLICT (%s) DO UPDATE SET %s",
		t.Name, names(t.Columns), places(t.Columns), key, strings.Join(set, ", "))
}

// portionBytes bounds, roughly, what one statement carries.
const portionBytes = 8 << 20

// portions cuts rows into as many as a statement takes.
func portions(rows [][]schema.Value) func(func([][]schema.Value) bool) {
	return func(yield func([][]schema.Value) bool) {
		from, size := 0, 0
		for i, values := range rows {
			for _, v := range values {
				switch v := v.(type) {
				case string:
					size += len(v)
				case []byte:
					size += len(v)
				}
			}
			if i+1-from == chunk || size > portionBytes || i+1 == len(rows) {
				if !yield(rows[from : i+1]) {
					return
				}
				from, size = i+1, 0
			}
		}
	}
}
