package evidence

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"html/template"
	"strings"
	"time"
	"unicode"

	"sitewatch/edge"
)

// Row is an event as the timeline shows it: what the SOC knew of it, amendments folded in. It is for people and proves nothing.
type Row struct {
	Journal  edge.JournalID
	Seq      edge.Seq
	Occurred time.Time
	Recorded time.Time
	Received time.Time
	Late     bool
	Clock    edge.ClockState
	Kind     edge.Kind
	Lane     edge.Lane
	Code     string
	Panel    edge.PanelID
	Zone     edge.ZoneID
	ZoneName string
	Text     string
	Why      string
	Clips    []ClipHeader
}

//go:embed timeline.html.tmpl
var timelineText string

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// timelineHTML is a page that opens from a disk: it loads nothing but the files beside it and runs nothing.
func timelineHTML(h *Header, rows []Row) ([]byte, error) {
	t, err := template.New("timeline").Funcs(template.FuncMap{"stamp": stamp}).Parse(timelineText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, struct {
		*Header
		Rows []Row
	}{h, rows})
	return b.Bytes(), err
}

func timelineCSV(rows []Row) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	out := [][]string{{"occurred_at", "recorded_at", "received_at", "late", "clock", "lane", "kind", "code", "panel", "zone", "zone_name", "text", "why", "clips", "journal", "seq"}}
	for i := range rows {
		r := &rows[i]
		var clips []string
		for _, c := range r.Clips {
			id := string(c.ID)
			if c.Arrived {
				id += " (incomplete, not signed by the box)"
			}
			clips = append(clips, id)
		}
		late := "no"
		if r.Late {
			late = "yes"
		}
		out = append(out, []string{stamp(r.Occurred), stamp(r.Recorded), stamp(r.Received), late, string(r.Clock), r.Lane.String(), string(r.Kind), r.Code,
			string(r.Panel), string(r.Zone), r.ZoneName, r.Text, r.Why, strings.Join(clips, " "), string(r.Journal), seqText(r.Seq)})
	}
	for _, cells := range out {
		for i, c := range cells {
			cells[i] = cell(c)
		}
	}
	err := w.WriteAll(out)
	return b.Bytes(), err
}

// formula is what begins one in a spreadsheet, also in the wide forms of east Asia.
const formula = "=+-@＝＋－＠"

// cell keeps a spreadsheet from taking what a panel has sent for a formula: in a country of decimal commas a semicolon begins the next cell.
func cell(s string) string {
	var b strings.Builder
	begins := true
	for _, r := range s {
		switch {
		case unicode.IsControl(r):
			r = ' '
		case unicode.Is(unicode.Bidi_Control, r):
			r, begins = '?', false
		case begins && strings.ContainsRune(formula, r):
			b.WriteByte('\'')
			begins = false
		case r == ';':
			begins = true
		case r != ' ' && r != '"':
			begins = false
		}
		b.WriteRune(r)
	}
	return b.String()
}
