package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/edge/evidence"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/api"
	"sitewatch/uplink/soc/ledger"
)

type exportCmd struct {
	configFlag
	siteFlag
	From string        `required:"" help:"Begin of the span, like 2026-11-25T14:00:00Z; without a zone it is UTC."`
	To   string        `required:"" help:"End of the span."`
	Wait time.Duration `default:"20s" help:"How long after an event to wait for the box to sign it: it does within seconds of the last one. 0s takes it as it is."`
	Out  string        `help:"Folder to make, or a zip when it ends in .zip; evidence-SITE-FROM here when left out." type:"path" placeholder:"DIR|FILE.zip"`
}

// Run makes a folder or zip that proves itself. The receiver may be running.
func (c *exportCmd) Run(ctx context.Context, o cli.Out, e cli.Err) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	site, err := c.id()
	if err != nil {
		return err
	}
	from, err := moment("--from", c.From)
	if err != nil {
		return err
	}
	to, err := moment("--to", c.To)
	if err != nil {
		return err
	}
	if !from.Before(to) {
		return argument("--from %s is not before --to %s", c.From, c.To)
	}
	if c.Out == "" {
		c.Out = fmt.Sprintf("evidence-%s-%s", site, from.Format("20060102T150405Z"))
	}
	if c.Wait < 0 || c.Wait > maxWait {
		return argument("--wait %s is not from 0s to %s", c.Wait, maxWait)
	}
	x := &export{cfg: cfg, site: site, from: from, to: to, out: c.Out, wait: c.Wait, say: e}
	err = withLedger(ctx, cfg, func(ctx context.Context, led ledger.Ledger) error {
		x.led = led
		return x.run(ctx)
	})
	if ctx.Err() != nil {
		return errors.New("stopped before the end: nothing is exported")
	}
	if errors.Is(err, evidence.ErrExists) {
		return cli.ArgumentError{Err: edge.WithHint(err, "choose another --out, or move what is there away")}
	}
	if errors.Is(err, evidence.ErrTooMuch) {
		return edge.WithHint(fmt.Errorf("nothing is exported: %w", err), "ask for a shorter span, and export the rest by itself")
	}
	if err != nil {
		return err
	}
	more := ""
	if x.arrived > 0 {
		more = fmt.Sprintf(", %d incomplete clips", x.arrived)
	}
	fmt.Fprintf(o, "%s: %d events, %d clips, %d stills%s\n", c.Out, x.events, x.clips, x.stills, more)
	for _, s := range x.unsigned {
		fmt.Fprintln(o, "not proved yet:", s)
	}
	if x.arrived > 0 {
		fmt.Fprintf(o, "not complete: %s\n", plural(x.arrived, "clip has", "clips have")+" not come in full; what had come is there, and no box has signed it")
	}
	if len(x.unsigned) > 0 || x.arrived > 0 {
		fmt.Fprintf(o, "if the box still sends, the same again in a minute has more: soc export --site %s --from %s --to %s --out ANOTHER\n", site, x.from.Format(time.RFC3339), x.to.Format(time.RFC3339))
	}
	_, err = fmt.Fprintf(o, "check it with: soc verify %s --ca ca.pem\n", shellWord(c.Out))
	return err
}

