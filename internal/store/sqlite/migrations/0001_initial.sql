-- Ids are the full ids account:kind:identifier. Times are integer Unix milliseconds,
-- 0 for none. Networks are CIDR texts joined by commas. Every foreign key is deferred,
-- so that the order of the changes within a set does not matter; Commit asks after
-- each set whether one is violated. Those that cascade are what row.Op promises.

CREATE TABLE data_keys (
    id         INTEGER PRIMARY KEY,
    wrapped    BLOB    NOT NULL,
    active     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE accounts (
    name       TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    account    TEXT    NOT NULL REFERENCES accounts ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    key_id     TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    retired_at INTEGER NOT NULL,
    PRIMARY KEY (account, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    id         TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    policy     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE resources (
    id         TEXT PRIMARY KEY,
    owner      TEXT    NOT NULL REFERENCES roles DEFERRABLE INITIALLY DEFERRED,
    created_at INTEGER NOT NULL,
    policy     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX resources_owner ON resources (owner);

CREATE TABLE memberships (
    role      TEXT    NOT NULL REFERENCES roles DEFERRABLE INITIALLY DEFERRED,
    member    TEXT    NOT NULL REFERENCES roles DEFERRABLE INITIALLY DEFERRED,
    ownership INTEGER NOT NULL,
    admin     INTEGER NOT NULL,
    policy    TEXT    NOT NULL,
    PRIMARY KEY (role, member, ownership)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_member ON memberships (member);

CREATE TABLE permissions (
    resource  TEXT NOT NULL REFERENCES resources DEFERRABLE INITIALLY DEFERRED,
    role      TEXT NOT NULL REFERENCES roles DEFERRABLE INITIALLY DEFERRED,
    privilege TEXT NOT NULL,
    policy    TEXT NOT NULL,
    PRIMARY KEY (resource, role, privilege)
) STRICT, WITHOUT ROWID;
CREATE INDEX permissions_role ON permissions (role);

CREATE TABLE annotations (
    resource TEXT NOT NULL REFERENCES resources DEFERRABLE INITIALLY DEFERRED,
    name     TEXT NOT NULL,
    value    TEXT NOT NULL,
    policy   TEXT NOT NULL,
    PRIMARY KEY (resource, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    role       TEXT PRIMARY KEY REFERENCES roles ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    digest     BLOB    NOT NULL,
    rotated_at INTEGER NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE passwords (
    role       TEXT PRIMARY KEY REFERENCES roles ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    sealed     BLOB    NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE restrictions (
    role     TEXT PRIMARY KEY REFERENCES roles ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    networks TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
    resource   TEXT    NOT NULL REFERENCES resources ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    sealed     BLOB    NOT NULL,
    PRIMARY KEY (resource, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_versions (
    policy      TEXT    NOT NULL REFERENCES resources ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    version     INTEGER NOT NULL,
    role        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    client_ip   TEXT    NOT NULL,
    sha256      TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    PRIMARY KEY (policy, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE host_factory_tokens (
    digest     BLOB PRIMARY KEY,
    factory    TEXT    NOT NULL REFERENCES resources ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    sealed     BLOB    NOT NULL,
    networks   TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX host_factory_tokens_factory ON host_factory_tokens (factory);
