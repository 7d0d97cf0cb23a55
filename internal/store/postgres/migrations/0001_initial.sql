-- Texts are bytea, because they may have any bytes and sort by them. Times are Unix
-- milliseconds, 0 for none. There are no foreign keys: transactions stand in a queue, by
-- the row of log_head, and check what they refer to.

CREATE TABLE rekey.names (
    short bytea PRIMARY KEY,
    name  bytea NOT NULL
);

CREATE TABLE rekey.log_head (
    id      bigint PRIMARY KEY,
    number  bigint NOT NULL,
    chained bigint NOT NULL -- the newest number that has a chained set
);
INSERT INTO rekey.log_head (id, number, chained) VALUES (1, 0, 0);

CREATE TABLE rekey.log (
    number bigint PRIMARY KEY,
    mark   bytea  NOT NULL,
    at     bigint NOT NULL,
    body   bytea  NOT NULL
);
INSERT INTO rekey.log (number, mark, at, body) VALUES (0, '\x00000000000000000000000000000000', 0, '\x010000');

CREATE TABLE rekey.data_keys (
    id         bigint PRIMARY KEY,
    wrapped    bytea   NOT NULL,
    active     boolean NOT NULL,
    created_at bigint  NOT NULL
);

CREATE TABLE rekey.accounts (
    name       bytea PRIMARY KEY,
    created_at bigint NOT NULL
);

CREATE TABLE rekey.signing_keys (
    account    bytea  NOT NULL,
    key_id     bytea  NOT NULL,
    sealed     bytea  NOT NULL,
    created_at bigint NOT NULL,
    retired_at bigint NOT NULL,
    PRIMARY KEY (account, key_id)
);

CREATE TABLE rekey.roles (
    id         bytea PRIMARY KEY,
    created_at bigint NOT NULL,
    policy     bytea  NOT NULL
);

CREATE TABLE rekey.resources (
    id         bytea PRIMARY KEY,
    owner      bytea  NOT NULL,
    created_at bigint NOT NULL,
    policy     bytea  NOT NULL
);
CREATE INDEX resources_owner ON rekey.resources (owner);

CREATE TABLE rekey.memberships (
    role      bytea   NOT NULL,
    member    bytea   NOT NULL,
    ownership boolean NOT NULL,
    admin     boolean NOT NULL,
    policy    bytea   NOT NULL,
    PRIMARY KEY (role, member, ownership)
);
CREATE INDEX memberships_member ON rekey.memberships (member);

CREATE TABLE rekey.permissions (
    resource  bytea NOT NULL,
    role      bytea NOT NULL,
    privilege bytea NOT NULL,
    policy    bytea NOT NULL,
    PRIMARY KEY (resource, role, privilege)
);
CREATE INDEX permissions_role ON rekey.permissions (role);

CREATE TABLE rekey.annotations (
    resource bytea NOT NULL,
    name     bytea NOT NULL,
    value    bytea NOT NULL,
    policy   bytea NOT NULL,
    PRIMARY KEY (resource, name)
);

CREATE TABLE rekey.api_keys (
    role       bytea PRIMARY KEY,
    digest     bytea  NOT NULL,
    rotated_at bigint NOT NULL,
    form       bigint NOT NULL,
    request    bytea  NOT NULL,
    sealed     bytea  NOT NULL
);

CREATE TABLE rekey.staged_keys (
    role      bytea PRIMARY KEY,
    digest    bytea  NOT NULL,
    sealed    bytea  NOT NULL,
    staged_at bigint NOT NULL,
    lapses_at bigint NOT NULL,
    grace     bigint NOT NULL,
    request   bytea  NOT NULL
);

CREATE TABLE rekey.old_keys (
    role        bytea PRIMARY KEY,
    digest      bytea  NOT NULL,
    valid_until bigint NOT NULL
);

CREATE TABLE rekey.key_uses (
    role    bytea PRIMARY KEY,
    used_at bigint NOT NULL
);

