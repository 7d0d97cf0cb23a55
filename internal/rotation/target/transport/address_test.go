package transport

import "testing"

func TestAddressesAreReadInEveryForm(t *testing.T) {
	for text, want := range map[string]Address{
		"db":                                     {"db", "3306", ""},
		" db:1 ":                                 {"db", "1", ""},
		"[::1]:1":                                {"::1", "1", ""},
		"mariadb://db?sslmode=disable":           {"db", "3306", "disable"},
		"mysql://db:1":                           {"db", "1", ""},
		"":                                       {},
		"mysql:/db":                              {}, // not a host of the name mysql
		"db:":                                    {},
		"postgres://db":                          {},
		"mysql://app@db":                         {},
		"db?sslmode=verify-full&allowOldAuth=on": {},
	} {
		got, err := ParseAddress(text, "3306", "mysql", "mariadb")
		if got != want || (err != nil) != (want == Address{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	if got := (Address{Host: "::1", Port: "1"}).String(); got != "[::1]:1" {
		t.Errorf("shown as %s", got)
	}
}
