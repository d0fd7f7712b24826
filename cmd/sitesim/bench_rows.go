package main

import (
	"context"
	"fmt"
	"time"

	"sitewatch/cmd/sitesim/link"
)

// benchRow is a line of the table: a link, and what is asked of the alarms and of the clips on it.
type benchRow struct {
	Key     string // for --rows
	Title   string
	Line    link.Traits // both ways
	Second  link.Traits // of the second line, where there is one
	Plain   bool        // plain gRPC is measured beside it
	Extra   bool        // measured only when it is named
	measure func(context.Context, *benchRun) error

	Rate float64 // alarms a second; 0: alarmRate

	P50 float64 // most that the median under load may be, in medians of the idle link; 0: not asked
	P99 float64 // the same of the 99th percentile
	// OverMessage asks of the 99th percentile in terms of one message of 1.4 KB alone on the idle link instead.
	OverMessage float64
	Bulk        float64 // least share of the line that clips have; 0: not asked
}

const (
	mbit = 1_000_000
	kbit = 1_000
)

// benchRows are the rows in the order of the table.
func benchRows() []benchRow {
	return []benchRow{
		{Key: "2mbit", measure: measureLoad, Plain: true, Title: "2 Mbit/s, 50 ms, 256 KiB queue", P50: 1.2, P99: 1.5, Bulk: 0.85,
			Line: link.Traits{Rate: 2 * mbit, Delay: 25 * time.Millisecond, Queue: 256 << 10}},
		{Key: "1mbit", measure: measureLoad, Plain: true, Title: "1 Mbit/s, 50 ms, 128 KiB queue", P50: 1.3, P99: 1.8, Bulk: 0.80,
			Line: link.Traits{Rate: 1 * mbit, Delay: 25 * time.Millisecond, Queue: 128 << 10}},
		{Key: "loss", measure: measureLoad, Plain: true, Title: "2 Mbit/s, 50 ms, 0.5 % loss", P99: 1.5, Bulk: 0.75,
			Line: link.Traits{Rate: 2 * mbit, Delay: 25 * time.Millisecond, Queue: 256 << 10, Loss: 0.005}},
		{Key: "20mbit", measure: measureLoad, Plain: true, Title: "20 Mbit/s, 20 ms, 256 KiB queue", P99: 2, Bulk: 0.80,
			Line: link.Traits{Rate: 20 * mbit, Delay: 10 * time.Millisecond, Queue: 256 << 10}},
		{Key: "256kbit", measure: measureLoad, Plain: true, Title: "256 kbit/s, 120 ms, 64 KiB queue", OverMessage: 2, Bulk: 0.80,
			Rate: 2, // seven a second would be a fifth of this line
			Line: link.Traits{Rate: 256 * kbit, Delay: 60 * time.Millisecond, Queue: 64 << 10}},
		{Key: "ef", measure: measureLoad, Extra: true, Title: "2 Mbit/s, 50 ms, 256 KiB queue, routers honour DSCP", P50: 1.2, P99: 1.5, Bulk: 0.85,
			Line: link.Traits{Rate: 2 * mbit, Delay: 25 * time.Millisecond, Queue: 256 << 10, Priority: true}},
		{Key: "fall", measure: measureFall, Title: "10 Mbit/s falling to 1 Mbit/s, 50 ms, 256 KiB queue",
			Line: link.Traits{Rate: 10 * mbit, Delay: 25 * time.Millisecond, Queue: 256 << 10}},
		{Key: "silence", measure: measureSilence, Title: "first of two paths dies in silence; 2 Mbit/s, 50 ms and 1 Mbit/s, 120 ms",
			Line:   link.Traits{Rate: 2 * mbit, Delay: 25 * time.Millisecond, Queue: 256 << 10},
			Second: link.Traits{Rate: 1 * mbit, Delay: 60 * time.Millisecond, Queue: 128 << 10}},
		{Key: "backlog", measure: measureBacklog, Title: "after an outage, 2 Mbit/s, 50 ms, 256 KiB queue",
			Line: link.Traits{Rate: 2 * mbit, Delay: 25 * time.Millisecond, Queue: 256 << 10}},
	}
}

// benchResult is what a row came to.
type benchResult struct {
	Row          benchRow
	Idle, Loaded []sample
	Plain        []sample // empty: not measured
	Bulk, PBulk  float64  // bytes a second of clips
	Late         time.Duration
	Repeats      int64    // blocks that the panel had to say again
	Note         string   // what the row measures beside these
	Missed       []string // goals of the row's own
	Err          error
}

func (r benchResult) share(bytesPerSecond float64) float64 {
	return bytesPerSecond * 8 / float64(r.Row.Line.Rate)
}

// message is how long one message of 1.4 KB takes on the idle link.
func (r benchResult) message() time.Duration {
	return r.Row.Line.Delay + time.Duration(1400*8*float64(time.Second)/float64(r.Row.Line.Rate))
}

// misses says which of the row's goals were missed; empty: none.
func (r benchResult) misses() (out []string) {
	if r.Err != nil {
		return []string{r.Err.Error()}
	}
	out = append(out, r.Missed...)
	over := func(name string, q, most float64) {
		idle, got := quantile(r.Idle, q), quantile(r.Loaded, q)
		if most > 0 && got > time.Duration(most*float64(idle)) {
			out = append(out, fmt.Sprintf("%s %.2fx idle, goal %gx", name, float64(got)/float64(idle), most))
		}
	}
	over("p50", 0.50, r.Row.P50)
	over("p99", 0.99, r.Row.P99)
	if m := r.Row.OverMessage; m > 0 && quantile(r.Loaded, 0.99) > time.Duration(m*float64(r.message())) {
		out = append(out, fmt.Sprintf("p99 %.2fx a 1.4 KB message, goal %gx", float64(quantile(r.Loaded, 0.99))/float64(r.message()), m))
	}
	if got := r.share(r.Bulk); got < r.Row.Bulk {
		out = append(out, fmt.Sprintf("clips have %.1f %% of the line, goal %.0f %%", 100*got, 100*r.Row.Bulk))
	}
	return out
}
