package motion

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Truth is a span of a recording of which somebody has said what happens in it.
type Truth struct {
	From, To float64 // seconds
	Target   bool    // somebody or something that is to be found
	Ignore   bool    // counts neither for nor against
}

// maxTruth is how long a file of ground truth may be.
const maxTruth = 16 << 20

// ReadTruth reads ground truth: CSV with the columns clip, start_s, end_s, label and target, or JSON that is a list of clips with their events under
// the same names. The key is the clip's file name.
func ReadTruth(r io.Reader) (map[string][]Truth, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxTruth))
	if err != nil {
		return nil, fmt.Errorf("ground truth: %w", err)
	}
	b = bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF")) // spreadsheets begin with it
	if text := bytes.TrimSpace(b); len(text) > 0 && text[0] == '[' {
		return truthOfJSON(text)
	}
	return truthOfCSV(b)
}

func truthOfJSON(b []byte) (map[string][]Truth, error) {
	var clips []struct {
		Clip   string `json:"clip"`
		Events []struct {
			Start  *float64 `json:"start_s"`
			End    *float64 `json:"end_s"`
			Label  string   `json:"label"`
			Target bool     `json:"target"` // null: it does not count
		} `json:"events"`
	}
	if err := json.Unmarshal(b, &clips); err != nil {
		return nil, fmt.Errorf("ground truth: %w", err)
	}
	out := map[string][]Truth{}
	for _, c := range clips {
		if out[c.Clip] == nil {
			out[c.Clip] = []Truth{} // it is known, also when nothing happens in it
		}
		for i, e := range c.Events {
			if e.Start == nil || e.End == nil {
				return nil, fmt.Errorf("ground truth: clip %s: event %d has no start_s or no end_s", c.Clip, i+1)
			}
			out[c.Clip] = append(out[c.Clip], Truth{*e.Start, *e.End, e.Target, e.Label == "ignore"})
		}
	}
	return out, nil
}

func truthOfCSV(b []byte) (map[string][]Truth, error) {
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("ground truth: %w", err)
	}
	if len(rows) == 0 {
		return nil, errors.New("ground truth: empty")
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	for _, name := range []string{"clip", "start_s", "end_s", "label", "target"} {
		if _, ok := column[name]; !ok {
			return nil, fmt.Errorf("ground truth: no column %s", name)
		}
	}
	out := map[string][]Truth{}
	for n, row := range rows[1:] {
		from, err1 := strconv.ParseFloat(row[column["start_s"]], 64)
		to, err2 := strconv.ParseFloat(row[column["end_s"]], 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("ground truth: line %d: %w", n+2, err)
		}
		clip := row[column["clip"]]
		out[clip] = append(out[clip], Truth{from, to, strings.EqualFold(row[column["target"]], "true"), row[column["label"]] == "ignore"})
	}
	return out, nil
}

// Score is how well a recording, or several together, were judged. It counts as the score.py of the footage does.
type Score struct {
	Targets, Found, Carried, False int
	Delays                         []float64 // seconds from a target's start to the first report of it, sorted
	QuietSeconds, OnSeconds        float64   // without target, and of those the ones under a report
}

const (
	tolerance = 0.3 // seconds
	busyFrom  = 1.0 // a target that is there from the first second on has no delay
)

// ScoreOf compares what was found in a recording of so many seconds with the truth. A found span is from, to, reported.
func ScoreOf(truth []Truth, found [][3]float64, seconds float64) (s Score) {
	over := func(f [3]float64, t Truth) bool { return f[0] <= t.To+tolerance && f[1] >= t.From-tolerance }
	var loud [][2]float64
	for _, t := range truth {
		if t.Target || t.Ignore {
			loud = append(loud, [2]float64{t.From, t.To})
		}
		if t.Target {
			s.target(t, truth, slices.DeleteFunc(slices.Clone(found), func(f [3]float64) bool { return !over(f, t) }))
		}
	}
	slices.Sort(s.Delays)
	quiet := without([][2]float64{{0, seconds}}, loud)
	s.QuietSeconds = length(quiet)
	var on [][2]float64
	for _, f := range found {
		on = append(on, [2]float64{max(0, f[0]), min(seconds, f[1])})
		if !slices.ContainsFunc(truth, func(t Truth) bool { return (t.Target || t.Ignore) && over(f, t) }) {
			s.False++
		}
	}
	s.OnSeconds = length(without(on, loud))
	return s
}

// target books one; hits are the found spans that meet it.
func (s *Score) target(t Truth, truth []Truth, hits [][3]float64) {
	s.Targets++
	if len(hits) == 0 {
		return
	}
	s.Found++
	if t.From < busyFrom {
		return
	}
	// A report inside the span that leads in and does not count is a prompt one.
	earliest := t.From
	for _, i := range truth {
		if i.Ignore && i.From < t.From && i.To >= t.From-0.01 {
			earliest = min(earliest, i.From)
		}
	}
	earliest -= tolerance
	first, carried := -1.0, false
	for _, h := range hits {
		if h[0] >= earliest && (first < 0 || h[2] < first) {
			first = h[2]
		}
		carried = carried || h[0] < earliest && h[1] > t.From+1
	}
	if first < 0 || carried {
		s.Carried++
		return
	}
	s.Delays = append(s.Delays, max(0, first-t.From))
}

// Add counts another recording in.
func (s *Score) Add(o Score) {
	s.Targets, s.Found, s.Carried, s.False = s.Targets+o.Targets, s.Found+o.Found, s.Carried+o.Carried, s.False+o.False
	s.QuietSeconds, s.OnSeconds = s.QuietSeconds+o.QuietSeconds, s.OnSeconds+o.OnSeconds
	s.Delays = append(s.Delays, o.Delays...)
	slices.Sort(s.Delays)
}

// Delay returns the median and the worst delay; false: there is none.
func (s Score) Delay() (median, worst float64, ok bool) {
	n := len(s.Delays)
	if n == 0 {
		return 0, 0, false
	}
	return (s.Delays[n/2] + s.Delays[(n-1)/2]) / 2, s.Delays[n-1], true
}

func union(spans [][2]float64) (out [][2]float64) {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b [2]float64) int { return int(10000 * (a[0] - b[0])) })
	for _, s := range spans {
		if n := len(out); n > 0 && s[0] <= out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], s[1])
		} else {
			out = append(out, s)
		}
	}
	return out
}

func length(spans [][2]float64) (sum float64) {
	for _, s := range union(spans) {
		sum += s[1] - s[0]
	}
	return sum
}

func without(spans, holes [][2]float64) (out [][2]float64) {
	for _, s := range union(spans) {
		for _, h := range union(holes) {
			if h[1] <= s[0] || h[0] >= s[1] {
				continue
			}
			if h[0] > s[0] {
				out = append(out, [2]float64{s[0], h[0]})
			}
			s[0] = max(s[0], h[1])
		}
		if s[0] < s[1] {
			out = append(out, s)
		}
	}
	return out
}
