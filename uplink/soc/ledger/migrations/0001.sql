-- Version 1. SCHEMA.md explains it. Times are Unix milliseconds, UTC; 0 is none. Lists are JSON arrays.

CREATE TABLE sites (
    id        TEXT PRIMARY KEY,
    kind      TEXT NOT NULL,
    name      TEXT NOT NULL,
    version   TEXT NOT NULL,              -- of the box's program, as its last Hello said
    last_seen INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE journals (
    site     TEXT NOT NULL REFERENCES sites (id),
    journal  TEXT NOT NULL,
    urgent   INTEGER NOT NULL DEFAULT 0,  -- watermarks: highest seq received in the lane
    routine  INTEGER NOT NULL DEFAULT 0,
    last_seq INTEGER NOT NULL DEFAULT 0,  -- newest event that the box has told of
    whole    INTEGER NOT NULL DEFAULT 0,  -- every seq up to here is in events or named by a gap
    PRIMARY KEY (site, journal)
) STRICT, WITHOUT ROWID;

CREATE TABLE gaps (                        -- what boxes have told to be gone for ever (events-lost)
    site     TEXT NOT NULL,
    journal  TEXT NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq   INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (site, journal, from_seq, to_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    idx       INTEGER PRIMARY KEY,         -- the ledger index: 1, 2, 3 ... in the order of arrival
    born      INTEGER NOT NULL,            -- change number when it was inserted
    change    INTEGER NOT NULL,            -- change number when it was last amended
    site      TEXT NOT NULL,
    journal   TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    lane      INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    code      TEXT NOT NULL,
    panel     TEXT NOT NULL,
    partition TEXT NOT NULL,
    zone      TEXT NOT NULL,
    zone_name TEXT NOT NULL,
    text      TEXT NOT NULL,               -- the event's own, or the newest amendment's
    why       TEXT NOT NULL,
    cameras   TEXT NOT NULL,
    amends    INTEGER NOT NULL,
    occurred  INTEGER NOT NULL,
    clock     TEXT NOT NULL,
    recorded  INTEGER NOT NULL,
    received  INTEGER NOT NULL,
    late      INTEGER NOT NULL,
    clips     TEXT NOT NULL,
    raw       BLOB NOT NULL,
    body      BLOB NOT NULL,               -- as the box's journal has it: what the hash chain covers
    prev      BLOB NOT NULL,               -- 32 bytes, as received
    hash      BLOB NOT NULL,               -- SHA-256 over prev then body
    chained   INTEGER NOT NULL,            -- 0: a neighbour's hash contradicts prev
    UNIQUE (site, journal, seq)
) STRICT;

CREATE UNIQUE INDEX events_change ON events (change);
CREATE INDEX events_site ON events (site, idx);
CREATE INDEX events_kind ON events (kind, idx);
CREATE INDEX events_amends ON events (site, journal, amends, seq) WHERE amends > 0;

CREATE TABLE conflicts (                   -- a second, different body under a seq that is taken; the first stays
    site     TEXT NOT NULL,
    journal  TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    body     BLOB NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (site, journal, seq, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE clips (
    id        TEXT PRIMARY KEY,
    site      TEXT NOT NULL,
    camera    TEXT NOT NULL,
    journal   TEXT NOT NULL,
    seq       INTEGER NOT NULL,            -- of the event that asked for it
    asked     INTEGER NOT NULL,            -- 1: that event has arrived; 0: only its file so far
    from_ms   INTEGER NOT NULL,            -- asked for; of the file once that is known
    to_ms     INTEGER NOT NULL,
    state     TEXT NOT NULL,               -- wanted, cutting, uploading, ready, lost
    reason    TEXT NOT NULL,
    fact_sha  BLOB NOT NULL,               -- digests in the box's journal; empty: not known yet
    still_sha BLOB NOT NULL,
    bytes     INTEGER NOT NULL,            -- of the stored clip file
    sha256    BLOB NOT NULL,               -- of the stored clip file; empty: not stored yet
    still     INTEGER NOT NULL             -- 1: the still is stored
) STRICT, WITHOUT ROWID;

CREATE INDEX clips_open ON clips (site, journal, seq) WHERE state NOT IN ('ready', 'lost');
CREATE INDEX clips_unasked ON clips (site) WHERE asked = 0;

CREATE TABLE commands (
    id      TEXT PRIMARY KEY,
    site    TEXT NOT NULL REFERENCES sites (id),
    kind    TEXT NOT NULL,
    camera  TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms   INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    signer  TEXT NOT NULL,
    state   TEXT NOT NULL,                 -- sent, done, failed, expired, unknown
    outcome TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX commands_open ON commands (site, expires) WHERE state = 'sent';
