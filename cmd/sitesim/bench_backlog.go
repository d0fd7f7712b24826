package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sitewatch/cmd/sitesim/link"
	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// A backlog of 10,000 events, of about 300 bytes in the journal, and how much longer than on the bare line it may take.
const (
	backlogPerN = 10
	backlogGoal = 1.1
	// The line counts the headers of IP and TCP: of 1500 bytes 1448 are the connection's.
	packetShare = 1448.0 / 1500
)

// measureBacklog fills the stopped box's journal and takes the time from the first packet that it sends until the SOC's acks
// for all of it are on the box's disk.
func measureBacklog(ctx context.Context, b *benchRun) error {
	if err := b.connected(ctx); err != nil { // the SOC knows the box, as after an outage
		return err
	}
	if err := b.stopGateway(); err != nil {
		return err
	}
	n, bytes := backlogPerN*b.n, 0
	if err := b.withJournal(ctx, func(ctx context.Context, j *journal.Journal) (err error) {
		bytes, err = fill(ctx, j, n)
		return err
	}); err != nil {
		return fmt.Errorf("fill the journal: %w", err)
	}
	before := b.pair.Counts(0, link.A)
	if err := b.startGateway(); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.pair.Counts(0, link.A).Packets == before.Packets {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	began := b.clock.Now().Mono
	if err := b.watch.wait(ctx, 5*time.Minute, "the last event is at the SOC", func() bool { return len(b.watch.kinds["set"]) >= n }); err != nil {
		return err
	}
	for {
		waiting, err := b.waiting(ctx)
		if err != nil {
			return err
		}
		if waiting == 0 {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	took := b.clock.Now().Mono - began
	floor := time.Duration(float64(bytes) / packetShare * 8 / float64(b.Row.Line.Rate) * float64(time.Second))
	ratio := float64(took) / float64(floor)
	carried := float64(b.pair.Counts(0, link.A).Bytes - before.Bytes)
	b.Note = fmt.Sprintf("%d events of %d bytes acked in %.1f s, %.2f of what their bytes take on the bare line (%.1f s); %.0f bytes an event went over it, and it was busy for %.0f %% of the time",
		n, bytes/n, took.Seconds(), ratio, floor.Seconds(), carried/float64(n), 100*carried*8/float64(b.Row.Line.Rate)/took.Seconds())
	if ratio > backlogGoal {
		b.Missed = append(b.Missed, fmt.Sprintf("%.2f of bytes / rate, goal %g", ratio, backlogGoal))
	}
	return nil
}

// fill appends n of the shortest events that a panel makes and returns the sum of their bytes in the journal.
func fill(ctx context.Context, j *journal.Journal, n int) (bytes int, err error) {
	first := j.Last() + 1
	for left := n; left > 0; {
		evs := make([]edge.Event, min(left, 200))
		for i := range evs {
			evs[i] = edge.Event{Kind: edge.KindSet}
		}
		if _, err := j.Append(ctx, evs...); err != nil {
			return 0, err
		}
		left -= len(evs)
	}
	for at := first - 1; ; {
		rs, err := j.Read(ctx, edge.Routine, at, 1000)
		if err != nil || len(rs) == 0 {
			return bytes, err
		}
		for _, r := range rs {
			bytes += len(r.Body)
		}
		at = rs[len(rs)-1].Seq
	}
}

// waiting is how many events the box has no ack for, as its own pages say.
func (b *benchRun) waiting(ctx context.Context) (n uint64, err error) {
	client := httpIn(b.pair, link.A)
	defer client.CloseIdleConnections()
	body, err := getBody(ctx, client, "http://127.0.0.1:8480/api/v1/status")
	if err != nil {
		return 0, err
	}
	var st struct {
		Journal struct{ Waiting map[string]uint64 }
	}
	if err := json.Unmarshal(body, &st); err != nil {
		return 0, err
	}
	for _, w := range st.Journal.Waiting {
		n += w
	}
	return n, nil
}
