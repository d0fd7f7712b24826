package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/edge/local"
	"sitewatch/video/segment"
)

const continuous = "continuous"

// wireSegments opens what is recorded, if anything is or was.
func (b *box) wireSegments() {
	g := b.cfg
	dir := segmentDir(g)
	cameras := map[edge.CameraID]segment.Camera{}
	for _, c := range g.Cameras {
		if c.Record == continuous {
			cameras[c.ID] = segment.Camera{LimitBytes: int64(c.Segments)}
		}
	}
	if _, err := os.Stat(dir); len(cameras) == 0 && err != nil {
		return
	}
	b.segments = segment.Open(segment.Options{Dir: dir, Cameras: cameras, LimitBytes: int64(g.Limits.Segments), Clock: b.clock, Log: b.log,
		Held: b.heldSpans, Report: b.recordingTrouble})
}

func segmentDir(g *config.Gateway) string { return filepath.Join(g.Data, "segments") }

// heldSpans are those of the clips that are still to be cut.
func (b *box) heldSpans(ctx context.Context) ([]segment.Span, error) {
	clips, err := b.journal.WantedSpans(ctx)
	if err != nil {
		return nil, err
	}
	var out []segment.Span
	for _, c := range clips {
		out = append(out, segment.Span{Camera: c.Camera, From: c.From, To: c.To})
	}
	return out, nil
}

// recordingTrouble journals that cameras are not recorded, and that they are again. That the pictures of a shop are not kept is an
// event of its own (P8); the journal and the clips from memory go on.
func (b *box) recordingTrouble(ctx context.Context, t segment.Trouble) {
	kind, why := edge.KindTaskFailed, "Recording of %s is not complete: "+t.Reason+". It goes on by itself when that is over."
	if t.Over {
		kind, why = kind.Restored(), "Recording of %s goes on."
	}
	names := make([]string, len(t.Cameras))
	for i, c := range t.Cameras {
		names[i] = string(c)
	}
	what := "camera " + strings.Join(names, ", ")
	if len(names) > 1 {
		what = fmt.Sprintf("%d cameras (%s)", len(names), strings.Join(names, ", "))
	}
	b.reportState(ctx, edge.Event{Kind: kind, Cameras: t.Cameras, Occurred: b.clock.Now().Wall, Why: fmt.Sprintf(why, what)})
}

// recording is the status of one camera's recording.
func (c *camera) recording() local.Recording {
	r := local.Recording{Mode: c.Record}
	if c.box.segments == nil {
		return r
	}
	s, ok := c.box.segments.Status(c.ID)
	if !ok {
		return r
	}
	r.Reason, r.Oldest, r.Newest, r.Synced = s.Trouble, s.Oldest, s.Newest, s.Synced
	r.Bytes, r.LimitBytes = s.Bytes, int64(c.Segments)
	r.BytesPerSecond, r.BytesPerDay = s.BytesPerSecond, s.BytesPerSecond*(24*time.Hour).Seconds()
	r.WrittenBytes, r.Dropped, r.DroppedGOPs = s.WrittenBytes, s.Dropped, s.DroppedGOPs
	return r
}

func (b *box) segmentStatus() local.Segments {
	st := local.Segments{LimitBytes: int64(b.cfg.Limits.Segments)}
	if b.segments == nil {
		return st
	}
	w := b.segments.Wear()
	st.Bytes, st.BytesPerDay, st.DeviceBytes, st.Flash, st.WearYears, st.WearUsed = b.segments.Bytes(), w.BytesPerDay, w.DeviceBytes, w.Flash, w.Years, w.UsedPercent
	if left, ok := b.segments.Leaving(); ok {
		st.Leaving, st.HoursLeft = true, int(left.Hours())
	}
	return st
}

// common is what a camera sends that nobody has told anything else: 2 Mbit/s.
const common = 2_000_000 / 8

// scarce says that what may be recorded is less than an hour, "" when it is not. What cameras really send is known only when they do.
func scarce(g *config.Gateway) string {
	n := int64(0)
	for _, c := range g.Cameras {
		if c.Record != continuous {
			continue
		}
		n++
		if d := time.Duration(c.Segments/common) * time.Second; c.Segments > 0 && d < time.Hour {
			return fmt.Sprintf("camera %s may record %s, %d minutes of 2 Mbit/s: raise cameras[].segments", c.ID, c.Segments, d/time.Minute)
		}
	}
	if n == 0 {
		return ""
	}
	if d := time.Duration(int64(g.Limits.Segments)/n/common) * time.Second; d < time.Hour {
		return fmt.Sprintf("limits.segments of %s is %d minutes of %d cameras of 2 Mbit/s: raise it", g.Limits.Segments, d/time.Minute, n)
	}
	return ""
}
