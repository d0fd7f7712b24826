package journal

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"

	"sitewatch/edge"
)

// Batch is what a panel's signals led to: all of it is on disk, or none.
type Batch struct {
	Entries    []Entry
	Partitions []Partition
	Panel      edge.PanelID // whose signals Entries are; "": nothing is remembered for the duplicate rule
	Matched    []edge.Seq   // events whose signals the panel has re-sent in the same call; see Journal.Matched
	Meaning    Meaning
}

// Entry is one event of a Batch.
type Entry struct {
	Event  edge.Event
	Amends int        // 1 + index in Entries of the event that this one amends; 0: Event.Amends stands
	Key    []byte     // of the signal; nil: never taken for a repeat
	Old    bool       // the panel said that it is re-sending this from its buffer
	At     edge.Stamp // arrival of the signal
	Beside bool       // it follows from another event of the batch and is no signal: no repeat and no text is about it

	kept bool // the event was journalled before: its times stay, and its clips may be known
}

// head is the end of the chain.
type head struct {
	seq  edge.Seq
	hash [32]byte
}

// sealed is an event as it will be stored.
type sealed struct {
	event      edge.Event
	body       []byte
	prev, hash [32]byte
	kept       bool
}

// Append journals the events in one transaction and returns the seq of the last. They are durable when it returns nil.
// It fills in V, Site, Journal, Seq, Lane, Recorded and Clock, and Occurred where it is zero. It blocks while the
// writer is behind. After an error other than ctx's none of the events is in the journal; after ctx's they may be.
func (j *Journal) Append(ctx context.Context, evs ...edge.Event) (last edge.Seq, err error) {
	b := Batch{Entries: make([]Entry, len(evs))}
	for i, ev := range evs {
		b.Entries[i].Event = ev
	}
	seqs, err := j.Commit(ctx, b)
	if err != nil || len(seqs) == 0 {
		return 0, err
	}
	return seqs[len(seqs)-1], nil
}

// Commit journals a batch in one transaction and returns the seqs of its events; see Append.
func (j *Journal) Commit(ctx context.Context, b Batch) ([]edge.Seq, error) {
	if len(b.Entries) == 0 && len(b.Partitions) == 0 && b.Meaning.empty() {
		return nil, nil
	}
	var seqs []edge.Seq
	err := j.do(ctx, func(ctx context.Context, t *tx) error {
		got, err := t.commit(ctx, b)
		if err != nil {
			return err
		}
		seqs = got // read by the caller only after its answer came
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("append %d events: %w", len(b.Entries), err)
	}
	return seqs, nil
}

func (t *tx) commit(ctx context.Context, b Batch) ([]edge.Seq, error) {
	open, extended := maps.Clone(t.open), maps.Clone(t.extended)
	evs, err := t.seal(t.repeats(b.Entries))
	if err != nil {
		t.open, t.extended = open, extended
		return nil, refusal{err}
	}
	seqs := make([]edge.Seq, len(evs))
	for i := range evs {
		seqs[i] = evs[i].event.Seq
	}
	if err := t.insert(ctx, evs); err != nil {
		return nil, err
	}
	if err := t.remember(ctx, b, seqs); err != nil {
		return nil, err
	}
	return seqs, nil
}

// emit journals one of the journal's own events in the running transaction.
func (t *tx) emit(ctx context.Context, ev edge.Event) (sealed, error) {
	evs, err := t.seal([]Entry{{Event: ev}})
	if err != nil {
		return sealed{}, err
	}
	return evs[0], t.insert(ctx, evs)
}

// seal fills in and encodes events as the next of the chain. It writes nothing.
func (t *tx) seal(entries []Entry) ([]sealed, error) {
	next := t.head
	now := t.j.opt.Clock.Now()
	out := make([]sealed, len(entries))
	for i, en := range entries {
		ev := en.Event
		ev.V, ev.Site, ev.Journal, ev.Seq = 1, t.j.opt.Site, t.j.id, next.seq+1
		ev.Lane = ev.Kind.Lane()
		if ev.Held != "" {
			if ev.Kind.MayBeHeld() {
				ev.Lane = edge.Routine
			} else {
				ev.Held = "" // whatever asked for it: P4
			}
		}
		if !en.kept {
			ev.Recorded, ev.Clock = now, now.ClockState()
		}
		if ev.Occurred.IsZero() {
			ev.Occurred = now.Wall
		}
		ev.Occurred = ev.Occurred.UTC()
		if en.Amends > 0 && en.Amends <= i {
			ev.Amends = out[en.Amends-1].event.Seq
		}
		body, err := ev.Encode()
		if err != nil {
			return nil, fmt.Errorf("encode event of kind %q: %w", ev.Kind, err)
		}
		if len(body) > edge.MaxEventBytes {
			return nil, fmt.Errorf("%w: %d bytes of kind %q", ErrTooBig, len(body), ev.Kind)
		}
		if ev.Kind == "" {
			return nil, fmt.Errorf("journal: event without a kind")
		}
		out[i] = sealed{event: ev, body: body, prev: next.hash, hash: chain(next.hash, body), kept: en.kept}
		next = head{ev.Seq, out[i].hash}
	}
	return out, nil
}

// chain is the hash of a record: SHA-256 over the hash before it, then its body.
func chain(prev [32]byte, body []byte) [32]byte {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

func (t *tx) insert(ctx context.Context, evs []sealed) error {
	var beyond []edge.ClipID
	for i := range evs {
		s := &evs[i]
		if _, err := t.exec(ctx, `insert into events (seq, lane, kind, prev, hash, body) values (?, ?, ?, ?, ?, ?)`,
			int64(s.event.Seq), int64(s.event.Lane), string(s.event.Kind), s.prev[:], s.hash[:], s.body); err != nil {
			return err
		}
		if err := t.keepLoss(ctx, &s.event); err != nil {
			return err
		}
		t.effects.lanes[s.event.Lane] = true
		t.effects.bytes += int64(len(s.body)) + 128
		if s.event.Lane == edge.Urgent || s.event.Clip != nil {
			t.effects.soon = true
		}
		if s.event.Kind == edge.KindClipReady || s.event.Kind == edge.KindClipLost {
			continue
		}
		for _, c := range s.event.Clips {
			full, err := t.wantClip(ctx, c, &s.event, s.kept)
			if err != nil {
				return err
			}
			if full {
				beyond = append(beyond, c.ID)
			}
		}
	}
	if len(evs) == 0 {
		return nil
	}
	end := &evs[len(evs)-1]
	t.head = head{end.event.Seq, end.hash}
	for _, id := range beyond {
		c, err := t.clip(ctx, id)
		if err != nil {
			return err
		}
		if err := t.loseClip(ctx, id, c, "too many alarms came at once"); err != nil {
			return err
		}
	}
	return nil
}

// setHead writes the end of the chain into the file's own row. The newest event says the same, and it would be a page more to
// write for each alarm: so it is done before events are deleted, of which the newest may be one, and about once a second.
func (t *tx) setHead(ctx context.Context) error {
	if t.head == t.j.rowHead {
		return nil
	}
	h := t.head
	t.effects.done = append(t.effects.done, func() { t.j.rowHead = h })
	_, err := t.exec(ctx, `update journal set head_seq = ?, head_hash = ?`, int64(t.head.seq), t.head.hash[:])
	return err
}
