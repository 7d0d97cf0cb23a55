package engine_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/ldap"
	"rekey/internal/rotation/target/mysql"
	"rekey/internal/rotation/target/postgresql"
	"rekey/internal/rotation/target/redis"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/store/postgres/postgrestest"
)

// outside is a real server, with a kind that rotates the passwords of its users.
type outside struct {
	kind        target.Kind
	annotations map[string]string                 // by what follows the kind's prefix
	values      map[string]string                 // of variables beside the password
	create      func(user, password string) error // makes a user
	username    func(user string) string          // as the target knows it; nil: the same
}

// dir is a directory for a server's data.
func dir(t *testing.T) string {
	t.Helper()
	made, err := targettest.Dir()
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(made) })
	return made
}

func ports(t *testing.T) int {
	t.Helper()
	port, err := targettest.Port()
	must(t, err)
	return port
}

// serve starts a server that ends with the test.
func serve(t *testing.T, ready func() error, dir, name string, arguments ...string) {
	t.Helper()
	c, err := targettest.Command(dir, name, arguments...)
	must(t, err)
	stop, err := targettest.Start(c, ready)
	must(t, err)
	t.Cleanup(stop)
}

// speak runs a server's own client.
func speak(input string, words ...string) error {
	c := exec.Command(words[0], words[1:]...)
	c.Stdin = strings.NewReader(input)
	if out, err := c.CombinedOutput(); err != nil || strings.HasPrefix(string(out), "ERR") {
		return fmt.Errorf("%s: %v: %s", words[0], err, out)
	}
	return nil
}

func postgresqlSelf(t *testing.T) outside {
	s := postgrestest.Started(t, "fsync=off")
	return outside{
		kind:   postgresql.Kind(),
		values: map[string]string{"url": fmt.Sprintf("127.0.0.1:%d/postgres?sslmode=disable", s.Port)},
		create: func(user, password string) error {
			return s.Run(fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", user, password))
		},
	}
}

func postgresqlAdmin(t *testing.T) outside {
	o := postgresqlSelf(t)
	o.annotations = map[string]string{"admin-username": "admin-username", "admin-password": "admin-password"}
	o.values["admin-username"], o.values["admin-password"] = postgrestest.User, postgrestest.Password
	return o
}

func redisSelf(t *testing.T) outside {
	home, port := dir(t), ports(t)
	must(t, targettest.WriteFile(home, "users.acl", "user default on nopass ~* &* +@all\n"))
	serve(t, targettest.Listens(port), home, "redis-server", "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", home, "--aclfile", "users.acl")
	return outside{
		kind:   redis.Kind(),
		values: map[string]string{"url": fmt.Sprintf("127.0.0.1:%d?sslmode=disable", port)},
		create: func(user, password string) error {
			return speak("", "redis-cli", "-p", strconv.Itoa(port), "ACL", "SETUSER", user, "on", ">"+password, "+ping", "+acl|setuser", "+acl|getuser", "+acl|save")
		},
	}
}

func mysqlSelf(t *testing.T) outside {
	home, port := dir(t), ports(t)
	data, socket := home+"/data", home+"/socket"
	must(t, targettest.Run(home, "mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db"))
	root := func(sql string) error {
		return speak(sql, "mariadb", "--no-defaults", "-u", "root", "--socket="+socket)
	}
	serve(t, func() error { return root("SELECT 1") }, home, "mariadbd", "--no-defaults", "--datadir="+data, "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1",
		"--socket="+socket, "--skip-name-resolve", "--skip-ssl", "--innodb-flush-log-at-trx-commit=0", "--max-connect-errors=100000")
	must(t, root("DELETE FROM mysql.global_priv WHERE User=''; FLUSH PRIVILEGES"))
	return outside{
		kind:   mysql.Kind(),
		values: map[string]string{"url": fmt.Sprintf("127.0.0.1:%d?sslmode=disable", port)},
		create: func(user, password string) error {
			return root(fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", user, password))
		},
	}
}

func ldapSelf(t *testing.T) outside {
	home, port := dir(t), ports(t)
	must(t, targettest.WriteFile(home, "slapd.conf", strings.ReplaceAll(`
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile DIR/slapd.pid
database mdb
suffix dc=test
rootdn cn=boss,dc=test
rootpw boss-Password-1
directory DIR
dbnosync
access to attrs=userPassword by self write by anonymous auth by * none
access to * by * read
`, "DIR", home)))
	url := fmt.Sprintf("ldap://127.0.0.1:%d", port)
	serve(t, targettest.Listens(port), home, "slapd", "-d", "0", "-f", home+"/slapd.conf", "-h", url)
	add := func(ldif string) error {
		return speak(ldif, "ldapadd", "-x", "-H", url, "-D", "cn=boss,dc=test", "-w", "boss-Password-1")
	}
	must(t, add("dn: dc=test\nobjectClass: organization\nobjectClass: dcObject\no: test\n"))
	name := func(user string) string { return "cn=" + user + ",dc=test" }
	return outside{
		kind:        ldap.Kind(),
		annotations: map[string]string{"sslmode": "disable"},
		values:      map[string]string{"url": url},
		username:    name,
		create: func(user, password string) error {
			return add("dn: " + name(user) + "\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\nuserPassword:: " + base64.StdEncoding.EncodeToString([]byte(password)) + "\n")
		},
	}
}
