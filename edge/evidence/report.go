package evidence

import (
	"fmt"
	"io"
	"time"

	"sitewatch/edge"
)

// Break is a place where the folder is not what somebody has signed.
type Break struct {
	File string
	Seq  edge.Seq // of the event, 0 when it is about none
	Want string
	Have string
}

func (b *Break) Error() string {
	where := b.File
	if b.Seq > 0 {
		where = fmt.Sprintf("%s, event %d", b.File, b.Seq)
	}
	return edge.Printable(fmt.Sprintf("%s: expected %s; there is %s", where, b.Want, b.Have))
}

// Proved is a run of events that a checkpoint covers.
type Proved struct {
	Journal  edge.JournalID
	From, To edge.Seq
	At       time.Time // when the box signed it, by its own clock
	Clock    edge.ClockState
}

// Filmed is a clip that is proved, as the box has signed it.
type Filmed struct {
	Clip     edge.ClipID
	Camera   edge.CameraID
	From, To time.Time       // of its pictures
	Clock    edge.ClockState // of the box when it was finished; "" when an event alone tells of it
}

// Report is what Verify has found.
type Report struct {
	Header
	Broken *Break // the first broken link; nil: none
	Proved []Proved
	Events int // that are proved
	Clips  int
	Filmed []Filmed // the first of them
	Stills int
	// Open is what is neither broken nor proved. Pictures says that a clip or a still is among it.
	Open     []string
	Pictures bool
	Arrived  int      // clips that are not complete, which no box has signed
	Gaps     []string // what is said not to be in the folder
	Custody  int      // entries of the custody log, which form a chain
	Remarks  []string
}

// OK says whether nothing is broken, something is proved, and every clip and still that is there is, and is complete.
func (r *Report) OK() bool { return r.Holds() && r.Arrived == 0 }

// Holds is OK, whether or not every clip has come in full.
func (r *Report) Holds() bool {
	return r.Broken == nil && !r.Pictures && (r.Events > 0 || r.Clips > 0)
}

// maxList bounds each list of a report.
const maxList = 200

func add(list *[]string, format string, args ...any) {
	switch n := len(*list); {
	case n < maxList:
		*list = append(*list, fmt.Sprintf(format, args...))
	case n == maxList:
		*list = append(*list, "and more")
	}
}

// Print writes the report for a person.
func (r *Report) Print(w io.Writer) error {
	p := &printer{w: w}
	if r.Site != "" {
		p.line("Site %s, %s to %s, made %s by %s.", r.Site, stamp(r.From), stamp(r.To), stamp(r.Made), r.By)
	}
	for _, v := range r.Proved {
		p.line("proved: events %d to %d of journal %s, signed by the box %s (by a clock that was %s)", v.From, v.To, v.Journal, stamp(v.At), v.Clock)
	}
	if r.Clips > 0 || r.Stills > 0 {
		p.line("proved: %d clips and %d stills", r.Clips, r.Stills)
	}
	for _, f := range r.Filmed {
		clock := "a clock of which it does not tell"
		if f.Clock != "" {
			clock = "a clock that was " + string(f.Clock)
		}
		p.line("proved: clip %s, camera %s, %s to %s by %s", f.Clip, f.Camera, stamp(f.From), stamp(f.To), clock)
	}
	if more := r.Clips - len(r.Filmed); more > 0 {
		p.line("proved: and %d more clips", more)
	}
	for _, list := range []struct {
		what string
		of   []string
	}{{"not here", r.Gaps}, {"not proved", r.Open}, {"note", r.Remarks}} {
		for _, s := range list.of {
			p.line("%s: %s", list.what, s)
		}
	}
	if r.Custody > 0 {
		p.line("custody log: %d entries in a chain, signed by nobody", r.Custody)
	}
	switch {
	case r.Broken != nil:
		p.line("This is not what the operations centre has made, or the CA certificate that was given is not its own. Do not rely on it: ask the operations centre for a new export.")
		p.line("BROKEN: %v", r.Broken)
	case r.OK():
		p.line("PROVED")
	case r.Holds():
		p.line("Nothing that a box has signed was changed. %s of which only a part had come. No box has signed that part: the operations centre alone stands for it. If the box has completed them since, a new export has them.", clips(r.Arrived))
		p.line("NOT COMPLETE")
	default:
		p.line("Nothing was changed, but there is something that no box has signed: see the lines 'not proved'.")
		p.line("NOT PROVED")
	}
	return p.err
}

func clips(n int) string {
	if n == 1 {
		return "There is 1 clip"
	}
	return fmt.Sprintf("There are %d clips", n)
}

type printer struct {
	w   io.Writer
	err error
}

// line writes what may have come from a hostile folder: no byte of it reaches a terminal as a command.
func (p *printer) line(format string, args ...any) {
	if p.err != nil {
		return
	}
	_, p.err = fmt.Fprintln(p.w, edge.Printable(fmt.Sprintf(format, args...)))
}
