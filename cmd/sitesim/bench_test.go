package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/cmd/sitesim/link"
)

// took makes samples ten a second from these times in milliseconds.
func took(ms ...int) (ss []sample) {
	for i, m := range ms {
		ss = append(ss, sample{At: time.Duration(i) * 100 * time.Millisecond, Took: time.Duration(m) * time.Millisecond})
	}
	return ss
}

func TestQuantile(t *testing.T) {
	var ss []sample
	for i := range 1000 {
		ss = append(ss, sample{Took: time.Duration(1000 - i)})
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.99: 990, 1: 1000} {
		if got := quantile(ss, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if quantile(nil, 0.5) != 0 {
		t.Error("a quantile of nothing")
	}
}

func TestBackUnder(t *testing.T) {
	const limit = 50 * time.Millisecond
	rep := func(ms, n int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = ms
		}
		return out
	}
	join := func(parts ...[]int) (out []int) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	for _, tt := range []struct {
		name string
		ms   []int
		want time.Duration
	}{
		{"never over", rep(30, 100), 0},
		{"over for the first second", join(rep(200, 10), rep(30, 90)), 900 * time.Millisecond},
		{"again over before it was calm", join(rep(200, 5), rep(30, 10), rep(200, 5), rep(30, 80)), 1900 * time.Millisecond},
		{"a hiccup long after", join(rep(200, 5), rep(30, 50), rep(200, 1), rep(30, 44)), 400 * time.Millisecond},
		{"never back", rep(200, 100), 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := backUnder(took(tt.ms...), 0, 10*time.Second, limit); got != tt.want {
				t.Errorf("back after %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRowsJudgeTheirGoals(t *testing.T) {
	row := benchRow{Title: "a line", Line: link.Traits{Rate: 2 * mbit, Delay: 25 * time.Millisecond}, P50: 1.2, P99: 1.5, Bulk: 0.85}
	good := benchResult{Row: row, Idle: took(30, 30, 40), Loaded: took(35, 36, 59), Bulk: 0.86 * 2 * mbit / 8}
	if m := good.misses(); len(m) != 0 {
		t.Errorf("a good row misses %q", m)
	}
	bad := good
	bad.Loaded, bad.Bulk = took(36, 46, 61), 0.84*2*mbit/8
	bad.Missed = []string{"its own"}
	if m := strings.Join(bad.misses(), "; "); m != "its own; p50 1.53x idle, goal 1.2x; p99 1.53x idle, goal 1.5x; clips have 84.0 % of the line, goal 85 %" {
		t.Errorf("a bad row misses %q", m)
	}
	small := benchResult{Row: benchRow{Line: link.Traits{Rate: 256 * kbit, Delay: 60 * time.Millisecond}, OverMessage: 2}, Loaded: took(100, 207, 207)}
	if m := small.misses(); len(m) != 0 { // 103.75 ms alone
		t.Errorf("207 ms misses %q", m)
	}
	small.Loaded = took(100, 208, 208)
	if m := small.misses(); len(m) != 1 {
		t.Errorf("208 ms misses %q, want one", m)
	}
	if m := (benchResult{Err: errors.New("the SOC ended")}).misses(); len(m) != 1 || m[0] != "the SOC ended" {
		t.Errorf("a failed row misses %q", m)
	}
}

func TestRowsAreWholeAndHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range benchRows() {
		if r.Key == "" || r.Title == "" || r.measure == nil || r.Line.Rate == 0 || seen[r.Key] {
			t.Errorf("row %+v", r)
		}
		seen[r.Key] = true
	}
}

func TestPlotIsXMLWithEveryRow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plot.svg")
	err := drawResults(path, []benchResult{
		{Row: benchRow{Title: "fast & slow"}, Idle: took(30, 40), Loaded: took(35, 50), Plain: took(2500, 3500)},
		{Row: benchRow{Title: "a row with so long a title that it does not fit into one line of it"}, Loaded: took(1, 99999)},
		{Row: benchRow{Title: "no alarms"}},
		{Row: benchRow{Title: "failed"}, Loaded: took(1), Err: errors.New("x")},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(b)))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]bool{"fast &amp; slow": true, "30.0 / 30.0 ms": true, "2500 / 2500 ms": true, "one line of it": true, "no alarms": false, "failed": false} {
		if strings.Contains(string(b), text) != want {
			t.Errorf("%q in the plot: %v, want %v", text, !want, want)
		}
	}
	if l, r := plotX(time.Millisecond), plotX(time.Hour); l != plotLeft || math.Abs(r-(plotWidth-plotRight)) > 0.01 {
		t.Errorf("times off the scale are at %v and %v, want its ends", l, r)
	}
}

func TestRandomlyKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, n := time.Now(), 0
		if err := randomly(t.Context(), 10_000, 5, 1, func(context.Context) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		if rate := float64(n) / time.Since(start).Seconds(); n != 10_000 || rate < 4.8 || rate > 5.2 {
			t.Errorf("%d calls at %.2f a second, want 10000 at 5", n, rate)
		}
		bad := errors.New("enough")
		if err := randomly(t.Context(), 10, 5, 1, func(context.Context) error { return bad }); err != bad {
			t.Errorf("got %v, want what the call said", err)
		}
	})
}
