-- Version 5. SCHEMA.md explains it.

CREATE TABLE checkpoints (                 -- what boxes have signed of their journals
    site        TEXT NOT NULL,
    journal     TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    hash        BLOB NOT NULL,             -- that the box says the event has
    state       TEXT NOT NULL,             -- good, waiting, conflict, bad
    problem     TEXT NOT NULL,             -- sentence for people; '' when good or waiting
    body        BLOB NOT NULL,             -- what is signed, as it came
    signature   BLOB NOT NULL,
    certificate BLOB NOT NULL,             -- SHA-256 of it: in certificates
    received    INTEGER NOT NULL,
    PRIMARY KEY (site, journal, seq, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE manifests (                   -- what boxes have signed of their clips
    clip        TEXT PRIMARY KEY,
    site        TEXT NOT NULL,
    problem     TEXT NOT NULL,             -- why it proves nothing, sentence for people; '' when it does
    body        BLOB NOT NULL,
    signature   BLOB NOT NULL,
    certificate BLOB NOT NULL,
    received    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE certificates (                -- of keys that have signed something, and the authorities behind them
    sha256    BLOB PRIMARY KEY,
    authority INTEGER NOT NULL,            -- 1: an authority's
    der       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE custody (                     -- who has seen and taken what: rows are only ever added
    id     INTEGER PRIMARY KEY,
    site   TEXT NOT NULL,
    n      INTEGER NOT NULL,               -- 1, 2, 3 ... of the site
    action TEXT NOT NULL,
    clip   TEXT NOT NULL,                  -- '' when it is not about one
    prev   BLOB NOT NULL,                  -- hash of the site's entry before; 32 zero bytes before the first
    hash   BLOB NOT NULL,                  -- SHA-256 over prev then body
    body   BLOB NOT NULL,                  -- the entry, as JSON
    UNIQUE (site, n)
) STRICT;
CREATE INDEX custody_clip ON custody (clip, id) WHERE clip <> '';
CREATE INDEX custody_site ON custody (site, id);
CREATE TRIGGER custody_stays BEFORE UPDATE ON custody BEGIN SELECT raise(abort, 'the custody log is only added to'); END;
CREATE TRIGGER custody_keeps BEFORE DELETE ON custody BEGIN SELECT raise(abort, 'the custody log is only added to'); END;

-- The event that told what became of the clip; 0: not come yet, or before this version.
ALTER TABLE clips ADD COLUMN fact_seq INTEGER NOT NULL DEFAULT 0;
CREATE INDEX clips_site ON clips (site, from_ms);
