create table motions (
  id integer primary key,
  camera text not null,
  from_ns integer not null,
  to_ns integer not null,
  clock text not null,
  cells integer not null,
  rule text not null,
  sent integer not null check (sent in (0, 1)),
  why text not null
) strict;

create index motions_from on motions (from_ns);
