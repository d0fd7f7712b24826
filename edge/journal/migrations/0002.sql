create table commands (
  id text primary key,
  kind text not null,
  signer text not null,
  expires_ns integer not null,
  begun_ns integer not null,
  state text not null check (state in ('begun', 'done', 'failed', 'expired', 'unknown')),
  outcome text not null default '',
  ended_ns integer,
  seq integer,
  check ((state = 'begun') = (seq is null))
) strict, without rowid;

create index commands_ended on commands (seq) where state <> 'begun';
