-- The journal's schema as it is now. migrations/ leads to the same; a test compares them.
-- Times are nanoseconds since 1970-01-01 UTC (_wall_ns, _ns) or since the machine booted (_mono_ns). SCHEMA.md has the rest.

-- What this file is: exactly one row.
create table journal (
  one integer primary key check (one = 1), -- keeps the table at one row
  id text not null,             -- journal id: 16 random bytes in hex, made with the file
  site text not null,           -- site whose events these are
  created_ns integer not null,  -- wall clock when the file was made
  head_seq integer not null,    -- highest seq given when the row was written; above it the newest event counts. 0 before the first
  head_hash blob not null       -- hash of that event; 32 zero bytes before the first
) strict;

-- One row per event. body is what the chain covers and the wire carries; the other columns are found in it or follow from it.
create table events (
  seq integer primary key,                       -- from 1, no holes but those that anchors and gaps explain
  lane integer not null check (lane in (1, 2)),  -- 1 urgent, 2 routine: follows from kind, and from held in body
  kind text not null,                            -- as in body
  prev blob not null check (length(prev) = 32),  -- hash of event seq-1, also when that one is gone
  hash blob not null check (length(hash) = 32),  -- SHA-256 over prev then body
  body blob not null                             -- compact JSON, at most 64 KiB
) strict;

-- Ends in the rowid, so that it serves "this lane, after that seq, oldest first".
create index events_lane on events (lane);

-- How far the SOC has acked each lane: the outbox is events above the cursor of their lane.
create table cursors (
  lane integer primary key check (lane in (1, 2)), -- 1 urgent, 2 routine
  seq integer not null                             -- all events of the lane up to this one are at the SOC
) strict;

-- Where the chain that is still here begins: events up to seq were pruned after the SOC had acked them. At most one row.
create table anchors (
  one integer primary key check (one = 1),       -- keeps the table at one row
  seq integer not null,                          -- last pruned event
  hash blob not null check (length(hash) = 32),  -- its hash = prev of the first event that is left
  at_ns integer not null,                        -- wall clock when it was pruned
  signature blob                                 -- by the box's key over the bytes that SCHEMA.md gives; null without a key
) strict;

-- Spans above the anchor in which events are missing.
create table gaps (
  id integer primary key,       -- order of making
  from_seq integer not null,    -- first missing event
  to_seq integer not null,      -- last missing event; events between that are present are not missing
  events integer not null,      -- how many are missing by this row
  lost integer not null check (lost in (0, 1)), -- 1: the SOC had not acked them; 0: it had
  reason text not null,         -- sentence for people
  event_seq integer,            -- the events-lost event that says so to the SOC; null when lost is 0
  event_hash blob,              -- hash of that event
  signature blob                -- by the box's key over event_hash; null without a key
) strict;

-- Clips that events asked for. The row is made in the event's own transaction.
create table clips (
  id text primary key,              -- clip id: 16 random bytes in hex
  camera text not null,             -- whose pictures
  asked_from_ns integer not null,   -- start of the span asked for
  asked_to_ns integer not null,     -- end of it
  seq integer not null,             -- event that asked
  kind text not null,               -- kind of that event
  at_wall_ns integer not null,      -- when that event was recorded: wall,
  at_mono_ns integer not null,      -- ... monotonic,
  at_boot text not null,            -- ... of which boot,
  at_synced integer not null check (at_synced in (0, 1)), -- ... and whether NTP kept the wall clock
  state text not null check (state in ('wanted', 'cutting', 'ready', 'lost', 'gone')), -- gone: at the SOC, deleted here
  reason text not null default '',  -- why it is lost
  still_file text,                  -- name in clips/ of the JPEG; null: none, or deleted
  still_bytes integer not null default 0, -- its size
  still_sha256 blob,                -- its digest
  still_sent integer not null default 0 check (still_sent in (0, 1, 2)), -- 0 no, 1 at the SOC, 2 refused there
  clip_file text,                   -- name in clips/ of the MP4; null: none, or deleted
  clip_bytes integer not null default 0, -- its size
  clip_sha256 blob,                 -- its digest
  clip_sent integer not null default 0 check (clip_sent in (0, 1, 2)),   -- 0 no, 1 at the SOC, 2 refused there
  check (state <> 'ready' or clip_file is not null)
) strict, without rowid;

create index clips_files on clips (seq) where clip_file is not null or still_file is not null;
create index clips_open on clips (seq) where state in ('wanted', 'cutting');
create index clips_still on clips (seq) where still_file is not null and still_sent = 0;
create index clips_clip on clips (seq) where clip_file is not null and clip_sent = 0;

