create table checkpoints (
  seq integer primary key,
  body blob not null,
  signature blob not null,
  certificate blob not null check (length(certificate) = 32),
  sent integer not null check (sent in (0, 1))
) strict;

create index checkpoints_open on checkpoints (seq) where sent = 0;

create table manifests (
  id text primary key,
  body blob not null,
  signature blob,
  certificate blob check (length(certificate) = 32),
  check ((signature is null) = (certificate is null))
) strict, without rowid;

create index manifests_open on manifests (id) where signature is null;

create table certificates (
  sha256 blob primary key check (length(sha256) = 32),
  der blob not null
) strict, without rowid;
