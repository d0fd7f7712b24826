package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// ms shows a duration as people compare them.
func ms(d time.Duration) string {
	if d >= 10*time.Second {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))
}

// p50p99 shows them and p99 in milliseconds.
func p50p99(ss []sample) string {
	if len(ss) == 0 {
		return "-"
	}
	return ms(quantile(ss, 0.5)) + " / " + ms(quantile(ss, 0.99))
}

// line is the row in one line, for those who wait.
func (r benchResult) line() string {
	if r.Err != nil {
		return "failed: " + r.Err.Error()
	}
	return fmt.Sprintf("idle %s ms, loaded %s ms, clips %.1f %% of the line; plain gRPC %s ms, %.1f %%; link late p99 %v",
		p50p99(r.Idle), p50p99(r.Loaded), 100*r.share(r.Bulk), p50p99(r.Plain), 100*r.share(r.PBulk), r.Late)
}

// printResults prints the table in Markdown.
func printResults(w io.Writer, rs []benchResult) {
	fmt.Fprintln(w, "| link | alarms | idle p50 / p99 ms | under load p50 / p99 ms | in idle ones | clips, of the line | plain gRPC p50 / p99 ms | its clips | goals |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	for _, r := range rs {
		goals := "met"
		if m := r.misses(); len(m) > 0 {
			goals = "missed: " + strings.Join(m, "; ")
		}
		if r.Err != nil {
			fmt.Fprintf(w, "| %s | | | | | | | | %s |\n", r.Row.Title, goals)
			continue
		}
		ratio := func(q float64) float64 { return float64(quantile(r.Loaded, q)) / float64(quantile(r.Idle, q)) }
		fmt.Fprintf(w, "| %s | %d | %s | %s | %.2f / %.2f | %.1f %% | %s | %.1f %% | %s |\n", r.Row.Title, len(r.Loaded),
			p50p99(r.Idle), p50p99(r.Loaded), ratio(0.5), ratio(0.99), 100*r.share(r.Bulk), p50p99(r.Plain), 100*r.share(r.PBulk), goals)
	}
}
