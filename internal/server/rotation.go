package server

import (
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"

	"rekey/internal/config"
	"rekey/internal/core"
	"rekey/internal/rotation"
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
	"rekey/internal/rotation/target/webhook"
)

// RotationKinds are the kinds of targets that this program knows, by name, with the
// programs that rotations may run.
func RotationKinds(programs map[string]exec.Program) map[string]target.Kind {
	kinds := map[string]target.Kind{}
	for _, kind := range []target.Kind{
		postgresql.Kind(), mysql.Kind(), redis.Kind(), ldap.Kind(), ssh.Password(), ssh.Key(), aws.Kind(), azure.Kind(), gcp.Kind(),
		conjur.Kind(), mongodb.Kind(), mssql.Kind(), exec.Kind(programs), webhook.Kind(time.Now),
	} {
		kinds[kind.Name()] = kind
	}
	return kinds
}

// rotationTargets are those kinds, as the server's configuration lets them act.
func rotationTargets(cfg *config.Config) *core.Targets {
	programs := map[string]exec.Program{}
	for _, p := range cfg.RotationPrograms {
		programs[p.Name] = exec.Program{Path: p.Path, Args: p.Args}
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node" // the name only has to be readable; what follows makes it distinct
	}
	return &core.Targets{
		Kinds:  RotationKinds(programs),
		Dial:   egress(cfg.RotationTargets).dial,
		Node:   fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()),
		Limits: rotation.DefaultLimits(),
	}
}
