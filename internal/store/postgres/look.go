package postgres

import (
	"fmt"
	"strings"

	"rekey/internal/store/schema"
)

// look asks for all that is needed, into a ledger.
func (n *needs) look(p *pipeline, l *ledger) {
	for _, t := range schema.Tables() {
		if keys := n.rows[t]; len(keys) > 0 {
			n.lookRows(p, l, t)
		}
	}
	if len(n.versions) > 0 {
		var names []schema.Value
		for _, name := range n.versions {
			names = append(names, name)
		}
		key := schema.Secrets.Columns[:schema.Secrets.Keys]
		p.add(func(raw [][]byte) error {
			if raw[1] == nil {
				return nil // it has no value
			}
			values, err := scan(key, raw)
			if err == nil {
				l.know(schema.Secrets, values, true)
			}
			return err
		}, "SELECT wanted.name, (SELECT max(version) FROM rekey.secrets WHERE resource = wanted.name) FROM unnest($1::bytea[]) AS wanted(name)", many(schema.Name, names))
	}
	if n.dataKeys {
		p.add(func(raw [][]byte) error {
			values, err := scan([]schema.Column{{Name: "id", Kind: schema.Int}, {Name: "active", Kind: schema.Bool}}, raw)
			if err == nil {
				l.know(schema.DataKeys, values, true)
			}
			return err
		}, "SELECT id, active FROM rekey.data_keys")
	}
	n.count(p, l)
}

// columnsOf turns rows of values into one list for each of their first n columns.
func columnsOf(rows [][]schema.Value, n int) [][]schema.Value {
	lists := make([][]schema.Value, n)
	for i := range lists {
		lists[i] = make([]schema.Value, len(rows))
		for j, values := range rows {
			lists[i][j] = values[i]
		}
	}
	return lists
}

// chunk is how many rows a statement takes.
const chunk = 5000

func (n *needs) lookRows(p *pipeline, l *ledger, t *schema.Table) {
	columns := t.Columns[:t.Keys]
	for _, i := range t.Facts {
		columns = append(columns[:len(columns):len(columns)], t.Columns[i])
	}
	var rows [][]schema.Value
	for _, values := range n.rows[t] {
		rows = append(rows, values)
	}
	sql := fmt.Sprintf("SELECT %s FROM rekey.%s WHERE %s", names(columns), t.Name, among(t.Columns[:t.Keys]))
	for len(rows) > 0 {
		some := rows[:min(chunk, len(rows))]
		rows = rows[len(some):]
		p.add(func(raw [][]byte) error {
			values, err := scan(columns, raw)
			if err == nil {
				l.know(t, values, true)
			}
			return err
		}, sql, arrays(t.Columns[:t.Keys], some)...)
	}
}

// count asks how many rows refer to roles and resources that shall go.
func (n *needs) count(p *pipeline, l *ledger) {
	for _, of := range []*schema.Table{schema.Roles, schema.Resources} {
		var counts []string
		for _, t := range schema.Tables() {
			for _, parent := range t.Parents {
				if parent.Of == of && !parent.Goes {
					counts = append(counts, fmt.Sprintf("(SELECT count(*) FROM rekey.%s WHERE %s = wanted.name)", t.Name, t.Columns[parent.Column].Name))
				}
			}
		}
		var wanted []schema.Value
		for k, name := range n.counted {
			if k.table == of {
				wanted = append(wanted, name)
			}
		}
		if len(wanted) == 0 {
			continue
		}
		columns := []schema.Column{{Name: "name", Kind: schema.Name}, {Name: "n", Kind: schema.Int}}
		p.add(func(raw [][]byte) error {
			values, err := scan(columns, raw)
			if err == nil {
				l.refer[keyOf(of, values[:1])] = values[1].(int64)
			}
			return err
		}, fmt.Sprintf("SELECT wanted.name, %s FROM unnest($1::bytea[]) AS wanted(name)", strings.Join(counts, " + ")), many(schema.Name, wanted))
	}
}

// settle says of everything that was not found that it does not exist.
func (n *needs) settle(l *ledger) {
	for t, keys := range n.rows {
		for _, values := range keys {
			l.know(t, values, false)
		}
	}
}

func names(columns []schema.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}

// among is the condition that the key of a row is in arrays.
func among(columns []schema.Column) string {
	if len(columns) == 1 {
		name, _, _ := typeOf(columns[0].Kind)
		return fmt.Sprintf("%s = ANY($1::%s[])", columns[0].Name, name)
	}
	return fmt.Sprintf("(%s) IN (SELECT * FROM unnest(%s))", names(columns), places(columns))
}

// places are the parameters that hold arrays of columns.
func places(columns []schema.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		name, _, _ := typeOf(c.Kind)
		list[i] = fmt.Sprintf("$%d::%s[]", i+1, name)
	}
	return strings.Join(list, ", ")
}

func arrays(columns []schema.Column, rows [][]schema.Value) []parameter {
	parameters := make([]parameter, len(columns))
	for i, list := range columnsOf(rows, len(columns)) {
		parameters[i] = many(columns[i].Kind, list)
	}
	return parameters
}
