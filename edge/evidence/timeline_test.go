package evidence

import (
	"encoding/csv"
	"strings"
	"testing"

	"sitewatch/edge"
)

// TestTableRunsNothing: whatever a panel has sent, no cell begins as a formula does, whichever of comma and semicolon parts them.
func TestTableRunsNothing(t *testing.T) {
	for text, want := range map[string]string{
		"Stock room":        "Stock room",
		"=HYPERLINK(\"x\")": "'=HYPERLINK(\"x\")",
		"+44 20":            "'+44 20",
		"-2":                "'-2",
		"@SUM(A1)":          "'@SUM(A1)",
		"＝1+1":              "'＝1+1",
		"\t=1":              " '=1",
		"\r\n=1":            "  '=1",
		" =1":               " '=1",
		"a;=1+1":            "a;'=1+1",
		"a;\"=1+1\"; @x":    "a;\"'=1+1\"; '@x",
		"1-1=0":             "1-1=0",
		"Geschäft; Tür 2":   "Geschäft; Tür 2",
		"up\u202egpj.exe":   "up?gpj.exe",
	} {
		table, err := timelineCSV([]Row{{Kind: edge.KindFire, Lane: edge.Urgent, Text: text, ZoneName: text, Why: text}})
		must(t, err)
		rows, err := csv.NewReader(strings.NewReader(string(table))).ReadAll()
		must(t, err)
		for _, i := range []int{10, 11, 12} {
			if got := rows[1][i]; got != want {
				t.Errorf("%q: column %s has %q, want %q", text, rows[0][i], got, want)
			}
		}
		semicolons := csv.NewReader(strings.NewReader(string(table)))
		semicolons.Comma, semicolons.LazyQuotes, semicolons.FieldsPerRecord = ';', true, -1
		rows, err = semicolons.ReadAll()
		must(t, err)
		for _, row := range rows {
			for _, got := range row {
				if strings.ContainsAny(strings.TrimLeft(got, ` "`)[:min(1, len(strings.TrimLeft(got, ` "`)))], "=+-@") {
					t.Errorf("%q: parted by semicolons there is %q", text, got)
				}
			}
		}
	}
}
