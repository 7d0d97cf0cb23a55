package engine_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"rekey/internal/rotation/target"
	"rekey/internal/rotation/target/aws"
	"rekey/internal/rotation/target/azure"
	"rekey/internal/rotation/target/conjur"
	"rekey/internal/rotation/target/exec"
	"rekey/internal/rotation/target/gcp"
	"rekey/internal/rotation/target/ldap"
	"rekey/internal/rotation/target/mongodb"
	"rekey/internal/rotation/target/mssql"
	"rekey/internal/rotation/target/mysql"
	"rekey/internal/rotation/target/postgresql"
	"rekey/internal/rotation/target/redis"
	"rekey/internal/rotation/target/ssh"
	"rekey/internal/rotation/target/targettest"
	"rekey/internal/rotation/target/targettest/awstest"
	"rekey/internal/rotation/target/targettest/azuretest"
	"rekey/internal/rotation/target/targettest/conjurtest"
	"rekey/internal/rotation/target/targettest/exectest"
	"rekey/internal/rotation/target/targettest/gcptest"
	"rekey/internal/rotation/target/targettest/ldaptest"
	"rekey/internal/rotation/target/targettest/mongodbtest"
	"rekey/internal/rotation/target/targettest/mssqltest"
	"rekey/internal/rotation/target/targettest/mysqltest"
	"rekey/internal/rotation/target/targettest/postgresqltest"
	"rekey/internal/rotation/target/targettest/redistest"
	"rekey/internal/rotation/target/targettest/sshtest"
	"rekey/internal/rotation/target/targettest/webhooktest"
	"rekey/internal/rotation/target/webhook"
	"rekey/internal/secret"
)

// Programs and services of these tests are this one, told so by its arguments.
func TestMain(m *testing.M) {
	exectest.Be()
	webhooktest.Be()
	sshtest.AsRoot()
	os.Exit(m.Run())
}

// stand is a kind of target with its server, in one of its modes.
type stand struct {
	kind   target.Kind
	mode   string
	step   time.Duration // how long a call may take where one hangs
	fresh  bool          // each case has an account of its own: what one leaves behind takes room
	many   bool          // a call is many requests, so all of it cannot come late
	judged judged
	open   func(t *testing.T, user string) account
}

// judged is when a credential that is kept has to work; empty: always.
type judged string

const (
	// The target replaces the only credential by one of its own making. If its answer is
	// lost, an intent is kept by which it is asked again.
	atRest judged = " (at rest)"
)

// account is an account of a stand.
type account struct {
	targettest.Account
	current target.Credential
	holds   func(target.Credential) bool // the target would accept it; nil: a login tells
	tidy    func(how string)             // looks at what is left at rest; nil: nobody does
}

