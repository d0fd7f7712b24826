package segment

import (
	"context"
	"time"

	"sitewatch/edge"
)

// Status is what a person asks about the recording of one camera.
type Status struct {
	Oldest, Newest time.Time // zero: nothing is recorded
	Synced         time.Time // of the newest unit that a power cut cannot take any more, since Open
	Bytes          int64     // on disk
	Files          int
	WrittenBytes   uint64  // since Open
	BytesPerSecond float64 // of late
	Units          uint64  // pictures and pieces of sound taken since Open
	Dropped        uint64  // not recorded since Open: the disk was too slow, full, or failed
	DroppedGOPs    uint64  // of which some or all units were dropped
	Deleted        uint64  // files that gave way since Open
	Trouble        string  // why nothing is recorded; "" while it is
}

// Span returns the wall clock of the oldest and of the newest unit that is on disk; ok is false when there is none.
func (s *Store) Span(c edge.CameraID) (oldest, newest time.Time, ok bool) {
	sh := s.shelves[c]
	if sh == nil {
		return oldest, newest, false
	}
	books := sh.all()
	if len(books) == 0 {
		return oldest, newest, false
	}
	newest = books[len(books)-1].wall
	if i, err := sh.read(books[len(books)-1]); err == nil && i.units > 0 {
		newest = i.wall
	}
	return books[0].wall, newest, true
}

// Bytes is how much there is of all cameras.
func (s *Store) Bytes() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.order {
		for _, b := range sh.books {
			n += b.bytes
		}
	}
	return n
}

// Status returns how the recording of a camera is; ok is false when there is nothing of it and never will be.
func (s *Store) Status(c edge.CameraID) (st Status, ok bool) {
	sh := s.shelves[c]
	if sh == nil {
		return st, false
	}
	st.Oldest, st.Newest, _ = s.Span(c)
	if sh.w != nil {
		p := sh.w.counted()
		st.Units, st.Dropped, st.DroppedGOPs = p.units, p.dropped, p.gops
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range sh.books {
		st.Bytes += b.bytes
	}
	st.Files, st.WrittenBytes, st.Deleted, st.Trouble = len(sh.books), sh.state.written, sh.state.given, sh.state.trouble
	st.BytesPerSecond, st.Synced = sh.state.rate.perSecond, sh.state.synced
	return st, true
}

// rate is the mean of about the last five minutes.
type rate struct {
	at        time.Duration
	bytes     uint64
	perSecond float64
}

const rateTime = 5 * time.Minute

func (r *rate) see(now time.Duration, bytes uint64) {
	passed := now - r.at
	if r.at == 0 || passed <= 0 {
		r.at, r.bytes = now, bytes
		return
	}
	v := float64(bytes-r.bytes) / passed.Seconds()
	if r.perSecond == 0 {
		r.perSecond = v
	} else {
		r.perSecond += (v - r.perSecond) * min(1, passed.Seconds()/rateTime.Seconds())
	}
	r.at, r.bytes = now, bytes
}

// look keeps the figures that are of a time.
func (s *Store) look() {
	now := s.opt.Clock.Now().Mono
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.order {
		if now-sh.state.rate.at >= time.Second {
			sh.state.rate.see(now, sh.state.written)
		}
	}
}

// Trouble is what Report is told.
type Trouble struct {
	Cameras []edge.CameraID
	Reason  string // why they are not recorded, or not all of their pictures are
	Over    bool   // they are recorded again
}

// settle is how long a trouble, or its absence, must last before it is told: a disk that is full befalls all cameras within a second, and is
// one trouble.
const settle = 5 * time.Second

// slowOver is how long a disk that was too slow must keep pace.
const slowOver = time.Minute

// runReports tells troubles and their ends.
func (s *Store) runReports(ctx context.Context) error {
	if s.opt.Report == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	t := time.NewTicker(settle)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		edge.Beat(ctx)
		for _, t := range s.changes() {
			s.opt.Report(ctx, t)
		}
	}
}

// changes returns what is to be told now: one trouble for each reason.
func (s *Store) changes() (out []Trouble) {
	now := s.opt.Clock.Now().Mono
	add := func(c edge.CameraID, reason string, over bool) {
		for i := range out {
			if out[i].Reason == reason && out[i].Over == over {
				out[i].Cameras = append(out[i].Cameras, c)
				return
			}
		}
		out = append(out, Trouble{Cameras: []edge.CameraID{c}, Reason: reason, Over: over})
	}
	for _, sh := range s.order {
		if sh.w == nil {
			continue
		}
		dropped := sh.w.counted().dropped
		s.mu.Lock()
		st := &sh.state
		trouble := st.trouble
		if trouble == "" && dropped > st.lossy {
			st.lossy, st.lossyAt = dropped, now
		}
		if trouble == "" && st.lossyAt > 0 && now-st.lossyAt < slowOver {
			trouble = "the disk is too slow"
		}
		switch {
		case trouble != "" && st.reported == "":
			st.reported = trouble
			add(sh.camera, trouble, false)
		case trouble == "" && st.reported != "":
			add(sh.camera, st.reported, true)
			st.reported = ""
		}
		s.mu.Unlock()
	}
	return out
}
