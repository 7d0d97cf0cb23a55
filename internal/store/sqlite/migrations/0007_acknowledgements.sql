-- Which consumers have not acknowledged the published version, and how long the old one is
-- kept for them at most.

ALTER TABLE rotations ADD COLUMN awaited TEXT NOT NULL DEFAULT '';
ALTER TABLE rotations ADD COLUMN retire_by INTEGER NOT NULL DEFAULT 0;
