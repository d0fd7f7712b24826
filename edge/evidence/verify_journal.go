package evidence

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"sitewatch/edge"
)

func (v *verifier) journals() error {
	for _, id := range v.under(journalDir) {
		if err := v.journal(edge.JournalID(id)); err != nil {
			return err
		}
	}
	return nil
}

// walk is the way along one journal's events.
type walk struct {
	*verifier
	id     edge.JournalID
	file   string
	gaps   []edge.Gap
	points map[edge.Seq]edge.Checkpoint
	last   *Line    // the line before, whose hash the next one must name
	first  edge.Seq // of the run, which a gap or the end ends
	proved edge.Seq // in this run
	by     edge.Checkpoint
	facts  []edge.ClipID // of events after the last checkpoint
}

func (v *verifier) journal(id edge.JournalID) error {
	dir := path.Join(journalDir, string(id))
	w := &walk{verifier: v, id: id, file: path.Join(dir, eventsFile), points: map[edge.Seq]edge.Checkpoint{}}
	if err := w.readGaps(path.Join(dir, gapsFile)); err != nil {
		return err
	}
	if err := w.readPoints(path.Join(dir, pointDir)); err != nil {
		return err
	}
	v.used[w.file] = true
	if _, ok := v.files[w.file]; !ok {
		return &Break{File: w.file, Want: "the events of the journal", Have: "none"}
	}
	f, err := v.fsys.Open(w.file)
	if err != nil {
		return v.unreadable(w.file, err)
	}
	defer f.Close()
	lines := &lineReader{r: bufio.NewReaderSize(f, maxLine), file: w.file, ctx: v.ctx}
	// One line is read ahead: it tells of two that do not fit which of them was changed.
	var next *Line
	if next, err = lines.next(); err != nil {
		return err
	}
	for next != nil {
		l := next
		if next, err = lines.next(); err != nil {
			return err
		}
		if err := w.event(l, next); err != nil {
			return err
		}
	}
	w.endRun()
	for _, seq := range slices.Sorted(maps.Keys(w.points)) {
		if _, said := w.gap(seq, seq); !said {
			return &Break{File: w.file, Seq: seq, Want: fmt.Sprintf("event %d, which the box has signed in its checkpoint", seq), Have: "none: events were taken out"}
		}
	}
	return nil
}

// lineReader reads the lines of a chain.
type lineReader struct {
	r    *bufio.Reader
	file string
	ctx  interface{ Err() error }
	n    int
}

// next returns nil at the end.
func (l *lineReader) next() (*Line, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	b, err := l.r.ReadSlice('\n')
	if err == io.EOF && len(b) == 0 {
		return nil, nil
	}
	l.n++
	at := fmt.Sprintf("%s, line %d", l.file, l.n)
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, &Break{File: at, Want: fmt.Sprintf("at most %d bytes", maxLine), Have: "more"}
	case err == io.EOF:
		return nil, &Break{File: at, Want: "a whole line", Have: "the end of the file in its middle"}
	case err != nil:
		return nil, &Break{File: at, Want: "a file that can be read", Have: err.Error()}
	}
	line, err := ParseLine(b[:len(b)-1])
	if err != nil {
		return nil, &Break{File: at, Want: "a number, the hash before and the text", Have: err.Error()}
	}
	return &line, nil
}

// event proves one; next is the line after it, nil at the end.
func (w *walk) event(l, next *Line) error {
	seq := edge.Seq(l.N)
	switch {
	case w.last == nil:
		w.first = seq
	case l.N <= w.last.N:
		return &Break{File: w.file, Seq: seq, Want: fmt.Sprintf("an event after %d", w.last.N), Have: "an earlier one, or the same again"}
	case l.N > w.last.N+1:
		missing := edge.Seq(w.last.N + 1)
		g, ok := w.gap(missing, seq-1)
		if !ok {
			return &Break{File: w.file, Seq: missing, Want: fmt.Sprintf("event %d, or a gap in %s that names it", missing, gapsFile), Have: fmt.Sprintf("event %d after event %d", seq, w.last.N)}
		}
		w.endRun()
		w.first = seq
		add(&w.r.Gaps, "events %d to %d of journal %s: %s", missing, seq-1, w.id, g.Reason)
	case l.Prev != w.last.Hash():
		return w.unlinked(l, next)
	}
	hash := l.Hash()
	if p, ok := w.points[seq]; ok {
		if p.Hash.String() != edge.HexBytes(hash[:]).String() {
			return &Break{File: w.file, Seq: seq, Want: "the hash " + p.Hash.String() + ", which the box has signed in its checkpoint",
				Have: edge.HexBytes(hash[:]).String() + ": this event, or one before it, was changed"}
		}
		delete(w.points, seq)
		w.covered(seq, p)
	}
	if err := w.meaning(l); err != nil {
		return err
	}
	w.last = l
	return nil
}

// unlinked says which of two neighbours was changed: the later one, when the one after it, or a checkpoint, contradicts it as well.
func (w *walk) unlinked(l, next *Line) error {
	own := w.last.Hash()
	hash := l.Hash()
	sound := next == nil || next.N != l.N+1 || next.Prev == hash
	if p, ok := w.points[edge.Seq(l.N)]; ok {
		sound = p.Hash.String() == edge.HexBytes(hash[:]).String()
	}
	if _, proved := w.points[edge.Seq(w.last.N)]; proved || w.proved == edge.Seq(w.last.N) {
		sound = false // the one before is signed as it is
	}
	if sound {
		return &Break{File: w.file, Seq: edge.Seq(w.last.N), Want: fmt.Sprintf("an event with the hash %x, which event %d names", l.Prev, l.N), Have: fmt.Sprintf("one with %x: it was changed", own)}
	}
	return &Break{File: w.file, Seq: edge.Seq(l.N), Want: fmt.Sprintf("%x, the hash of event %d, before it", own, w.last.N), Have: fmt.Sprintf("%x: it was changed or does not belong here", l.Prev)}
}

