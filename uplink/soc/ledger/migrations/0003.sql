-- Why an alarm came in the routine lane, and what else has seen what it is about.
ALTER TABLE events ADD COLUMN held TEXT NOT NULL DEFAULT '';         -- swinger, storm, engineer, walk-test
ALTER TABLE events ADD COLUMN corroborated TEXT NOT NULL DEFAULT ''; -- video
