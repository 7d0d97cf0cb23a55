package targettest

import (
	"crypto/rand"
	"maps"
	"net"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/secret"
)

// Reached is how the users of a server are reached: by the annotations and values beside
// their names, and with the names of an administrator who may change passwords and of one
// who may not, both with AdminPassword.
type Reached struct {
	Kind                string // its name
	Annotations, Values map[string]string
	Admin, Weak         string
}

// AdminPassword is the one of administrators.
const AdminPassword = "admin-Password-1"

// Account is what a variable and its folder say of the users that are asked for.
func (r Reached) Account(ask Ask) Account {
	prefix := "rotation/" + r.Kind + "/"
	a := Account{Annotations: map[string]string{}, Values: maps.Clone(r.Values)}
	for name, value := range r.Annotations {
		a.Annotations[prefix+name] = value
	}
	if ask.Mode == Alternating {
		a.Annotations[prefix+"users"] = strings.Join(ask.Users, ",")
	} else {
		a.Values["username"] = ask.Users[0]
	}
	if ask.Mode == Self {
		return a
	}
	a.Annotations[prefix+"admin-username"], a.Annotations[prefix+"admin-password"] = "/boss/username", "/boss/password"
	a.Values["/boss/username"], a.Values["/boss/password"] = r.Admin, AdminPassword
	if ask.Weak {
		a.Values["/boss/username"] = r.Weak
	}
	return a
}

// Bind makes the target of an account.
func Bind(t testing.TB, kind target.Kind, a Account) target.Target {
	t.Helper()
	values := map[string]secret.Bytes{}
	for name, v := range a.Values {
		values[name] = secret.FromString(v)
	}
	var d net.Dialer
	made, err := kind.Bind(target.Binding{Annotations: a.Annotations, Values: values, Dial: d.DialContext, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return made
}
