package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/local"
)

type statusCmd struct {
	configFlag
	JSON bool `help:"Print the JSON as the gateway gives it."`
}

// Run asks the running gateway over its local pages.
func (c *statusCmd) Run(ctx context.Context, o cli.Out) error {
	g, err := c.parse()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.Listen+"/api/v1/status", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return edge.WithHint(fmt.Errorf("no gateway answers on %s: %w", g.Listen, err), "start it with 'gateway run', or see its log")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway on %s answers %s: %s", g.Listen, resp.Status, strings.TrimSpace(string(body)))
	}
	var st local.Status
	if err := json.Unmarshal(body, &st); err != nil {
		return fmt.Errorf("what answers on %s is no gateway: %w", g.Listen, err)
	}
	if st.Site != g.Site.ID {
		return edge.WithHint(fmt.Errorf("the gateway on %s is of site %s, %s is of site %s", g.Listen, st.Site, c.Config, g.Site.ID), "name the file of the gateway that runs with --config")
	}
	if c.JSON {
		_, err = o.Write(append(body, '\n'))
		return err
	}
	printStatus(o, st)
	return nil
}

// printStatus writes a line for each thing that an installer asks about.
func printStatus(w io.Writer, st local.Status) {
	fmt.Fprintf(w, "site %s %s, version %s, clock %s\n", st.Site, st.SiteName, st.Version, st.Clock.State)
	for _, p := range st.Panels {
		fmt.Fprintf(w, "panel    %-12s %-10s %d frames, %d rejected, %d unacked, %d bytes of noise, %.1f %% bad in the last hour %s\n",
			p.ID, p.State, p.Frames, p.Rejects, p.Unacked, p.Noise, p.BadPercent(), p.Reason)
	}
	for _, c := range st.Cameras {
		fmt.Fprintf(w, "camera   %-12s %-10s %.0f s ready %s\n", c.ID, c.State, c.RingSeconds, c.Reason)
		if r := c.Recording; r.Mode == continuous || r.Bytes > 0 {
			fmt.Fprintf(w, "recorded %-12s %s, %d MB, %.0f kB/s, %d left out %s\n", c.ID, recordedSpan(r), r.Bytes>>20, r.BytesPerSecond/1000, r.Dropped, r.Reason)
		}
		fmt.Fprintf(w, "eye      %-12s %-10s %d intervals of movement, %d pictures left out %s\n", c.ID, c.Eye.Grade, c.Motions, c.Eye.LeftOut, eyeState(c.Eye))
		if o := c.ONVIF; o != nil {
			fmt.Fprintf(w, "onvif    %-12s %-10s %d hints, clock %+.1f s %s\n", c.ID, o.State, o.Hints, float64(o.ClockAhead)/1000, o.Reason)
		}
	}
	fmt.Fprintf(w, "uplink   %-12s %-10s %s\n", st.Uplink.SOC, st.Uplink.State, st.Uplink.Reason)
	if len(st.Uplink.Paths) > 1 {
		for _, p := range st.Uplink.Paths {
			fmt.Fprintf(w, "path     %-12s %-10s %s %.0f ms %s\n", p.Name, p.State, p.SOC, p.RTT, p.Reason)
		}
	}
	if ends := st.Uplink.CertificateEnds; !ends.IsZero() {
		fmt.Fprintf(w, "identity certificate good until %s\n", ends.Format(time.DateOnly))
	}
	fmt.Fprintf(w, "journal  %s up to %d, waiting: %d urgent, %d routine\n", st.Journal.ID, st.Journal.LastSeq, st.Journal.Waiting["urgent"], st.Journal.Waiting["routine"])
	if s := st.Segments; s.Bytes > 0 {
		fmt.Fprintf(w, "segments %d of %d MB, %.1f GB a day%s\n", s.Bytes>>20, s.LimitBytes>>20, s.BytesPerDay/1e9, wear(s))
		if s.Leaving {
			fmt.Fprintf(w, "segments no camera is recorded any more: all of it is deleted after another %d hours; record: continuous of any camera keeps it\n", s.HoursLeft)
		}
	}
	fmt.Fprintf(w, "disk     %s: %d of %d MB free\n", st.Disk.Path, st.Disk.FreeBytes>>20, st.Disk.TotalBytes>>20)
}

// eyeState says what is not as usual with how a camera is looked at.
func eyeState(e local.Eye) string {
	switch {
	case e.Quarantine > 0:
		return fmt.Sprintf("not looked at for %.0f s: a picture of it has ended an eye", e.Quarantine)
	case e.Behind:
		return "behind"
	case e.Moving:
		return "moving"
	}
	return ""
}

// recordedSpan says how far back a recording reaches.
func recordedSpan(r local.Recording) string {
	if r.Oldest.IsZero() {
		return "nothing yet"
	}
	return fmt.Sprintf("%s to %s", r.Oldest.UTC().Format(time.DateTime), r.Newest.UTC().Format(time.DateTime+" UTC"))
}

