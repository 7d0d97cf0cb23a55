-- How far the rotation of each variable has come, the credentials that may work beside
-- the current one, and what has happened. Durations are integer milliseconds.

CREATE TABLE rotations (
    variable      TEXT PRIMARY KEY REFERENCES resources ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    revision      INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    identity      TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    candidate     INTEGER NOT NULL,
    sent          INTEGER NOT NULL,
    unsure        INTEGER NOT NULL,
    acked         INTEGER NOT NULL,
    previous      INTEGER NOT NULL,
    discarded     INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    auth_failures INTEGER NOT NULL,
    bad_values    INTEGER NOT NULL,
    started_at    INTEGER NOT NULL,
    last_success  INTEGER NOT NULL,
    retry_at      INTEGER NOT NULL,
    retire_at     INTEGER NOT NULL,
    requested_at  INTEGER NOT NULL,
    requested_by  TEXT    NOT NULL,
    reconcile     INTEGER NOT NULL,
    paused_at     INTEGER NOT NULL,
    paused_by     TEXT    NOT NULL,
    pause_reason  TEXT    NOT NULL,
    error_class   TEXT    NOT NULL,
    error_message TEXT    NOT NULL,
    error_at      INTEGER NOT NULL,
    holder        TEXT    NOT NULL,
    lease_until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
    variable TEXT NOT NULL REFERENCES resources ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    slot     TEXT NOT NULL,
    sealed   BLOB NOT NULL,
    PRIMARY KEY (variable, slot)
) STRICT, WITHOUT ROWID;

CREATE TABLE rotation_events (
    variable TEXT    NOT NULL REFERENCES resources ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    revision INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    id       TEXT    NOT NULL,
    state    TEXT    NOT NULL,
    actor    TEXT    NOT NULL,
    event    TEXT    NOT NULL,
    class    TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    took     INTEGER NOT NULL,
    PRIMARY KEY (variable, revision)
) STRICT, WITHOUT ROWID;
