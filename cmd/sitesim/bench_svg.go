package main

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"os"
	"time"
)

// The plot: for each row a bar from p50 to p99 for the idle link, for the loaded one and for plain gRPC under the same load, on a
// logarithmic scale.
const (
	plotWidth  = 900
	plotLeft   = 300 // titles
	plotRight  = 110 // room for the last label
	plotTop    = 66  // heading and legend
	plotRow    = 66  // height of a row
	plotLane   = 17  // height of one of its bars
	plotLeast  = 10 * time.Millisecond
	plotMost   = 10 * time.Second
	plotBottom = 40
)

// plotSeries are the bars of a row.
type plotSeries struct {
	key, name, color string
	of               func(benchResult) []sample
}

func plotted() []plotSeries {
	return []plotSeries{
		{"idle", "Sitewatch, idle link", "#8a8f98", func(r benchResult) []sample { return r.Idle }},
		{"load", "Sitewatch under load", "#0a7d4b", func(r benchResult) []sample { return r.Loaded }},
		{"plain", "plain gRPC under load", "#c0392b", func(r benchResult) []sample { return r.Plain }},
	}
}

// plotX is where a time is on the scale.
func plotX(d time.Duration) float64 {
	d = min(max(d, plotLeast), plotMost)
	span := math.Log(float64(plotMost) / float64(plotLeast))
	return plotLeft + math.Log(float64(d)/float64(plotLeast))/span*(plotWidth-plotLeft-plotRight)
}

// drawResults writes the plot of the rows that have alarms.
func drawResults(path string, results []benchResult) error {
	var rows []benchResult
	for _, r := range results {
		if r.Err == nil && len(r.Loaded) > 0 {
			rows = append(rows, r)
		}
	}
	var b bytes.Buffer
	bottom := plotTop + len(rows)*plotRow
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", plotWidth, bottom+plotBottom)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="12" y="24" font-size="16" font-weight="bold">Alarm, last byte from the panel to the SOC's commit: p50 to p99</text>`+"\n")
	x := 12
	for _, s := range plotted() {
		fmt.Fprintf(&b, `<rect x="%d" y="38" width="22" height="10" fill="%s"/><text x="%d" y="48">%s</text>`+"\n", x, s.color, x+28, s.name)
		x += 60 + 7*len(s.name)
	}
	for _, n := range []time.Duration{10, 30, 100, 300, 1000, 3000, 10000} {
		t := n * time.Millisecond
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle" fill="#555">%d ms</text>`+"\n",
			plotX(t), plotX(t), plotTop, bottom, plotX(t), bottom+20, n)
	}
	for i, r := range rows {
		y := plotTop + i*plotRow
		fmt.Fprintf(&b, `<line x1="12" x2="%d" y1="%d" y2="%d" stroke="#eee"/>`+"\n", plotWidth-12, y, y)
		for j, l := range wrapped(r.Row.Title, 42) {
			fmt.Fprintf(&b, `<text x="12" y="%d">%s</text>`+"\n", y+26+17*j, html.EscapeString(l))
		}
		for j, s := range plotted() {
			ss := s.of(r)
			if len(ss) == 0 {
				continue
			}
			p50, p99 := quantile(ss, 0.50), quantile(ss, 0.99)
			top := y + 8 + j*plotLane
			fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, plotX(p50), top, max(3, plotX(p99)-plotX(p50)), plotLane-5, s.color)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" font-size="11" fill="#333">%s / %s ms</text>`+"\n", max(plotX(p50)+3, plotX(p99))+5, top+10, ms(p50), ms(p99))
		}
	}
	b.WriteString("</svg>\n")
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// wrapped breaks a title at its commas and spaces into lines of at most so many letters.
func wrapped(s string, most int) (lines []string) {
	for len(s) > most {
		i := most
		for i > 0 && s[i] != ' ' {
			i--
		}
		if i == 0 {
			break
		}
		lines, s = append(lines, s[:i]), s[i+1:]
	}
	return append(lines, s)
}
