package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxTokenTTL bounds the life of an access token.
const maxTokenTTL = 5 * time.Hour

// table returns every setting, in the order in which they are documented.
func table() []*Setting {
	return []*Setting{
		{
			Key: "data_dir", Env: []string{"REKEY_DATA_DIR"}, Flag: "data-dir", Type: "path",
			Default: defaultDataDir(),
			Doc:     "The directory with everything that the server keeps. It is made with mode 0700 if it is missing. One process at a time uses it.",
			field:   func(c *Config) any { return &c.DataDir },
			check: func(c *Config) error {
				if c.DataDir == "" {
					return fmt.Errorf("there is no home directory to put the data into: name a directory with --data-dir or REKEY_DATA_DIR")
				}
				return nil
			},
		},
		{
			Key: "database_url", Env: []string{"REKEY_DATABASE_URL", "DATABASE_URL"}, Flag: "database-url", Type: "URL", Secret: true,
			Doc:   "PostgreSQL database that keeps everything but files of this server, instead of the data directory: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`, with several hosts separated by commas if there are standbys. Any number of servers may share it, with the same root key. Everybody on the machine sees the flags of a process: give the password in the environment, in the file, or in PGPASSWORD or PGPASSFILE.",
			field: func(c *Config) any { return &c.DatabaseURL },
			check: func(c *Config) error { return checkDatabase(c.DatabaseURL) },
		},
		{
			Key: "consistency", ServerOnly: true, Env: []string{"REKEY_CONSISTENCY"}, Flag: "consistency", Type: "strict or bounded:DURATION", Default: "strict",
			Doc:   "With a shared database: whether each answer reflects all that any server has acknowledged before the request (`strict`, at the price of a round trip to the database that requests share), or may be older by a duration such as `bounded:5s`. A server that has not reached the database for longer than that refuses to answer. At most 1h, and 168h for a read-only server.",
			field: func(c *Config) any { return &c.Consistency },
			check: func(c *Config) error { return checkConsistency(c.Consistency) },
		},
		{
			Key: "read_only", ServerOnly: true, Env: []string{"REKEY_READ_ONLY"}, Flag: "read-only", Type: "true or false", Default: "false",
			Doc:   "With a shared database, which may be a standby: answer logins and reads, and refuse every change. consistency has to be bounded: it says how old what the standby has may be (up to 168h), also while the primary is away. See [several servers](high-availability.md#read-only-nodes).",
			field: func(c *Config) any { return &c.ReadOnly },
		},
		{
			Key: "leader_url", ServerOnly: true, Env: []string{"REKEY_LEADER_URL"}, Flag: "leader-url", Type: "URL",
			Doc:   "Where a read-only server sends those who want to change something: a server that is not read-only, or the load balancer before several. It stands in the message of the refusal, and in its header `Rekey-Leader`.",
			field: func(c *Config) any { return &c.LeaderURL },
			check: func(c *Config) error { return checkLeader(c.LeaderURL) },
		},
		{
			Key: "data_key", Env: []string{"REKEY_DATA_KEY", "CONJUR_DATA_KEY"}, Type: "base64 of 32 bytes", Secret: true,
			Doc:   "The root key, which seals all other keys: what `rekey data-key generate` prints. It wins over the file below.",
			field: func(c *Config) any { return &c.DataKey },
			check: func(c *Config) error { return checkKey(c.DataKey) },
		},
		{
			Key: "data_key_file", Env: []string{"REKEY_DATA_KEY_FILE"}, Flag: "data-key-file", Type: "path",
			Doc:   "File with the root key in base64. Default: `root.key` in the data directory. Keep it readable for the server's user only, and keep a copy: without it the data cannot be read.",
			field: func(c *Config) any { return &c.DataKeyFile },
		},
		{
			Key: "account", ServerOnly: true, Env: []string{"REKEY_ACCOUNT"}, Flag: "account", Type: "name",
			Doc:   "Account to create when the server starts and does not have it yet. The API key of its admin is printed once.",
			field: func(c *Config) any { return &c.Account },
			check: func(c *Config) error {
				if strings.ContainsAny(c.Account, " \t\r\n:/") {
					return fmt.Errorf("an account's name has no blank, colon or slash")
				}
				return nil
			},
		},
		{
			Key: "listen", ServerOnly: true, Env: []string{"REKEY_LISTEN"}, Flag: "listen", Type: "host:port", Default: "127.0.0.1:8080",
			Doc:   "Address to listen on. Port 0 takes a free one. Any address but a loopback one needs TLS.",
			field: func(c *Config) any { return &c.Listen },
			check: func(c *Config) error { return checkListen(c.Listen) },
		},
		{
			Key: "tls_certificate", ServerOnly: true, Env: []string{"REKEY_TLS_CERTIFICATE"}, Flag: "tls-certificate", Type: "path",
			Doc:   "PEM file with the server's certificate, followed by its intermediates. It is read again on SIGHUP and when the file changes. Over TLS the server speaks HTTP/1.1.",
			field: func(c *Config) any { return &c.TLSCertificate },
			check: func(c *Config) error { return checkFile(c.TLSCertificate) },
		},
		{
			Key: "tls_key", ServerOnly: true, Env: []string{"REKEY_TLS_KEY"}, Flag: "tls-key", Type: "path",
			Doc:   "PEM file with the private key of that certificate.",
			field: func(c *Config) any { return &c.TLSKey },
			check: func(c *Config) error { return checkFile(c.TLSKey) },
		},
		{
			Key: "tls_self_signed", ServerOnly: true, Env: []string{"REKEY_TLS_SELF_SIGNED"}, Flag: "tls-self-signed", Type: "true or false", Default: "false",
			Doc:   "Make a self-signed certificate, keep it in the data directory, and print its SHA-256 fingerprint at each start, so that clients can pin it. It is for localhost, 127.0.0.1, ::1, the name of the machine, the address that is listened on (all of the machine's, if that is a wildcard), and tls_names.",
			field: func(c *Config) any { return &c.TLSSelfSigned },
		},
		{
			Key: "tls_names", ServerOnly: true, Env: []string{"REKEY_TLS_NAMES"}, Flag: "tls-name", Type: "names and addresses",
			Doc:   "More host names and addresses for the self-signed certificate, with commas between. A certificate that is there and lacks one of them is an error: remove tls.crt and tls.key from the data directory to have a new one made, which clients must then trust anew.",
			field: func(c *Config) any { return &c.TLSNames },
			check: func(c *Config) error { return checkNames(c.TLSNames) },
		},
		{
			Key: "tls_terminated_by_proxy", ServerOnly: true, Env: []string{"REKEY_TLS_TERMINATED_BY_PROXY"}, Flag: "tls-terminated-by-proxy", Type: "true or false", Default: "false",
			Doc:   "Allow plain HTTP on an address that is not a loopback one, because a proxy in front of the server speaks TLS with the clients.",
			field: func(c *Config) any { return &c.TLSTerminatedByProxy },
		},
		{
			Key: "trusted_proxies", ServerOnly: true, Env: []string{"REKEY_TRUSTED_PROXIES", "CONJUR_TRUSTED_PROXIES", "TRUSTED_PROXIES"}, Flag: "trusted-proxies", Type: "addresses and CIDR blocks",
			Doc:   "Peers whose X-Forwarded-For header is believed. 127.0.0.1 and ::1 always are.",
			field: func(c *Config) any { return &c.TrustedProxies },
		},
		{
			Key: "user_authorization_token_ttl", Env: []string{"REKEY_USER_AUTHORIZATION_TOKEN_TTL", "CONJUR_USER_AUTHORIZATION_TOKEN_TTL"}, Flag: "user-token-ttl", Type: "seconds or duration", Default: "480",
			Doc:   "How long an access token of a user is good for: seconds, or a duration such as 8m; at most 18000 (5 hours).",
			field: func(c *Config) any { return &c.UserTokenTTL },
			check: func(c *Config) error { return checkTTL(c.UserTokenTTL) },
		},
		{
			Key: "host_authorization_token_ttl", Env: []string{"REKEY_HOST_AUTHORIZATION_TOKEN_TTL", "CONJUR_HOST_AUTHORIZATION_TOKEN_TTL"}, Flag: "host-token-ttl", Type: "seconds or duration", Default: "480",
			Doc:   "How long an access token of a host is good for: seconds, or a duration such as 8m; at most 18000 (5 hours).",
			field: func(c *Config) any { return &c.HostTokenTTL },
			check: func(c *Config) error { return checkTTL(c.HostTokenTTL) },
		},
		{
			Key: "authn_api_key_default", Env: []string{"REKEY_AUTHN_API_KEY_DEFAULT", "CONJUR_AUTHN_API_KEY_DEFAULT"}, Flag: "api-key-default", Type: "true or false", Default: "true",
			Doc:   "Whether a host without the annotation authn/api-key has an API key.",
			field: func(c *Config) any { return &c.APIKeyDefault },
		},
		{
			Key: "api_key_max_age_enforced", ServerOnly: true, Env: []string{"REKEY_API_KEY_MAX_AGE_ENFORCED"}, Flag: "api-key-max-age-enforced", Type: "true or false", Default: "false",
			Doc:   "Whether an API key that is older than the annotation authn/api-key-max-age of its host or user is refused when it asks for an access token. Such a key goes on proving who asks for a new one, so that nobody is locked out. Otherwise the log and `GET /api_keys/ACCOUNT` tell of it.",
			field: func(c *Config) any { return &c.APIKeyMaxAgeEnforced },
		},
		{
			Key: "api_resource_list_limit_max", Env: []string{"REKEY_API_RESOURCE_LIST_LIMIT_MAX", "CONJUR_API_RESOURCE_LIST_LIMIT_MAX"}, Flag: "list-limit-max", Type: "number", Default: "1000",
			Doc:   "Largest and default number of resources in one answer of a list request; 0 for no limit.",
			field: func(c *Config) any { return &c.ListLimitMax },
			check: func(c *Config) error { return checkRange(c.ListLimitMax, 0) },
		},
		{
			Key: "secrets_version_limit", Env: []string{"REKEY_SECRETS_VERSION_LIMIT", "SECRETS_VERSION_LIMIT"}, Flag: "secret-versions", Type: "number", Default: "20",
			Doc:   "How many of the newest values of a variable are kept.",
			field: func(c *Config) any { return &c.SecretVersions },
			check: func(c *Config) error { return checkRange(c.SecretVersions, 1) },
		},
		{
			Key: "policies_version_limit", Env: []string{"REKEY_POLICIES_VERSION_LIMIT", "POLICIES_VERSION_LIMIT"}, Flag: "policy-versions", Type: "number", Default: "20",
			Doc:   "How many of the newest versions of a policy are kept.",
			field: func(c *Config) any { return &c.PolicyVersions },
			check: func(c *Config) error { return checkRange(c.PolicyVersions, 1) },
		},
		{
			Key: "effective_policy_max_depth", Env: []string{"REKEY_EFFECTIVE_POLICY_MAX_DEPTH", "CONJUR_EFFECTIVE_POLICY_MAX_DEPTH"}, Flag: "effective-policy-max-depth", Type: "number", Default: "64",
			Doc:   "How many levels beneath a policy a client may read at once.",
			field: func(c *Config) any { return &c.EffectiveDepth },
			check: func(c *Config) error { return checkRange(c.EffectiveDepth, 0) },
		},
		{
			Key: "effective_policy_max_limit", Env: []string{"REKEY_EFFECTIVE_POLICY_MAX_LIMIT", "CONJUR_EFFECTIVE_POLICY_MAX_LIMIT"}, Flag: "effective-policy-max-limit", Type: "number", Default: "100000",
			Doc:   "How many resources, annotations and permissions a policy may have for a client to read it.",
			field: func(c *Config) any { return &c.EffectiveLimit },
			check: func(c *Config) error { return checkRange(c.EffectiveLimit, 0) },
		},
		{
			Key: "host_factories_enabled", ServerOnly: true, Env: []string{"REKEY_HOST_FACTORIES_ENABLED", "CONJUR_HOST_FACTORIES_ENABLED"}, Flag: "host-factories", Type: "true or false", Default: "true",
			Doc:   "Whether hosts can enrol themselves with tokens of host factories; without, these routes do not exist.",
			field: func(c *Config) any { return &c.HostFactories },
		},
		{
			Key: "rotation", ServerOnly: true, Env: []string{"REKEY_ROTATION"}, Flag: "rotation", Type: "true or false", Default: "true",
			Doc:   "Whether this server rotates the values of variables that have rotation annotations.",
			field: func(c *Config) any { return &c.Rotation },
		},
		{
			Key: "rotation_targets", ServerOnly: true, Env: []string{"REKEY_ROTATION_TARGETS"}, Flag: "rotation-targets", Type: "names, addresses and CIDR blocks",
			Doc:   "Where rotations may connect to: names (*.name for all below one), addresses and CIDR blocks, with or without a port. Empty allows everything that the server's network reaches, except link-local addresses, where clouds hand out the credentials of a machine.",
			field: func(c *Config) any { return &c.RotationTargets },
		},
		{
			Key: "rotation_programs", Env: []string{"REKEY_ROTATION_PROGRAMS"}, Type: "programs as name=/path arguments",
			Doc:   "Programs that rotations of kind `exec` may run, as the server's user: each has a name, by which policies call it, and an absolute path with its arguments, if any, as in `reset-printer=/usr/local/bin/reset-printer --floor 3`. What has a blank or a comma in it cannot be an argument. Their connections are not limited by `rotation_targets`. Empty allows none.",
			field: func(c *Config) any { return &c.RotationPrograms },
			check: func(c *Config) error { return checkPrograms(c.RotationPrograms) },
		},
		{
			Key: "webhooks", ServerOnly: true, Env: []string{"REKEY_WEBHOOKS"}, Flag: "webhooks", Type: "path",
			Doc:   "YAML file with the webhooks that are told what happens to rotations: see [rotation](rotation.md#tell-other-programs).",
			field: func(c *Config) any { return &c.Webhooks },
			check: func(c *Config) error { return checkFile(c.Webhooks) },
		},
		{
			Key: "webhook_targets", ServerOnly: true, Env: []string{"REKEY_WEBHOOK_TARGETS"}, Flag: "webhook-targets", Type: "names, addresses and CIDR blocks",
			Doc:   "Where webhooks may be, as in rotation_targets. Empty allows every host that the file of webhooks names.",
			field: func(c *Config) any { return &c.WebhookTargets },
		},
		{
			Key: "rotation_overdue_limit", ServerOnly: true, Env: []string{"REKEY_ROTATION_OVERDUE_LIMIT"}, Flag: "rotation-overdue-limit", Type: "seconds or duration", Default: "1h",
			Doc:   "For how long a rotation may be overdue, failing or waiting for its turn, before `GET /health` says that the server is degraded.",
			field: func(c *Config) any { return &c.RotationOverdueLimit },
			check: func(c *Config) error {
				if c.RotationOverdueLimit < time.Minute {
					return fmt.Errorf("it is less than a minute")
				}
				return nil
			},
		},
		{
			Key: "telemetry_enabled", ServerOnly: true, Env: []string{"REKEY_TELEMETRY_ENABLED", "CONJUR_TELEMETRY_ENABLED"}, Flag: "telemetry-enabled", Type: "true or false", Default: "false",
			Doc:   "Whether `GET /metrics` shows metrics in the text format of Prometheus, to whoever asks: keep it from the outside by the network. They have counts and durations, and no names.",
			field: func(c *Config) any { return &c.Telemetry },
		},
		{
			Key: "users_in_root_policy_only", Env: []string{"REKEY_USERS_IN_ROOT_POLICY_ONLY", "CONJUR_USERS_IN_ROOT_POLICY_ONLY"}, Flag: "users-in-root-policy-only", Type: "true or false", Default: "false",
			Doc:   "Refuse policies that create users anywhere but in the root policy.",
			field: func(c *Config) any { return &c.UsersInRootOnly },
		},
		{
			Key: "log_level", Env: []string{"REKEY_LOG_LEVEL", "CONJUR_LOG_LEVEL"}, Flag: "log-level", Type: "debug, info, warn or error", Default: "info",
			Doc:   "How much the application log says. It goes to standard error.",
			field: func(c *Config) any { return &c.LogLevel },
		},
		{
			Key: "log_format", Env: []string{"REKEY_LOG_FORMAT"}, Flag: "log-format", Type: "text or json", Default: "text",
			Doc:   "The form of the application log.",
			field: func(c *Config) any { return &c.LogFormat },
			check: func(c *Config) error {
				if c.LogFormat != "text" && c.LogFormat != "json" {
					return fmt.Errorf("it is neither text nor json")
				}
				return nil
			},
		},
		{
			Key: "audit", Env: []string{"REKEY_AUDIT"}, Flag: "audit", Type: "stdout or file:PATH", Default: "stdout",
			Doc:   "Where audit records go. A file is opened again on SIGHUP, so that it can be rotated. A local command that works while the server is stopped writes to standard error where the server would write to standard output.",
			field: func(c *Config) any { return &c.Audit },
			check: func(c *Config) error {
				if path, ok := strings.CutPrefix(c.Audit, "file:"); c.Audit != "stdout" && (!ok || path == "") {
					return fmt.Errorf("it is neither stdout nor file:PATH")
				}
				return nil
			},
		},
	}
}

// defaultDataDir is rekey in the XDG base directory for data; empty without a home.
func defaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "rekey")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // the check of data_dir tells the operator
	}
	return filepath.Join(home, ".local", "share", "rekey")
}

// foreign are settings that a Conjur configuration may have and that nothing here
// answers to; they are warned about instead of being refused.
var foreign = []string{
	"authenticators", "extensions",
	"authn_jwt_ignore_missing_issuer_claim", "dynamic_secrets_per_request_max",
}
