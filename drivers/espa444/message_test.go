package espa444

import (
	"strings"
	"testing"
	"unicode/utf8"

	"sitewatch/edge"
)

// block is a call with the given text and records such as "61" (priority 1) or "41" (call type 1).
func block(text string, records ...string) Frame {
	data := "1\x021\x1f1\x1e2\x1f" + text
	for _, r := range records {
		data += "\x1e" + r[:1] + "\x1f" + r[1:]
	}
	return Frame{Data: []byte(data)}
}

// TestDefaultRules: what texts mean where the site has no rules.
func TestDefaultRules(t *testing.T) {
	r := newRules(nil)
	for _, tt := range []struct {
		text string
		pri  string // "" absent
		kind edge.Kind
		zone edge.ZoneID
	}{
		{"FIRE ZONE 03 STOCKROOM", "1", "fire", "03"},
		{"Fire, Zone:12", "2", "fire", "12"},
		{"EVACUATE", "1", "fire", ""},
		{"EVAC ZONE 4", "3", "fire", "4"},
		{"ALARM ZONE 4", "", "fire", "4"},
		{"PRE-ALARM ZONE 2", "2", "fire-prealarm", "2"},
		{"PREALARM ZONE 2", "1", "fire-prealarm", "2"},
		{"PRE ALARM ZONE 2", "3", "fire-prealarm", "2"},
		{"ALERT ZONE 2", "", "fire-prealarm", "2"},
		{"PRE-ALARM THEN FIRE ZONE 2", "1", "fire", "2"},
		{"FAULT ZONE 02 LOOP 1", "2", "fire-fault", "02"},
		{"FIRE PANEL FAULT", "2", "fire-fault", ""},
		{"FIRE PANEL FAULT", "1", "fire", ""},
		{"FAULT LOOP 1", "1", "fire-fault", ""},
		{"DISABLEMENT ZONE 5", "3", "omit", "5"},
		{"ZONE 5 ISOLATED", "3", "omit", "5"},
		{"ALARM ZONE 5 ISOLATED", "1", "fire", "5"},
		{"TEST ZONE 5", "3", "test", "5"},
		{"FIRE ALARM TEST", "3", "test", ""},
		{"WEEKLY FIRE ALARM TEST", "2", "test", ""},
		{"FIRE ALARM TEST", "1", "fire", ""},
		{"FIRE ZONE 3 TEST KITCHEN", "2", "fire", "3"},
		{"FIRE ZONE 3 TEST KITCHEN", "", "fire", "3"},
		{"BELL RING TEST CALL", "3", "test", ""},
		{"LATEST NEWS", "3", "unknown", ""},
		{"SUPERVISORY ZONE 6", "2", "fire-fault", "6"},
		{"FAULT ZONE 2 CLEARED", "2", "fire-fault-restored", "2"},
		{"FIRE ZONE 2 CLEARED", "1", "fire", "2"},
		{"COFFEE MACHINE EMPTY", "3", "unknown", ""},
		{"COFFEE MACHINE EMPTY", "", "unknown", ""},
		{"COFFEE MACHINE EMPTY", "1", "fire", ""},
		{"", "1", "fire", ""},
	} {
		var records []string
		if tt.pri != "" {
			records = []string{"6" + tt.pri}
		}
		s, p := signalOf(r, block(tt.text, records...), nil, stamp(0))
		if p != tells || s.Kind != tt.kind || s.Zone != tt.zone {
			t.Errorf("%q at priority %q: %s in zone %q (%d), want %s in %q", tt.text, tt.pri, s.Kind, s.Zone, p, tt.kind, tt.zone)
		}
		if un := tt.kind == "fire" && (strings.Contains(tt.text, "COFFEE") || tt.text == ""); strings.Contains(s.Suspect, "unclassified") != un {
			t.Errorf("%q at priority %q: doubt %q, want unclassified: %v", tt.text, tt.pri, s.Suspect, un)
		}
		over, _ := signalOf(r, block(tt.text, append(records, "41")...), nil, stamp(0))
		want := tt.kind.Base().Restored()
		if tt.kind == edge.KindUnknown {
			want = edge.KindUnknown
		}
		if over.Kind != want || over.Zone != tt.zone {
			t.Errorf("%q at priority %q, call type 1: %s, want %s", tt.text, tt.pri, over.Kind, want)
		}
	}
}

