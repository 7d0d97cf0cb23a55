-- The nodes that write leave the time here, so that who reads a replica can tell how old
-- what it has is, even if nothing changes.
CREATE TABLE rekey.beat (
    id bigint PRIMARY KEY,
    at bigint NOT NULL
);
INSERT INTO rekey.beat (id, at) VALUES (1, 0);