-- What each panel said last: for the duplicate rule and for texts that come after their event.
create table panels (
  panel text primary key,           -- panel id
  call_seq integer not null,        -- first event of the last call that journalled signals of this panel; see signals
  at_wall_ns integer not null,      -- arrival of the last signal: wall,
  at_mono_ns integer not null,      -- ... monotonic,
  at_boot text not null,            -- ... of which boot
  settled integer not null check (settled in (0, 1)), -- 1: the panel has gone on since, so it knows that we have that signal
  event_seq integer not null,       -- last event that is no amendment: what a text may amend; 0 none
  event_wall_ns integer not null,   -- arrival of its signal: wall,
  event_mono_ns integer not null,   -- ... monotonic,
  event_boot text not null          -- ... of which boot
) strict, without rowid;

-- Keys of the signals of the last day, to know a panel's repeats again.
create table signals (
  seq integer primary key,      -- event that the signal became
  panel text not null,          -- who said it
  zone text,                    -- of the event, '' when it has none; null: a text, which is of no zone of its own
  key blob not null,            -- what was said without how it was framed; empty: never taken for a repeat
  old integer not null check (old in (0, 1)), -- 1: the panel said that it is re-sending this from its buffer
  matched integer not null check (matched in (0, 1)), -- 1: it was re-sent from the buffer since; the next like it is news
  call_seq integer not null,    -- first event of the same transaction's signals
  at_wall_ns integer not null,  -- arrival: wall,
  at_mono_ns integer not null,  -- ... monotonic,
  at_boot text not null         -- ... of which boot
) strict;

create index signals_key on signals (panel, key);
create index signals_zone on signals (panel, zone); -- ends in the rowid: "of that zone, after that seq"
create index signals_call on signals (call_seq);

-- Set state as the panels last said it.
create table partitions (
  panel text not null,      -- panel id
  partition text not null,  -- as the panel numbers it; '' when it named none and none is configured
  state text not null check (state in ('set', 'part-set', 'unset')), -- the last that was said
  seq integer not null,     -- event that said so; 0: a driver found it so
  primary key (panel, partition)
) strict, without rowid;

-- How each point of a panel was by the last word: a driver that reads states makes news only of a change.
create table points (
  panel text not null,     -- panel id
  zone text not null,      -- as the panel numbers it
  kind text not null,      -- without "-restored"
  active integer not null check (active in (0, 1)), -- 1: the last word was the kind itself; 0: its restore
  primary key (panel, zone, kind)
) strict, without rowid;

-- Since when each partition is as it is.
create table periods (
  panel text not null,          -- panel id
  partition text not null,      -- as in partitions
  at_wall_ns integer not null,  -- arrival of the signal that set or unset it: wall,
  at_mono_ns integer not null,  -- ... monotonic,
  at_boot text not null,        -- ... of which boot
  primary key (panel, partition)
) strict, without rowid;

-- Alarms that are not over, or that still count: for confirmation, for repeats of one zone, for movement seen about then.
create table alarms (
  panel text not null,           -- panel id
  kind text not null,            -- of the alarm; a "-confirmed" kind or alarm-after-set: that it has been said
  source text not null,          -- zone, else 'user 003', else ''
  partition text not null,       -- of the last such event, '' unknown
  seq integer not null,          -- last such event
  first_wall_ns integer not null, -- arrival of the first that counts: wall,
  first_mono_ns integer not null, -- ... monotonic,
  first_boot text not null,      -- ... of which boot
  at_wall_ns integer not null,   -- arrival of the last: wall,
  at_mono_ns integer not null,   -- ... monotonic,
  at_boot text not null,         -- ... of which boot
  said_ns integer not null,      -- when the last happened by the panel's own clock; 0: it did not say
  old integer not null check (old in (0, 1)), -- 1: the last came from the panel's buffer, so that its arrival says nothing
  times integer not null,        -- how many came since the partition was set or unset, or within a day
  held text not null,            -- why the last went in the routine lane; '' it did not
  restored integer not null check (restored in (0, 1)),   -- 1: its restore has come since
  cancelled integer not null check (cancelled in (0, 1)), -- 1: it was cancelled since
  reset integer not null check (reset in (0, 1)),         -- 1: the system was reset for it since
  over integer not null check (over in (0, 1)),           -- 1: all that its class asks for has come
  cause integer not null check (cause in (0, 1)),         -- 1: it counts as a cause of a confirmed alarm
  pending integer not null check (pending in (0, 1)),     -- 1: unconfirmed is to be said when its window ends
  seen integer not null check (seen in (0, 1)),           -- 1: event seq has been corroborated by a camera
  primary key (panel, kind, source)
) strict, without rowid;

