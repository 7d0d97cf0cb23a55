package server

import (
	"net"
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
}

// Where nobody has said what is allowed, no policy reaches the address at which clouds
// hand out the credentials of the machine, under whatever name.
func TestAnEmptyListAllowsAllButLinkLocalAddresses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := egress(nil).dial(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, address := range []string{"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[fe80::1]:80"} {
		if _, err := egress(nil).dial(t.Context(), "tcp", address); target.ClassOf(err) != target.Refused {
			t.Errorf("%s: %v", address, err)
		}
		if err := notLinkLocal(address); err == nil { // as a name that means it is refused, when it has been resolved
			t.Errorf("%s is allowed to names", address)
		}
	}
	if err := (egress{"169.254.0.0/16"}).allows("169.254.1.2:80"); err != nil {
		t.Errorf("though it is listed: %v", err)
	}
}
