-- Version 6: the checkpoints that are not good are found without a look at all of a journal's.

CREATE INDEX checkpoints_open ON checkpoints (site, journal, state, seq) WHERE state <> 'good';