create index alarms_seq on alarms (seq);

-- What an engineer is doing at the site: at most one row each of engineer and walk-test.
create table modes (
  kind text primary key,        -- engineer or walk-test
  panel text not null,          -- panel that said so
  seq integer not null,         -- event that said so
  at_wall_ns integer not null,  -- its arrival: wall,
  at_mono_ns integer not null,  -- ... monotonic,
  at_boot text not null         -- ... of which boot
) strict, without rowid;

-- What is lost by the journal's last word: a restart must neither say it twice nor forget to say that it is back.
create table losses (
  kind text not null,     -- panel-lost, camera-lost, camera-covered and the like
  subject text not null,  -- id of the panel or camera; '' for the path to the SOC
  seq integer not null,   -- event that said so
  primary key (kind, subject)
) strict, without rowid;

-- What the SOC asked of the box. A row is made before the command is done; its outcome comes with its event.
create table commands (
  id text primary key,           -- given by the SOC
  kind text not null,            -- clip, status
  signer text not null,          -- who asked, as the SOC knows them
  expires_ns integer not null,   -- not to be done after; until then the SOC may repeat it
  begun_ns integer not null,     -- wall clock when it was begun
  state text not null check (state in ('begun', 'done', 'failed', 'expired', 'unknown')), -- unknown: the box stopped before its end
  outcome text not null default '', -- sentence for people
  ended_ns integer,              -- wall clock when it ended; null before
  seq integer,                   -- command-done event that says so; null before
  check ((state = 'begun') = (seq is null))
) strict, without rowid;

create index commands_ended on commands (seq) where state <> 'begun';

-- Damaged journals whose events are carried over into this one.
create table salvages (
  name text primary key,                   -- folder in quarantine/
  journal text not null default '',        -- its id; '' when nothing in it tells
  cause text not null default '',          -- why it was moved there, sentence for people
  last_seq integer not null default 0,     -- last event that it is known to have had
  urgent_seq integer not null default 0,   -- its urgent events up to this one have been dealt with
  routine_seq integer not null default 0,  -- its routine events likewise
  events integer not null default 0,       -- how many have been carried over
  begun integer not null default 0 check (begun in (0, 1)), -- 1: its loss is said, its tables are carried over
  done integer not null default 0 check (done in (0, 1))    -- 1: its events are, too
) strict, without rowid;

-- What cameras saw move: kept to be searched on the box, newest first. Not evidence, in no chain, and not sent.
create table motions (
  id integer primary key,    -- grows; the oldest rows go first
  camera text not null,      -- that saw it
  from_ns integer not null,  -- wall clock when it began
  to_ns integer not null,    -- and ended
  clock text not null,       -- how good that clock was: synced, drifting or unset
  cells integer not null,    -- where in the picture: bit 8*row+column of 8 rows and 8 columns, from the left above
  rule text not null,        -- rule of the configuration that decided; '' none fitted
  sent integer not null check (sent in (0, 1)), -- 1: there is an event of it
  why text not null          -- sentence for people
) strict;

create index motions_from on motions (from_ns);

-- The box's signed word for its chain (P12), at most 1000.
create table checkpoints (
  seq integer primary key,  -- event whose hash is signed: that event and all before it are covered
  body blob not null,       -- what is signed, unchanged: see edge.Checkpoint
  signature blob not null,  -- by the box's key, ECDSA P-256 in ASN.1 over the SHA-256 of body
  certificate blob not null check (length(certificate) = 32), -- of that key: in certificates
  sent integer not null check (sent in (0, 1)) -- 1: the SOC has it, or a later one that covers the same
) strict;

create index checkpoints_open on checkpoints (seq) where sent = 0;

-- The box's word for each clip that was ready; it goes with the clip's row.
create table manifests (
  id text primary key,      -- clip id
  body blob not null,       -- what is signed, unchanged: see edge.Manifest; before it is signed, what will be
  signature blob,           -- as in checkpoints; null: not signed yet
  certificate blob check (length(certificate) = 32), -- as in checkpoints; null: not signed yet
  check ((signature is null) = (certificate is null))
) strict, without rowid;

create index manifests_open on manifests (id) where signature is null;

-- Certificates of the box's key that checkpoints and manifests name.
create table certificates (
  sha256 blob primary key check (length(sha256) = 32), -- of der
  der blob not null                                    -- the certificate
) strict, without rowid;
