-- News for webhooks. They outlive what they are about.

CREATE TABLE deliveries (
    id         TEXT    PRIMARY KEY,
    hook       TEXT    NOT NULL,
    event      TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    state      TEXT    NOT NULL,
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    problem    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_next ON deliveries (hook, state, next_at);
