create table salvages (
  name text primary key,
  journal text not null default '',
  cause text not null default '',
  last_seq integer not null default 0,
  urgent_seq integer not null default 0,
  routine_seq integer not null default 0,
  events integer not null default 0,
  begun integer not null default 0 check (begun in (0, 1)),
  done integer not null default 0 check (done in (0, 1))
) strict, without rowid;
