package server

import (
	"testing"

	"rekey/internal/rotation/target"
)

func TestRotationsConnectOnlyWhereTheListAllows(t *testing.T) {
	list := egress{"db.example.com", "*.Pg.internal:5432", "10.1.0.0/16", "192.0.2.7:6379", "::1"}
	for address, want := range map[string]bool{
		"db.example.com:5432": true, "DB.example.com:1": true, "evil.example.com:5432": false,
		"a.pg.internal:5432": true, "a.b.pg.internal:5432": true, "pg.internal:5432": false, "a.pg.internal:22": false,
		"10.1.2.3:5432": true, "10.2.0.1:5432": false, "192.0.2.7:6379": true, "192.0.2.7:22": false,
		"[::1]:5432": true, "[::2]:5432": false, "169.254.169.254:80": false, "db.example.com": false,
	} {
		err := list.allows(address)
		if (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
		if err != nil && target.ClassOf(err) != target.Refused {
			t.Errorf("%s: class %v", address, target.ClassOf(err))
		}
	}
	if err := egress(nil).allows("169.254.169.254:80"); err != nil {
		t.Errorf("an empty list: %v", err)
	}
}
