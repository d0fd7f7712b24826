create table journal (
  one integer primary key check (one = 1),
  id text not null,
  site text not null,
  created_ns integer not null,
  head_seq integer not null,
  head_hash blob not null
) strict;

create table events (
  seq integer primary key,
  lane integer not null check (lane in (1, 2)),
  kind text not null,
  prev blob not null check (length(prev) = 32),
  hash blob not null check (length(hash) = 32),
  body blob not null
) strict;

create index events_lane on events (lane);

create table cursors (
  lane integer primary key check (lane in (1, 2)),
  seq integer not null
) strict;

create table anchors (
  one integer primary key check (one = 1),
  seq integer not null,
  hash blob not null check (length(hash) = 32),
  at_ns integer not null,
  signature blob
) strict;

create table gaps (
  id integer primary key,
  from_seq integer not null,
  to_seq integer not null,
  events integer not null,
  lost integer not null check (lost in (0, 1)),
  reason text not null,
  event_seq integer,
  event_hash blob,
  signature blob
) strict;

create table clips (
  id text primary key,
  camera text not null,
  asked_from_ns integer not null,
  asked_to_ns integer not null,
  seq integer not null,
  kind text not null,
  at_wall_ns integer not null,
  at_mono_ns integer not null,
  at_boot text not null,
  at_synced integer not null check (at_synced in (0, 1)),
  state text not null check (state in ('wanted', 'cutting', 'ready', 'lost', 'gone')),
  reason text not null default '',
  still_file text,
  still_bytes integer not null default 0,
  still_sha256 blob,
  still_sent integer not null default 0 check (still_sent in (0, 1, 2)),
  clip_file text,
  clip_bytes integer not null default 0,
  clip_sha256 blob,
  clip_sent integer not null default 0 check (clip_sent in (0, 1, 2)),
  check (state <> 'ready' or clip_file is not null)
) strict, without rowid;

create index clips_files on clips (seq) where clip_file is not null or still_file is not null;
create index clips_open on clips (seq) where state in ('wanted', 'cutting');
create index clips_still on clips (seq) where still_file is not null and still_sent = 0;
create index clips_clip on clips (seq) where clip_file is not null and clip_sent = 0;

create table panels (
  panel text primary key,
  call_seq integer not null,
  at_wall_ns integer not null,
  at_mono_ns integer not null,
  at_boot text not null,
  settled integer not null check (settled in (0, 1)),
  event_seq integer not null,
  event_wall_ns integer not null,
  event_mono_ns integer not null,
  event_boot text not null
) strict, without rowid;

create table signals (
  seq integer primary key,
  panel text not null,
  zone text,
  key blob not null,
  old integer not null check (old in (0, 1)),
  matched integer not null check (matched in (0, 1)),
  call_seq integer not null,
  at_wall_ns integer not null,
  at_mono_ns integer not null,
  at_boot text not null
) strict;

create index signals_key on signals (panel, key);
create index signals_zone on signals (panel, zone);
create index signals_call on signals (call_seq);

create table partitions (
  panel text not null,
  partition text not null,
  state text not null check (state in ('set', 'part-set', 'unset')),
  seq integer not null,
  primary key (panel, partition)
) strict, without rowid;

create table losses (
  kind text not null,
  subject text not null,
  seq integer not null,
  primary key (kind, subject)
) strict, without rowid;