// kinds start the servers of each kind.
var kinds = map[string]func(t *testing.T) []stand{
	"model": models,
	"postgresql": func(t *testing.T) []stand {
		s, err := postgresqltest.Start(targettest.At(t))
		must(t, err)
		return passwords(postgresql.Kind(), s.Account, targettest.Self, targettest.Admin, targettest.Alternating)
	},
	"mysql": func(t *testing.T) []stand {
		s, err := mysqltest.Start(targettest.At(t))
		must(t, err)
		d, err := mysqltest.StartDual(targettest.At(t), "8.4.3")
		must(t, err)
		two := passwords(mysql.Kind(), d.Account, targettest.Self, targettest.Admin)
		for i := range two {
			two[i].mode += ", two passwords"
		}
		return append(two, passwords(mysql.Kind(), s.Account, targettest.Self, targettest.Admin, targettest.Alternating)...)
	},
	"redis": func(t *testing.T) []stand {
		s, err := redistest.Start(targettest.At(t))
		must(t, err)
		return passwords(redis.Kind(), s.Account, targettest.Self, targettest.Admin, targettest.Alternating)
	},
	"ldap": func(t *testing.T) []stand {
		s, err := ldaptest.Start(targettest.At(t))
		must(t, err)
		return passwords(ldap.Kind(), s.Account, targettest.Self, targettest.Admin)
	},
	"mongodb": func(t *testing.T) []stand {
		s, err := mongodbtest.Start(targettest.At(t))
		must(t, err)
		return passwords(mongodb.Kind(), s.Account, targettest.Self, targettest.Admin, targettest.Alternating)
	},
	"mssql": func(t *testing.T) []stand {
		s, err := mssqltest.Start(targettest.At(t))
		must(t, err)
		return passwords(mssql.Kind(), s.Account, targettest.Self, targettest.Admin, targettest.Alternating)
	},
	"ssh": func(t *testing.T) []stand {
		s, err := sshtest.Start(targettest.At(t), "plain", "UsePAM no", "KbdInteractiveAuthentication no")
		must(t, err)
		all := passwords(ssh.Password(), s.Passwords(t), targettest.Self, targettest.Admin, targettest.Alternating)
		keys := passwords(ssh.Key(), s.KeyPairs(t), targettest.Self, targettest.Admin)
		for i := range keys {
			open := keys[i].open
			keys[i].open = func(t *testing.T, user string) account {
				a := open(t, user)
				a.current = target.Credential{target.Main: secret.FromString(sshtest.Private(t, firstPassword)), "public-key": secret.FromString(sshtest.Public(firstPassword))}
				return a
			}
		}
		all = append(all, keys...)
		for i := range all {
			all[i].step = time.Second
		}
		return all
	},
	"exec": func(t *testing.T) []stand {
		p, err := exectest.Find(targettest.At(t))
		must(t, err)
		kind := exec.Kind(map[string]exec.Program{"passwords": {Path: p.Path, Args: p.Arguments()}})
		all := passwords(kind, p.Account, targettest.Self)
		all[0].step = time.Second
		return all
	},
	"webhook": func(t *testing.T) []stand {
		s, err := webhooktest.Start(targettest.At(t))
		must(t, err)
		return passwords(webhook.Kind(time.Now), s.Account, targettest.Self)
	},
	"aws": func(t *testing.T) []stand {
		c, err := awstest.Start(targettest.At(t))
		must(t, err)
		return issued(aws.Kind(), c.Account, targettest.Self)
	},
	"azure": func(t *testing.T) []stand {
		c, err := azuretest.Start(targettest.At(t))
		must(t, err)
		return issued(azure.Kind(), c.Account, targettest.Self, targettest.Admin)
	},
	"gcp": func(t *testing.T) []stand {
		c, err := gcptest.Start(targettest.At(t))
		must(t, err)
		return issued(gcp.Kind(), c.Account, targettest.Self, targettest.Admin)
	},
	"conjur": func(t *testing.T) []stand {
		s, err := conjurtest.Start(targettest.At(t))
		must(t, err)
		all := issued(conjur.Kind(), s.Account, targettest.Self, targettest.Admin)
		atConjur := issued(conjur.Kind(), s.AccountAtConjur, targettest.Admin)
		atConjur[0].mode += " at a Conjur"
		all = append(all, atConjur...)
		all[1].judged, all[2].judged = atRest, atRest
		return all
	},
}

const firstPassword = "first-Password-1"

// step is how long a call of a server may take where one hangs, on a machine that is busy.
const step = 400 * time.Millisecond

// passwords are the stands of a kind whose credentials the engine makes.
func passwords(kind target.Kind, open func(*testing.T, targettest.Ask) targettest.Account, modes ...targettest.Mode) (all []stand) {
	for _, mode := range modes {
		all = append(all, stand{kind: kind, mode: string(mode), step: step, open: func(t *testing.T, user string) account {
			t.Helper()
			ask := targettest.Ask{Mode: mode, Users: []string{strings.ToLower("rk" + rand.Text()[:10] + user)}, Password: firstPassword}
			current := target.Credential{target.Main: secret.FromString(firstPassword)}
			if mode == targettest.Alternating {
				ask.Users = append(ask.Users, ask.Users[0]+"b")
				current["username"] = secret.FromString(ask.Users[0])
			}
			return account{Account: open(t, ask), current: current}
		}})
	}
	return all
}

// issued are those of a kind whose credentials the target makes.
func issued(kind target.Kind, open func(*testing.T, targettest.IssuingAsk) targettest.IssuingAccount, modes ...targettest.Mode) (all []stand) {
	for _, mode := range modes {
		all = append(all, stand{kind: kind, mode: string(mode), step: step, fresh: true, many: true, open: func(t *testing.T, _ string) account {
			t.Helper()
			made := open(t, targettest.IssuingAsk{Mode: mode})
			if kind.Check(map[string]string{"rotation/" + kind.Name() + "/lost-keys": "delete"}) == nil {
				made.Annotations["rotation/"+kind.Name()+"/lost-keys"] = "delete" // nobody else makes any
			}
			return account{Account: made.Account, current: made.Current, holds: made.Holds}
		}})
	}
	return all
}