// covered takes a checkpoint: all of the run so far is proved.
func (w *walk) covered(seq edge.Seq, p edge.Checkpoint) {
	w.proved, w.by = seq, p
	w.settle()
}

func (w *walk) settle() {
	for _, id := range w.facts {
		f := w.verifier.facts[id]
		f.proved = f.proved || f.journal == w.id && f.seq <= w.proved
		w.verifier.facts[id] = f
	}
	w.facts = w.facts[:0]
}

// endRun says what of the run is proved and what is not.
func (w *walk) endRun() {
	if w.last == nil {
		return
	}
	from, to := w.first, edge.Seq(w.last.N)
	w.here[w.id] = append(w.here[w.id], edge.Gap{From: from, To: to})
	if w.proved > 0 {
		w.r.Events += int(w.proved - from + 1)
		if len(w.r.Proved) < maxList {
			w.r.Proved = append(w.r.Proved, Proved{Journal: w.id, From: from, To: w.proved, At: w.by.At, Clock: w.by.Clock})
		}
		from = w.proved + 1
	}
	switch {
	case from > to:
	case w.id == SOCJournal:
		add(&w.r.Open, "events %d to %d of the SOC's own journal: they form a chain, and no box signs them", from, to)
	default:
		add(&w.r.Open, "events %d to %d of journal %s: no checkpoint of the box covers them", from, to, w.id)
	}
	w.proved, w.facts, w.last = 0, w.facts[:0], nil
}

// meaning looks at what the event says, as far as it can be read: a SOC keeps also what it cannot.
func (w *walk) meaning(l *Line) error {
	seq := edge.Seq(l.N)
	ev, err := edge.DecodeEvent(l.Body)
	if err != nil {
		add(&w.r.Remarks, "event %d of journal %s cannot be read: %.200v", seq, w.id, err)
		return nil
	}
	if ev.Seq != seq || ev.Journal != w.id || ev.Site != w.r.Site {
		return &Break{File: w.file, Seq: seq, Want: fmt.Sprintf("event %d of journal %s of site %s", seq, w.id, w.r.Site),
			Have: fmt.Sprintf("event %d of journal %.40s of site %.40s", ev.Seq, ev.Journal, ev.Site)}
	}
	if c := ev.Clip; c != nil && w.id != SOCJournal {
		old, there := w.verifier.facts[c.ID]
		if dir := path.Join(clipDir, string(c.ID)); !there && len(w.verifier.facts) >= maxFacts && !w.has(path.Join(dir, clipFile)) && !w.has(path.Join(dir, stillFile)) {
			return nil // no file that it would prove, and enough to tell of
		}
		if !there || len(old.SHA256) == 0 { // clip-lost may come after clip-ready, and says less
			w.verifier.facts[c.ID] = fact{w.id, seq, seq <= w.proved, *c}
			w.facts = append(w.facts, c.ID)
		}
	}
	return nil
}

func (w *walk) gap(from, to edge.Seq) (edge.Gap, bool) {
	var first *edge.Gap
	for i := range w.gaps { // in their order
		g := &w.gaps[i]
		if g.From <= from && from <= g.To {
			if first == nil {
				first = g
			}
			from = g.To + 1
		}
		if from > to && first != nil {
			return *first, true
		}
	}
	return edge.Gap{}, false
}

func (w *walk) readGaps(file string) error {
	if _, ok := w.files[file]; !ok {
		return nil
	}
	b, err := w.read(file, maxGaps)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		span, reason, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		a, z, ok2 := strings.Cut(span, "-")
		from, err := strconv.ParseUint(a, 10, 63)
		to, err2 := strconv.ParseUint(z, 10, 63)
		if !ok || !ok2 || err != nil || err2 != nil || from > to || len(w.gaps) > 0 && edge.Seq(from) <= w.gaps[len(w.gaps)-1].To {
			return &Break{File: file, Want: "lines like 8-9 REASON, in their order", Have: fmt.Sprintf("%.80q", line)}
		}
		w.gaps = append(w.gaps, edge.Gap{From: edge.Seq(from), To: edge.Seq(to), Reason: reason})
	}
	return nil
}

func (w *walk) readPoints(dir string) error {
	names := w.under(dir)
	if len(names) > 2*maxPoints {
		return &Break{File: dir, Want: fmt.Sprintf("at most %d checkpoints", maxPoints), Have: "more"}
	}
	for _, name := range names {
		num, isBody := strings.CutSuffix(name, bodyExt)
		if !isBody {
			if num, ok := strings.CutSuffix(name, sigExt); ok {
				if _, there := w.files[path.Join(dir, num+bodyExt)]; !there {
					return &Break{File: path.Join(dir, num+bodyExt), Want: "the checkpoint whose signature is beside it", Have: "none"}
				}
			}
			continue
		}
		var c edge.Checkpoint
		err := w.statement(path.Join(dir, num), func(body []byte) (edge.HexBytes, edge.SiteID, error) {
			var err error
			c, err = edge.DecodeCheckpoint(body)
			return c.Certificate, c.Site, err
		})
		if err != nil {
			return err
		}
		if c.Journal != w.id || seqText(c.Seq) != num {
			return &Break{File: path.Join(dir, name), Seq: c.Seq, Want: fmt.Sprintf("the checkpoint of event %s of journal %s", num, w.id),
				Have: fmt.Sprintf("that of event %d of journal %.40s", c.Seq, c.Journal)}
		}
		w.points[c.Seq] = c
	}
	return nil
}
