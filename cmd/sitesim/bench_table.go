package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// ms shows milliseconds, to the tenth where that says something.
func ms(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.0f", inMS(d))
	}
	return fmt.Sprintf("%.1f", inMS(d))
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

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
	parts := []string{}
	add := func(ok bool, format string, args ...any) {
		if ok {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(len(r.Idle) > 0, "idle %s ms", p50p99(r.Idle))
	add(len(r.Loaded) > 0, "%d under load %s ms", len(r.Loaded), p50p99(r.Loaded))
	add(r.Bulk > 0, "clips %.1f %%", 100*r.share(r.Bulk))
	add(len(r.Plain) > 0, "plain gRPC %s ms, clips %.1f %%", p50p99(r.Plain), 100*r.share(r.PBulk))
	add(len(r.Loaded) > 0, "of it until the panel's ack at p99 %s and %s ms", ms(ackedP99(r.Idle)), ms(ackedP99(r.Loaded)))
	add(r.Note != "", "%s", r.Note)
	add(true, "the link itself was late by %v at p99", r.Late)
	return strings.Join(parts, "; ")
}

// ackedP99 is how long the box's disk took: where it is much of a row's time, the row says little of the line.
func ackedP99(ss []sample) time.Duration {
	acks := make([]sample, len(ss))
	for i, s := range ss {
		acks[i].Took = s.Acked
	}
	return quantile(acks, 0.99)
}

// linkGrace is how late the link itself may be at p99 before its figures are worth nothing.
const linkGrace = time.Millisecond

// printResults prints the table in Markdown.
func printResults(w io.Writer, rs []benchResult) {
	fmt.Fprintln(w, "| link | alarms | idle, p50 / p99 ms | under load, p50 / p99 ms | times idle | clips, of the line | plain gRPC, p50 / p99 ms | its clips | goals |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|---|")
	for _, r := range rs {
		goals := "met"
		if m := r.misses(); len(m) > 0 {
			goals = "missed: " + strings.Join(m, "; ")
		}
		if r.Note != "" {
			goals += "; " + r.Note
		}
		if r.Late > linkGrace {
			goals += fmt.Sprintf("; do not trust this row: the link itself was late by %v at p99, the machine is too busy", r.Late)
		}
		if r.Repeats > 0 {
			goals += fmt.Sprintf("; do not trust this row: the panel had to say %d blocks again, as the disk took over %v for them", r.Repeats, panelPatience)
		}
		times, bulk, pbulk := "-", "-", "-"
		if len(r.Idle) > 0 && len(r.Loaded) > 0 {
			ratio := func(q float64) float64 { return float64(quantile(r.Loaded, q)) / float64(quantile(r.Idle, q)) }
			times = fmt.Sprintf("%.2f / %.2f", ratio(0.5), ratio(0.99))
		}
		if r.Bulk > 0 {
			bulk = fmt.Sprintf("%.1f %%", 100*r.share(r.Bulk))
		}
		if len(r.Plain) > 0 {
			pbulk = fmt.Sprintf("%.1f %%", 100*r.share(r.PBulk))
		}
		fmt.Fprintf(w, "| %s | %d | %s | %s | %s | %s | %s | %s | %s |\n", r.Row.Title, len(r.Loaded),
			p50p99(r.Idle), p50p99(r.Loaded), times, bulk, p50p99(r.Plain), pbulk, goals)
	}
}

// writeCSV writes a line for each alarm: of which part of the row, when it was said, how long it took, and of that to its ack.
func (r benchResult) writeCSV(path string) error {
	var b strings.Builder
	b.WriteString("part,at_ms,took_ms,acked_ms\n")
	for _, s := range plotted() {
		for _, x := range s.of(r) {
			fmt.Fprintf(&b, "%s,%.3f,%.3f,%.3f\n", s.key, inMS(x.At), inMS(x.Took), inMS(x.Acked))
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