// wear says what recording does to the disk.
func wear(s local.Segments) (out string) {
	if s.WearYears > 0 {
		out = fmt.Sprintf(", its flash lasts about %.1f years", s.WearYears)
	}
	if s.WearUsed > 0 {
		out += fmt.Sprintf(", %d %% of it is used", s.WearUsed)
	}
	return out
}

// status puts together what the local pages show.
func (b *box) status(ctx context.Context) (local.Status, error) {
	now := b.clock.Now()
	st := local.Status{Site: b.cfg.Site.ID, SiteName: b.cfg.Site.Name, Version: cli.Version, Started: b.started,
		Clock: local.Clock{Now: now.Wall, State: now.ClockState(), Boot: now.Boot}, Uplink: b.uplinkStatus()}
	for _, l := range b.lines {
		s := l.Stats()
		p := local.Panel{ID: s.Panel, Driver: s.Driver, Port: s.Port, State: local.State(s.State), Reason: s.Reason, Faulty: s.Faulty,
			Frames: s.Frames, Rejects: s.Rejects, Noise: s.Noise, Unacked: s.Unacked, Bytes: s.Bytes, Damaged: s.Damaged, LastFrame: s.Last.Wall}
		for _, m := range s.History {
			p.History = append(p.History, local.Minute{Good: m.Good, Bad: m.Bad})
		}
		st.Panels = append(st.Panels, p)
	}
	for _, c := range b.cameras {
		st.Cameras = append(st.Cameras, c.status(b.motions.of(c.ID)))
	}
	j, err := b.journal.Status(ctx)
	if err != nil {
		return st, err
	}
	st.Journal = local.Journal{ID: j.ID, LastSeq: j.Last, Bytes: j.Bytes, LimitBytes: j.LimitBytes,
		Watermarks: map[string]edge.Seq{}, Waiting: map[string]uint64{}, Clips: map[string]uint64{}}
	for _, l := range j.Lanes {
		st.Journal.Watermarks[l.Lane.String()], st.Journal.Waiting[l.Lane.String()] = l.Watermark, uint64(l.Waiting)
	}
	for state, n := range j.Clips {
		st.Journal.Clips[state] = uint64(n)
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(b.cfg.Data, &fs); err != nil {
		return st, fmt.Errorf("disk of %s: %w", b.cfg.Data, err)
	}
	st.Disk = local.Disk{Path: b.cfg.Data, FreeBytes: fs.Bavail * uint64(fs.Bsize), TotalBytes: fs.Blocks * uint64(fs.Bsize)}
	st.Segments = b.segmentStatus()
	if tree := b.tree.Load(); tree != nil {
		for _, t := range tree.State() {
			state := "running"
			if !t.Running {
				state = "waiting"
			}
			st.Tasks = append(st.Tasks, local.Task{Name: t.Name, State: state, Restarts: t.Failures, Reason: t.LastErr})
		}
	}
	return st, nil
}

func (b *box) uplinkStatus() local.Uplink {
	u := local.Uplink{SOC: b.cfg.Uplink.Paths[0].SOC[0], State: local.StateStarting}
	c := b.client.Load()
	if c == nil {
		u.Reason = errNotEnrolled.Error()
		return u
	}
	u.Enrolled = true
	s := c.Status()
	u.Since, u.CertificateEnds = s.Since.Wall, c.CertificateEnds()
	u.State, u.Reason = lineState(s.Connected, s.LastError)
	for _, p := range s.Paths {
		state, reason := lineState(p.Connected, p.LastError)
		u.Paths = append(u.Paths, local.Path{Name: p.Name, Interface: p.Interface, SOC: p.Address, State: state, Reason: reason,
			RTT: float64(p.RTT.Microseconds()) / 1000, Events: p.Connected && p.Best, Bulk: p.Connected && p.Bulk})
	}
	return u
}

func lineState(connected bool, trouble string) (s local.State, reason string) {
	switch {
	case connected:
		return local.StateConnected, ""
	case trouble != "":
		return local.StateLost, trouble
	}
	return local.StateStarting, ""
}

// health says why the box is of no use. A lost camera, panel or SOC is reported by its event and on the status page: the box
// itself is well, and starting it again would mend nothing. A box that lives without its disk goes on, and is not well.
func (b *box) health(ctx context.Context) (reasons []string) {
	if _, err := b.journal.Status(ctx); err != nil {
		reasons = append(reasons, fmt.Sprintf("the journal cannot be read: %v", err))
	}
	if b.disk != nil {
		reasons = append(reasons, fmt.Sprintf("the data disk cannot be written, events are in memory only and no panel is acknowledged: %v", b.disk))
	}
	return reasons
}
