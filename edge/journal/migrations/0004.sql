create table points (
  panel text not null,
  zone text not null,
  kind text not null,
  active integer not null check (active in (0, 1)),
  primary key (panel, zone, kind)
) strict, without rowid;

create table periods (
  panel text not null,
  partition text not null,
  at_wall_ns integer not null,
  at_mono_ns integer not null,
  at_boot text not null,
  primary key (panel, partition)
) strict, without rowid;

create table alarms (
  panel text not null,
  kind text not null,
  source text not null,
  partition text not null,
  seq integer not null,
  first_wall_ns integer not null,
  first_mono_ns integer not null,
  first_boot text not null,
  at_wall_ns integer not null,
  at_mono_ns integer not null,
  at_boot text not null,
  said_ns integer not null,
  old integer not null check (old in (0, 1)),
  times integer not null,
  held text not null,
  restored integer not null check (restored in (0, 1)),
  cancelled integer not null check (cancelled in (0, 1)),
  reset integer not null check (reset in (0, 1)),
  over integer not null check (over in (0, 1)),
  cause integer not null check (cause in (0, 1)),
  pending integer not null check (pending in (0, 1)),
  seen integer not null check (seen in (0, 1)),
  primary key (panel, kind, source)
) strict, without rowid;

create index alarms_seq on alarms (seq);

create table modes (
  kind text primary key,
  panel text not null,
  seq integer not null,
  at_wall_ns integer not null,
  at_mono_ns integer not null,
  at_boot text not null
) strict, without rowid;
