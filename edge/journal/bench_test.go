package journal

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"sitewatch/edge"
)

// benchEvent is an intruder alarm of usual size; a routine one, so that no clips come into it.
func benchEvent() edge.Event {
	return edge.Event{
		Kind: "zone-fault", Code: "BF", Panel: "intruder", Partition: "1", Zone: "1011", ZoneName: "Stock room",
		Why: "Zone fault in Stock room (zone 1011), partition 1", Raw: make([]byte, 25),
	}
}

func benchJournal(b *testing.B) *Journal {
	j, err := Open(b.Context(), Options{Dir: b.TempDir(), Site: "0417", Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := j.Run(ctx); err != nil {
			b.Error(err)
		}
	})
	b.Cleanup(func() {
		cancel()
		wg.Wait()
		j.Close()
	})
	return j
}

// rawAppender appends to a file and waits for the disk: the floor.
func rawAppender(b *testing.B) func() {
	ev := benchEvent()
	ev.Lane = edge.Routine
	body, err := ev.Encode()
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	return func() {
		if _, err := f.Write(body); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRawFdatasync(b *testing.B) {
	raw := rawAppender(b)
	for b.Loop() {
		raw()
	}
}

func BenchmarkAppendSerial(b *testing.B) {
	j := benchJournal(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Append(b.Context(), benchEvent()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendPipelined(b *testing.B) {
	j := benchJournal(b)
	b.SetParallelism(128) // times GOMAXPROCS callers that wait for their own event each
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := j.Append(b.Context(), benchEvent()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkAppendAgainstDisk measures all three in turns, so that a slow moment of the disk falls on each: the metrics are
// the goals, serial/raw >= 0.7 and pipelined/serial >= 10 (appends per second).
func BenchmarkAppendAgainstDisk(b *testing.B) {
	raw, j := rawAppender(b), benchJournal(b)
	const turn, callers = 20, 256
	var rawT, serialT, pipedT float64
	piped := 0
	for b.Loop() {
		rawT += seconds(func() {
			for range turn {
				raw()
			}
		})
		serialT += seconds(func() {
			for range turn {
				if _, err := j.Append(b.Context(), benchEvent()); err != nil {
					b.Fatal(err)
				}
			}
		})
		pipedT += seconds(func() {
			var wg sync.WaitGroup
			var left atomic.Int64
			left.Store(10 * callers)
			for range callers {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := j.Append(b.Context(), benchEvent()); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
		piped += 10 * callers
	}
	n := float64(b.N * turn)
	b.ReportMetric(n/rawT, "raw/s")
	b.ReportMetric(n/serialT, "serial/s")
	b.ReportMetric(float64(piped)/pipedT, "pipelined/s")
	b.ReportMetric(rawT/serialT, "serial/raw")
	b.ReportMetric(float64(piped)/pipedT/(n/serialT), "pipelined/serial")
}

func seconds(f func()) float64 {
	clock := edge.NewSystemClock()
	from := clock.Now()
	f()
	d, _ := clock.Now().Since(from)
	return d.Seconds()
}