// shellWord is s as it can be pasted into a shell.
func shellWord(s string) string {
	if !strings.ContainsAny(s, " \t\n'\"\\$`!*?[]{}()<>|&;~#") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func argument(format string, args ...any) error {
	return cli.ArgumentError{Err: fmt.Errorf(format, args...)}
}

// moment reads a time as people write it.
func moment(flag, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, argument("%s %q is not a time: write it like 2026-11-25T14:00:00Z", flag, s)
}

// export is one export while it is made.
type export struct {
	cfg      *config.SOC
	led      ledger.Ledger
	site     edge.SiteID
	from, to time.Time
	out      string
	wait     time.Duration
	say      io.Writer // progress

	w                     *evidence.Writer
	head                  evidence.Header
	rows                  []ledger.Event
	films                 []ledger.Clip
	journals              map[edge.JournalID]*extract
	events, clips, stills int
	arrived               int      // clips of which a part is there
	unsigned              []string // events that no checkpoint covers
}

func (x *export) run(ctx context.Context) error {
	site, err := siteOf(ctx, x.led, x.site)
	if err != nil {
		return err
	}
	if err := x.choose(ctx); err != nil {
		return err
	}
	if err := x.await(ctx); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(x.journals)) {
		if err := x.plan(ctx, id); err != nil {
			return err
		}
	}
	if x.w, err = evidence.Create(x.out); err != nil {
		if errors.Is(err, evidence.ErrExists) {
			return err
		}
		return edge.WithHint(fmt.Errorf("--out: %w", err), "choose a folder that this user may write to")
	}
	defer x.w.Discard()
	who, host := operator()
	x.head = evidence.Header{Site: x.site, Name: site.Name, From: x.from, To: x.to, Made: edge.NewSystemClock().Now().Wall.UTC(), By: who + "@" + host, Program: "soc " + cli.Version}
	// First the log: nobody takes pictures away without a line about it.
	span := fmt.Sprintf("%s to %s", x.from.Format(time.RFC3339), x.to.Format(time.RFC3339))
	if err := x.led.Note(ctx, custodyEntry(x.site, ledger.Exported, "begun: "+span+", to "+x.out)); err != nil {
		return edge.WithHint(err, "an export must be logged: see that the SOC's disk has room and this user may write there")
	}
	for _, step := range []func(context.Context) error{x.putJournals, x.putClips, x.putCustody} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	authorities, err := x.authorities(ctx)
	if err != nil {
		return err
	}
	seal, err := soc.EvidenceSigner(x.cfg.Data, edge.NewSystemClock())
	if err != nil {
		return edge.WithHint(fmt.Errorf("the export cannot be sealed: %w", err), "run it as the user that runs the SOC")
	}
	sum, err := x.w.Close(x.head, authorities, x.timeline(), seal)
	if err != nil {
		return err
	}
	done := custodyEntry(x.site, ledger.Exported, "done: "+span+", to "+x.out)
	done.Digest = sum[:]
	return x.led.Note(ctx, done)
}

