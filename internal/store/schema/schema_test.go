package schema_test

import (
	"errors"
	"testing"

	"rekey/internal/row"
	"rekey/internal/store/schema"
)

// A table that refers to another one comes after it, by a column of the other's key.
func TestTablesStandInTheOrderOfTheirReferences(t *testing.T) {
	seen := map[*schema.Table]bool{}
	for _, table := range schema.Tables() {
		for _, p := range table.Parents {
			if !seen[p.Of] || p.Of.Keys != 1 || p.Of.Columns[0].Kind != table.Columns[p.Column].Kind {
				t.Errorf("%s refers to %s by %s", table.Name, p.Of.Name, table.Columns[p.Column].Name)
			}
		}
		seen[table] = true
	}
}

func TestValuesHaveTheKindsOfTheirColumns(t *testing.T) {
	for _, r := range []row.Row{row.DataKey{}, row.Account{}, row.SigningKey{}, row.Role{}, row.Resource{}, row.Membership{}, row.Permission{},
		row.Annotation{}, row.APIKey{}, row.StagedKey{}, row.OldKey{}, row.KeyUse{}, row.Password{}, row.Restriction{}, row.Secret{},
		row.PolicyVersion{}, row.HostFactoryToken{}, row.Authenticator{}, row.Rotation{}, row.Credential{}, row.RotationEvent{}, row.Delivery{}} {
		table, values, err := schema.Encode(r)
		if err != nil || len(values) != len(table.Columns) {
			t.Fatalf("%T: %d values for %d columns, %v", r, len(values), len(table.Columns), err)
		}
		for i, c := range table.Columns {
			ok := false
			switch values[i].(type) {
			case string:
				ok = c.Kind == schema.Name || c.Kind == schema.Text
			case int64:
				ok = c.Kind == schema.Int
			case bool:
				ok = c.Kind == schema.Bool
			case []byte:
				ok = c.Kind == schema.Bytes
			}
			if !ok {
				t.Errorf("%s.%s holds a %T", table.Name, c.Name, values[i])
			}
		}
		if _, err := table.Row(values); err != nil {
			t.Errorf("%T does not come back: %v", r, err)
		}
	}
}

func TestAValueOfAnotherTypeIsDamage(t *testing.T) {
	if _, err := schema.Roles.Row([]schema.Value{int64(1), "when", "policy"}); !errors.Is(err, schema.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}
