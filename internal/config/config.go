// Package config is the one typed configuration of the server and of the local
// commands. Each setting is one entry of a table (table.go), from which follow the
// flags, the environment variables, the keys of the YAML file, `rekey config show`
// and docs/configuration.md.
//
// It promises that a Config it returned is complete and consistent, that every
// problem is reported at once with the setting, the source and the remedy, and that
// the value of a secret setting is never part of a message. It reads the files that
// settings name only to see that they are there. It imports secret.
package config

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"rekey/internal/secret"
)

// Config is what an operator may set. The table tells what each field means.
type Config struct {
	DataDir              string
	DatabaseURL          secret.Bytes // empty: SQLite in DataDir
	Consistency          string       // strict or bounded:DURATION
	ReadOnly             bool         // the database may be a standby
	LeaderURL            string       // of a server that is not read-only; empty if not told
	DataKey              secret.Bytes // base64 of 32 bytes, or empty when the key comes from DataKeyFile
	DataKeyFile          string       // absolute or relative to the working directory; never empty
	DataKeyName          string       // where the root key comes from, for messages
	Account              string
	Listen               string // host:port
	TLSCertificate       string
	TLSKey               string
	TLSSelfSigned        bool
	TLSNames             []string // host names and addresses
	TLSTerminatedByProxy bool
	TrustedProxies       []netip.Prefix
	UserTokenTTL         time.Duration
	HostTokenTTL         time.Duration
	APIKeyDefault        bool
	APIKeyMaxAgeEnforced bool
	ListLimitMax         int
	EffectiveDepth       int
	EffectiveLimit       int
	HostFactories        bool
	Telemetry            bool
	Rotation             bool
	RotationTargets      []string
	RotationPrograms     []Program
	Webhooks             string // path
	WebhookTargets       []string
	RotationOverdueLimit time.Duration
	SecretVersions       int
	PolicyVersions       int
	UsersInRootOnly      bool
	Passwords            map[string]secret.Bytes // by user id in upper case, with _ for all but letters and digits
	LogLevel             slog.Level
	LogFormat            string // text or json
	Audit                string // stdout or file:PATH
}

// Staleness is how old answers may be where several servers share a database; 0: not at
// all.
func (c *Config) Staleness() time.Duration {
	_, bound, _ := strings.Cut(c.Consistency, ":")
	d, _ := time.ParseDuration(bound) // the setting was checked
	return d
}

// Program is a program that rotations may run.
type Program struct {
	Name string
	Path string // absolute
	Args []string
}

// String is how a program is written.
func (p Program) String() string {
	return p.Name + "=" + strings.Join(append([]string{p.Path}, p.Args...), " ")
}

// TLS tells whether the server speaks HTTPS itself.
func (c *Config) TLS() bool { return c.TLSSelfSigned || c.TLSCertificate != "" }

// Setting is one entry of the table.
type Setting struct {
	Key        string   // in the file
	Env        []string // the first one that is set and not blank wins
	Flag       string   // without dashes; empty for settings that have no place on a command line
	Type       string   // for people: path, address, seconds, ...
	Default    string   // as it would be written in the environment
	Doc        string   // one or more sentences
	Secret     bool     // its value is masked wherever it is shown
	ServerOnly bool     // without meaning for the commands that work on the data directory
	field      func(*Config) any
	check      func(*Config) error // of the field alone, after it was read
}

// Settings returns the table, in the order of the reference page.
func Settings() []*Setting { return table() }

// Value is a setting with the value it has got and where that came from.
type Value struct {
	*Setting
	Text   string // as it would be written in the environment
	Source string // default, file PATH line N, environment NAME, flag --NAME
}