CREATE TABLE rekey.passwords (
    role       bytea PRIMARY KEY,
    sealed     bytea  NOT NULL,
    changed_at bigint NOT NULL
);

CREATE TABLE rekey.restrictions (
    role     bytea PRIMARY KEY,
    networks bytea NOT NULL
);

CREATE TABLE rekey.secrets (
    resource   bytea  NOT NULL,
    version    bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    sealed     bytea  NOT NULL,
    PRIMARY KEY (resource, version)
);

CREATE TABLE rekey.policy_versions (
    policy      bytea  NOT NULL,
    version     bigint NOT NULL,
    role        bytea  NOT NULL,
    created_at  bigint NOT NULL,
    finished_at bigint NOT NULL,
    client_ip   bytea  NOT NULL,
    sha256      bytea  NOT NULL,
    text        bytea  NOT NULL,
    PRIMARY KEY (policy, version)
);

CREATE TABLE rekey.host_factory_tokens (
    digest     bytea PRIMARY KEY,
    factory    bytea  NOT NULL,
    sealed     bytea  NOT NULL,
    networks   bytea  NOT NULL,
    expires_at bigint NOT NULL
);
CREATE INDEX host_factory_tokens_factory ON rekey.host_factory_tokens (factory);

CREATE TABLE rekey.authenticators (
    resource bytea PRIMARY KEY,
    enabled  boolean NOT NULL
);

CREATE TABLE rekey.rotations (
    variable      bytea PRIMARY KEY,
    revision      bigint  NOT NULL,
    state         bytea   NOT NULL,
    id            bytea   NOT NULL,
    identity      bytea   NOT NULL,
    version       bigint  NOT NULL,
    candidate     boolean NOT NULL,
    sent          boolean NOT NULL,
    unsure        boolean NOT NULL,
    acked         boolean NOT NULL,
    previous      boolean NOT NULL,
    discarded     boolean NOT NULL,
    attempts      bigint  NOT NULL,
    auth_failures bigint  NOT NULL,
    bad_values    bigint  NOT NULL,
    started_at    bigint  NOT NULL,
    last_success  bigint  NOT NULL,
    retry_at      bigint  NOT NULL,
    retire_at     bigint  NOT NULL,
    requested_at  bigint  NOT NULL,
    requested_by  bytea   NOT NULL,
    reconcile     boolean NOT NULL,
    paused_at     bigint  NOT NULL,
    paused_by     bytea   NOT NULL,
    pause_reason  bytea   NOT NULL,
    error_class   bytea   NOT NULL,
    error_message bytea   NOT NULL,
    error_at      bigint  NOT NULL,
    holder        bytea   NOT NULL,
    lease_until   bigint  NOT NULL,
    events        bigint  NOT NULL,
    checked_at    bigint  NOT NULL
);

CREATE TABLE rekey.credentials (
    variable bytea NOT NULL,
    slot     bytea NOT NULL,
    sealed   bytea NOT NULL,
    PRIMARY KEY (variable, slot)
);

CREATE TABLE rekey.rotation_events (
    variable bytea  NOT NULL,
    revision bigint NOT NULL,
    at       bigint NOT NULL,
    id       bytea  NOT NULL,
    state    bytea  NOT NULL,
    actor    bytea  NOT NULL,
    event    bytea  NOT NULL,
    class    bytea  NOT NULL,
    message  bytea  NOT NULL,
    took     bigint NOT NULL,
    PRIMARY KEY (variable, revision)
);

CREATE TABLE rekey.deliveries (
    id         bytea PRIMARY KEY,
    hook       bytea  NOT NULL,
    event      bytea  NOT NULL,
    subject    bytea  NOT NULL,
    body       bytea  NOT NULL,
    created_at bigint NOT NULL,
    state      bytea  NOT NULL,
    attempts   bigint NOT NULL,
    next_at    bigint NOT NULL,
    last_at    bigint NOT NULL,
    status     bigint NOT NULL,
    problem    bytea  NOT NULL
);
CREATE INDEX deliveries_next ON rekey.deliveries (hook, state, next_at);
