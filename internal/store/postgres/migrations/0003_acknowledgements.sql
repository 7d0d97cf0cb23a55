-- Which consumers have not acknowledged the published version, and how long the old one is
-- kept for them at most.
ALTER TABLE rekey.rotations ADD COLUMN awaited bytea NOT NULL DEFAULT '';
ALTER TABLE rekey.rotations ADD COLUMN retire_by bigint NOT NULL DEFAULT 0;
