package local

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// lineSVG draws the last hour of a panel's line: a bar a minute, good frames upwards in green with the bad ones in red on top. The
// height grows with the logarithm, so that one bad frame shows beside two hundred good ones and a single test beside a poll
// every second.
func lineSVG(history []Minute) template.HTML {
	const high = 20
	var most float64
	for _, m := range history {
		most = max(most, height(m.Good)+height(m.Bad))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="line" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="good and bad frames by the minute">`, len(history), high)
	for i, m := range history {
		if m.Good == 0 && m.Bad == 0 {
			continue
		}
		good, bad := height(m.Good)/most*high, height(m.Bad)/most*high
		fmt.Fprintf(&b, `<g><title>%d min ago: %d good, %d bad</title>`, len(history)-1-i, m.Good, m.Bad)
		if m.Good > 0 {
			fmt.Fprintf(&b, `<rect class="good" x="%d" y="%.1f" width="0.8" height="%.1f"/>`, i, high-good, good)
		}
		if m.Bad > 0 {
			fmt.Fprintf(&b, `<rect class="bad" x="%d" y="%.1f" width="0.8" height="%.1f"/>`, i, high-good-bad, bad)
		}
		b.WriteString(`</g>`)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // nothing in it but numbers
}

func height(n uint32) float64 { return math.Log2(1 + float64(n)) }
