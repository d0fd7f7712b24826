-- Version 2. SCHEMA.md explains it.

-- Which journal a site's box has used last, so that another one is noticed; swaps is how often that happened since swapped.
ALTER TABLE sites ADD COLUMN journal TEXT NOT NULL DEFAULT '';
ALTER TABLE sites ADD COLUMN swaps INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sites ADD COLUMN swapped INTEGER NOT NULL DEFAULT 0;
-- What has been told of the site's absence: 0 nothing, 1 site-lost, 2 it is in the open outage, 3 it was and is back.
ALTER TABLE sites ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;

CREATE TABLE paths (                       -- the ways by which boxes reach the SOC
    site  TEXT NOT NULL REFERENCES sites (id),
    path  TEXT NOT NULL,                   -- the box's name for it; '': its only one
    heard INTEGER NOT NULL,                -- by it, when its state was last written
    lost  INTEGER NOT NULL,                -- 1: path-lost has been told and not its end
    PRIMARY KEY (site, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE spans (                       -- runs of seqs that are in events, as long as can be: what is between them is missing
    site     TEXT NOT NULL,
    journal  TEXT NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq   INTEGER NOT NULL,
    PRIMARY KEY (site, journal, from_seq)
) STRICT, WITHOUT ROWID;

INSERT INTO spans (site, journal, from_seq, to_seq)
    SELECT site, journal, min(seq), max(seq) FROM (
        SELECT site, journal, seq, seq - row_number() OVER (PARTITION BY site, journal ORDER BY seq) AS run
        FROM events WHERE journal <> 'soc')
    GROUP BY site, journal, run;

ALTER TABLE journals ADD COLUMN present INTEGER NOT NULL DEFAULT 0; -- how many of its events are here
ALTER TABLE journals ADD COLUMN used INTEGER NOT NULL DEFAULT 0;    -- counts up per site: the highest is the box's newest journal

UPDATE journals SET present = coalesce((SELECT sum(to_seq - from_seq + 1) FROM spans s
    WHERE s.site = journals.site AND s.journal = journals.journal), 0);
UPDATE journals SET used = n FROM (
    SELECT site AS s, journal AS j, row_number() OVER (PARTITION BY site ORDER BY newest) AS n FROM (
        SELECT site, journal, (SELECT max(idx) FROM events e
            WHERE e.site = k.site AND e.journal = k.journal AND e.seq IN (urgent, routine)) AS newest FROM journals k))
    WHERE site = s AND journal = j;
UPDATE sites SET journal = coalesce((SELECT journal FROM journals j WHERE j.site = sites.id ORDER BY used DESC LIMIT 1), '');
ALTER TABLE journals DROP COLUMN whole;    -- spans know better
CREATE UNIQUE INDEX journals_used ON journals (site, used);

-- From now on the gaps of a journal do not overlap; the newest word counts. First those go that are inside another, then what
-- is left is cut.
DELETE FROM gaps WHERE journal = 'soc' OR EXISTS (SELECT 1 FROM gaps g WHERE g.site = gaps.site AND g.journal = gaps.journal
    AND g.from_seq <= gaps.from_seq AND g.to_seq >= gaps.to_seq AND g.to_seq - g.from_seq > gaps.to_seq - gaps.from_seq);
CREATE TABLE cut (
    site     TEXT NOT NULL,
    journal  TEXT NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq   INTEGER NOT NULL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (site, journal, from_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO cut SELECT site, journal,
    max(from_seq, coalesce(lag(to_seq) OVER (PARTITION BY site, journal ORDER BY from_seq), 0) + 1), to_seq, reason FROM gaps;
DROP TABLE gaps;
ALTER TABLE cut RENAME TO gaps;            -- what boxes have told to be gone for ever (events-lost)
