-- Version 4. SCHEMA.md explains it.

CREATE INDEX events_lane ON events (lane, idx);
-- Of the stored still; empty: not stored yet, or by a program that did not keep it.
ALTER TABLE clips ADD COLUMN still_has BLOB NOT NULL DEFAULT x'';
-- An event that tells what became of a clip asks for it, too.
UPDATE clips SET asked = 1 WHERE asked = 0 AND (fact_sha <> x'' OR still_sha <> x'' OR state = 'lost');
