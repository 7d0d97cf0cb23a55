-- When a login with the current value was tried; and a count of the lines of a history, so
-- that the oldest can be outdated by their numbers. They had those of the revisions, of
-- which some have no line, so that too many were kept.

ALTER TABLE rotations ADD COLUMN events INTEGER NOT NULL DEFAULT 0;
ALTER TABLE rotations ADD COLUMN checked_at INTEGER NOT NULL DEFAULT 0;

UPDATE rotations SET events = revision;
DELETE FROM rotation_events WHERE revision <= (SELECT events - 64 FROM rotations WHERE rotations.variable = rotation_events.variable);