// authorities are all that a certificate in the folder may be by; what vouches for one of them goes beside the boxes' certificates.
func (x *export) authorities(ctx context.Context) ([][]byte, error) {
	all, vouching, err := soc.EvidenceAuthorities(x.cfg.Data, edge.NewSystemClock())
	if err != nil {
		return nil, err
	}
	kept, err := x.led.Authorities(ctx)
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	var out [][]byte
	for _, der := range append(all, kept...) {
		if !have[string(der)] {
			have[string(der)] = true
			out = append(out, der)
		}
	}
	for _, der := range vouching {
		if err := x.w.Certificate(der); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// putCustody adds the site's custody log up to now.
func (x *export) putCustody(ctx context.Context) error {
	return x.w.Custody(func(line func(evidence.Line) error) error {
		for after := ledger.Index(0); ; {
			page, err := x.led.Custody(ctx, x.site, "", after, 1000)
			if err != nil || len(page) == 0 {
				return err
			}
			for _, c := range page {
				if len(c.Prev) != 32 {
					return fmt.Errorf("custody log, entry %d has no hash", c.ID)
				}
				if err := line(evidence.Line{N: uint64(c.Entry.N), Prev: [32]byte(c.Prev), Body: c.Body}); err != nil {
					return err
				}
				after = c.ID
			}
		}
	})
}

// putClips copies the files and manifests.
func (x *export) putClips(ctx context.Context) error {
	for i := range x.films {
		c := &x.films[i]
		if len(c.SHA256) == 0 { // it may have come in full since
			now, err := x.led.Clip(ctx, c.ID)
			if err != nil {
				return err
			}
			*c = now
		}
		h := evidence.ClipHeader{ID: c.ID, Camera: c.Camera, From: c.From, To: c.To, State: string(c.State), Reason: c.Reason}
		if err := ctx.Err(); err != nil {
			return err
		}
		fmt.Fprintf(x.say, "clip %d of %d, camera %s, %d KiB\n", i+1, len(x.films), c.Camera, c.SizeBytes>>10)
		var err error
		if len(c.SHA256) > 0 {
			if h.Clip, err = x.putFile(ctx, c, edge.PartClip, c.SHA256); err != nil {
				return err
			}
		} else if h.Arrived, err = x.putArrived(ctx, c); err != nil {
			return err
		}
		if c.Still {
			if h.Still, err = x.putFile(ctx, c, edge.PartStill, c.StillHas); err != nil {
				return err
			}
		}
		m, err := x.led.Manifest(ctx, c.ID)
		switch {
		case errors.Is(err, ledger.ErrNotFound):
		case err != nil:
			return err
		case m.Problem != "":
			x.note("the manifest of clip %s does not hold and is left out: %s", c.ID, m.Problem)
		default:
			if err := x.w.Manifest(c.ID, m.Signed); err != nil {
				return err
			}
			x.signed(&h, m.Signed.Body)
		}
		x.head.Clips = append(x.head.Clips, h)
	}
	return nil
}

// signed puts what the box has signed of a clip into its description: the SOC may know only what was asked for.
func (x *export) signed(h *evidence.ClipHeader, body []byte) {
	m, err := edge.DecodeManifest(body)
	if err != nil {
		return // verify names it
	}
	if m.Camera != h.Camera {
		x.note("clip %s was asked for of camera %s; the box has signed that it is of camera %s", h.ID, h.Camera, m.Camera)
	}
	h.Camera, h.From, h.To = m.Camera, m.From, m.To
}

// putFile copies a file of a clip, and logs that it was taken. One that is gone, or is not what was stored, is said.
func (x *export) putFile(ctx context.Context, c *ledger.Clip, part edge.FilePart, want edge.HexBytes) (bool, error) {
	f, err := os.Open(soc.ClipPath(x.cfg.ClipsDir(), x.site, c.ID, part))
	if err != nil {
		x.note("a file of clip %s cannot be read: %v", c.ID, err)
		return false, nil
	}
	defer f.Close()
	sum, _, err := x.w.File(c.ID, part, f)
	if err != nil {
		return false, fmt.Errorf("clip %s: %w", c.ID, err)
	}
	got := edge.HexBytes(sum[:])
	if len(want) > 0 && want.String() != got.String() {
		x.note("a file of clip %s is not the one that was stored: it has the SHA-256 %s instead of %s", c.ID, got, want)
	}
	e := custodyEntry(x.site, ledger.Exported, "clip, to "+x.out)
	if x.clips++; part == edge.PartStill {
		e.Note = "still, to " + x.out
		x.clips--
		x.stills++
	}
	e.Clip, e.Digest = c.ID, got
	return true, x.led.Note(ctx, e)
}

// putArrived copies what has come of a clip that is not complete: of a box that was smashed there may be no other pictures.
func (x *export) putArrived(ctx context.Context, c *ledger.Clip) (bool, error) {
	path := soc.Arriving(x.cfg.ClipsDir(), x.site, c.ID)
	if path == "" {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		x.note("what has come of clip %s cannot be read: %v", c.ID, err)
		return false, nil
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return false, err
	}
	size := api.Playable(f, fi.Size())
	if size == 0 {
		return false, nil
	}
	sum, n, err := x.w.Arrived(c.ID, io.NewSectionReader(f, 0, size))
	if err != nil {
		return false, fmt.Errorf("clip %s: %w", c.ID, err)
	}
	x.note("clip %s has not come in full: %d bytes of it are in arrived.mp4, which the box has not signed", c.ID, n)
	if n := soc.Films(x.cfg.ClipsDir(), x.site, c.ID); n > 1 {
		x.note("clip %s was begun anew by its box, or by who has its key: of %d films that came the longest is in arrived.mp4", c.ID, n)
	}
	e := custodyEntry(x.site, ledger.Exported, "what had come of the clip, to "+x.out)
	e.Clip, e.Digest = c.ID, sum[:]
	x.arrived++
	return true, x.led.Note(ctx, e)
}

// note keeps what is wrong for who reads the evidence, and says it now.
func (x *export) note(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	x.head.Notes = append(x.head.Notes, s)
	fmt.Fprintln(x.say, s)
}
