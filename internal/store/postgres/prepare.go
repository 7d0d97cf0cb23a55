package postgres

import (
	"rekey/internal/fault"
	"rekey/internal/row"
	"rekey/internal/store/schema"
)

// key names a row: its table and the values of its key, each with its length before it.
type key struct {
	table *schema.Table
	id    string
}

func keyOf(t *schema.Table, values []schema.Value) key {
	id := make([]byte, 0, 64)
	for _, v := range values[:t.Keys] {
		w := wire(v)
		id = append(append(id, byte(len(w)>>8), byte(len(w))), w...)
	}
	return key{t, string(id)}
}

func named(t *schema.Table, name string) key { return keyOf(t, []schema.Value{short(name)}) }

// step is a change on its way, with its values as the columns hold them.
type step struct {
	row.Change
	table  *schema.Table
	key    key
	values []schema.Value
}

// parent is the row that a row with these values refers to.
func parent(p schema.Parent, values []schema.Value) key {
	return keyOf(p.Of, values[p.Column:p.Column+1])
}

// prepared is a set on its way.
type prepared struct {
	*row.Set
	steps   []step
	refused error
}

// needs is what must be known of the stored rows before sets can be decided over.
type needs struct {
	rows     map[*schema.Table]map[string][]schema.Value // keys, by their id
	versions map[string]schema.Value                     // of these resources, the newest versions of their values
	counted  map[key]schema.Value                        // what refers to these roles and resources
	dataKeys bool                                        // all
	names    map[string]string                           // long ones, by their short form
}

func (n *needs) row(t *schema.Table, values ...schema.Value) {
	of := n.rows[t]
	if of == nil {
		of = map[string][]schema.Value{}
		n.rows[t] = of
	}
	of[keyOf(t, values).id] = values[:t.Keys]
}

// prepare turns sets into steps, and says what has to be known.
func prepare(sets []*row.Set) ([]prepared, *needs) {
	n := &needs{rows: map[*schema.Table]map[string][]schema.Value{}, versions: map[string]schema.Value{}, counted: map[key]schema.Value{}, names: map[string]string{}}
	all := make([]prepared, len(sets))
	for i, set := range sets {
		p := prepared{Set: set}
		for _, c := range set.Require {
			n.condition(c)
		}
		for _, change := range set.Changes {
			s, err := n.step(change)
			if err != nil {
				p.refused = err
				break
			}
			p.steps = append(p.steps, s)
		}
		all[i] = p
	}
	return all, n
}

func (n *needs) step(change row.Change) (step, error) {
	t, values, err := schema.Encode(change.Row)
	if err != nil {
		return step{}, err
	}
	if change.Op < row.Insert || change.Op > row.Delete {
		return step{}, fault.New(fault.Internal, "there is no operation %d on rows", change.Op)
	}
	for i, c := range t.Columns {
		if name, ok := values[i].(string); ok && c.Kind == schema.Name {
			if s := short(name); s != name {
				n.names[s], values[i] = name, s
			}
		}
	}
	n.row(t, values...)
	n.dataKeys = n.dataKeys || t == schema.DataKeys
	k := keyOf(t, values)
	if change.Op != row.Delete {
		for _, p := range t.Parents {
			n.row(p.Of, values[p.Column])
		}
	} else if t == schema.Roles || t == schema.Resources {
		n.counted[k] = values[0]
	}
	return step{change, t, k, values}, nil
}

func (n *needs) condition(c row.Condition) {
	switch c := c.(type) {
	case row.RoleExists:
		n.row(schema.Roles, short(string(c.Role)))
	case row.ResourceExists:
		n.row(schema.Resources, short(string(c.Resource)))
	case row.KeyIs:
		n.row(schema.APIKeys, short(string(c.Role)))
	case row.StagedKeyIs:
		n.row(schema.StagedKeys, short(string(c.Role)))
	case row.OldKeyIs:
		n.row(schema.OldKeys, short(string(c.Role)))
	case row.PasswordIs:
		n.row(schema.Passwords, short(string(c.Role)))
	case row.RotationIs:
		n.row(schema.Rotations, short(string(c.Variable)))
	case row.DeliveryIs:
		n.row(schema.Deliveries, short(c.ID))
	case row.LatestVersion:
		name := short(string(c.Resource))
		n.versions[name] = name
	}
}