func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		data    string
		text    string
		addr    string
		pri     byte
		suspect string
		purpose purpose
		kind    edge.Kind
	}{
		"any order":                {data: "1\x026\x1f1\x1e2\x1fFIRE\x1e1\x1f5", text: "FIRE", addr: "5", pri: '1', kind: "fire"},
		"empty record at the end":  {data: "1\x022\x1fFIRE\x1e", text: "FIRE", kind: "fire"},
		"two lines":                {data: "1\x022\x1fFIRE\x1fZONE 3", text: "FIRE ZONE 3", kind: "fire"},
		"two text records":         {data: "1\x022\x1fFI\x1e2\x1fRE", text: "FI RE", kind: "unknown"},
		"line ends and tabs":       {data: "1\x022\x1f FIRE\r\nZONE\t3 ", text: "FIRE  ZONE 3", kind: "fire"},
		"control character":        {data: "1\x022\x1fFI\x00RE\x1e6\x1f1", text: "FI?RE", pri: '1', suspect: "control character 00", kind: "fire"},
		"Latin-1":                  {data: "1\x022\x1fK\xdcCHE \x85", text: "KÜCHE ?", kind: "unknown"},
		"no STX":                   {data: "1FIRE", text: "FIRE", suspect: "no STX", kind: "fire"},
		"nothing at all":           {data: "", suspect: "no STX", purpose: blank, kind: "unknown"},
		"no record":                {data: "1\x02", suspect: "no record", purpose: blank, kind: "unknown"},
		"two headers":              {data: "12\x022\x1fFIRE", text: "FIRE", suspect: `header "12"`, kind: "fire"},
		"record without a number":  {data: "1\x02FIRE\x1e6\x1f3", text: "FIRE", pri: '3', suspect: "no number", kind: "fire"},
		"01 is not 1":              {data: "1\x022\x1fHELLO\x1e06\x1f1", text: "HELLO", suspect: "no number", kind: "unknown"},
		"priority 01":              {data: "1\x022\x1fHELLO\x1e6\x1f01", text: "HELLO", suspect: "priority", kind: "unknown"},
		"the more urgent one":      {data: "1\x022\x1fHELLO\x1e6\x1f3\x1e6\x1f1\x1e6\x1f2", text: "HELLO", pri: '1', suspect: "unclassified", kind: "fire"},
		"call type 7":              {data: "1\x022\x1fFIRE\x1e4\x1f7", text: "FIRE", suspect: "call type", kind: "fire"},
		"long address":             {data: "1\x021\x1f12345678901234567\x1e2\x1fFIRE", text: "FIRE", addr: "12345678901234567", suspect: "address", kind: "fire"},
		"long text":                {data: "1\x022\x1fFIRE " + strings.Repeat("\xc9", 300), text: "FIRE " + strings.Repeat("É", 253), suspect: "512", kind: "fire"},
		"request":                  {data: "3\x021\x1f123\x1e5\x1f3\x1e6\x1f3", addr: "123", pri: '3', purpose: asks},
		"request of an alarm":      {data: "3\x022\x1fHELP\x1e6\x1f1", text: "HELP", pri: '1', suspect: "unclassified", kind: "fire"},
		"status is no fire":        {data: "2\x021\x1f1\x1e2\x1fFIRE ZONE 3\x1e7\x1f3", text: "FIRE ZONE 3", addr: "1", kind: "unknown"},
		"status of an alarm call":  {data: "2\x021\x1f1\x1e2\x1fFIRE ZONE 3\x1e6\x1f1\x1e7\x1f3", text: "FIRE ZONE 3", addr: "1", pri: '1', kind: "unknown"},
		"a call in a status":       {data: "2\x021\x1f1\x1e2\x1fFIRE ZONE 3\x1e6\x1f1", text: "FIRE ZONE 3", addr: "1", pri: '1', kind: "fire"},
		"subscriber line":          {data: "4\x022\x1fFIRE", text: "FIRE", kind: "fire"},
		"other":                    {data: "5\x022\x1fFIRE", text: "FIRE", kind: "fire"},
		"header that nobody knows": {data: "9\x022\x1fHELP\x1e6\x1f1", text: "HELP", pri: '1', suspect: "header", kind: "fire"},
	} {
		m := parse([]byte(tt.data))
		s, p := signalOf(newRules(nil), Frame{Data: []byte(tt.data)}, []byte("raw"), stamp(0))
		if m.text != tt.text || m.address != tt.addr || m.priority != tt.pri {
			t.Errorf("%s: %q for %q at %q, want %q for %q at %q", name, m.text, m.address, m.priority, tt.text, tt.addr, tt.pri)
		}
		if p != tt.purpose || s.Kind != tt.kind || !strings.Contains(s.Suspect, tt.suspect) || (s.Suspect == "") != (tt.suspect == "") {
			t.Errorf("%s: %q, purpose %d, doubt %q; want %q, %d, ...%s...", name, s.Kind, p, s.Suspect, tt.kind, tt.purpose, tt.suspect)
		}
		if !utf8.ValidString(s.Text) || p != asks && (string(s.Raw) != "raw" || string(s.Key) != tt.data) {
			t.Errorf("%s: text %q, raw %q, key %q", name, s.Text, s.Raw, s.Key)
		}
	}
}
