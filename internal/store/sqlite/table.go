package sqlite

import (
	"fmt"
	"strings"

	"rekey/internal/store/schema"
)

// statements are what is asked of one table.
type statements struct{ insert, update, delete, load, export string }

var statementsOf = func() map[*schema.Table]statements {
	all := map[*schema.Table]statements{}
	for _, t := range schema.Tables() {
		all[t] = write(t)
	}
	return all
}()

func write(t *schema.Table) statements {
	names := func(columns []schema.Column, format string) (list []string) {
		for i, c := range columns {
			list = append(list, fmt.Sprintf(format, c.Name, i+1))
		}
		return list
	}
	// The numbers of the parameters are those of the columns.
	equal := names(t.Columns, "%s = ?%d")
	where, set := strings.Join(equal[:t.Keys], " AND "), strings.Join(equal[t.Keys:], ", ")
	columns, loaded := names(t.Columns, "%[1]s"), names(t.Loaded(), "%[1]s")
	query := func(asked []string) string {
		return fmt.Sprintf("SELECT %s FROM %s ORDER BY %s", strings.Join(asked, ", "), t.Name, strings.Join(columns[:t.Keys], ", "))
	}
	return statements{
		insert: fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s) ON CONFLICT DO NOTHING",
			t.Name, strings.Join(columns, ", "), strings.Repeat(", ?", len(columns)-1)),
		update: fmt.Sprintf("UPDATE %s SET %s WHERE %s", t.Name, set, where),
		delete: fmt.Sprintf("DELETE FROM %s WHERE %s", t.Name, where),
		load:   query(loaded),
		export: query(columns),
	}
}
