package modbus

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// What a bus at 9600 8N1 needs for one exchange: 8 bytes, the slave's turn-round, 6 bytes, and the silence of 3.5 characters.
const (
	char9600   = 10 * time.Second / 9600
	turnRound  = 5 * time.Millisecond // the least of what is usual
	exchange   = requestLen*char9600 + turnRound + 6*char9600 + char9600*7/2
	commitTime = 5 * time.Millisecond
)

// commits is a sink whose disk takes its time.
type commits struct {
	told chan string
}

func (s *commits) Settle(context.Context) error { return nil }

func (s *commits) Signal(_ context.Context, sigs ...edge.Signal) error {
	time.Sleep(commitTime)
	for _, sig := range sigs {
		select {
		case s.told <- short(sig):
		default: // at the start, when nobody waits
		}
	}
	return nil
}

// TestSixteenModules: on a full bus at 9600 baud an alarm contact is stored within a cycle, the debounce time and 50 ms at
// p99, and the cycle takes no more than 1.2 times what the line needs. The line is paced; its time is that of the bubble, so the
// figures are the same everywhere. -v shows them.
func TestSixteenModules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const modulesOnBus, events = 16, 300
		var slaves []map[string]any
		m := &modules{on: map[byte]byte{}}
		for a := 1; a <= modulesOnBus; a++ {
			slaves = append(slaves, map[string]any{"address": a, "profile": "waveshare-8di"})
			m.set(byte(a), 0)
		}
		text, _ := json.Marshal(map[string]any{"slaves": slaves})
		told := make(chan string, 64)
		r := newRigWith(t, panel.Serial, string(text), &commits{told: told})
		wait := r.serve(func(req []byte) []byte {
			time.Sleep(requestLen*char9600 + turnRound)
			answer := m.answer(req)
			time.Sleep(6 * char9600)
			return answer
		})
		time.Sleep(10 * time.Second)
		start, before := time.Now(), m.count(5)
		time.Sleep(time.Minute)
		cycle := time.Since(start) / time.Duration(m.count(5)-before)
		ratio := float64(cycle) / float64(modulesOnBus*exchange)
		for len(told) > 0 {
			<-told
		}
		rnd := rand.New(rand.NewPCG(1, 16))
		var took []time.Duration
		for range events {
			addr := byte(1 + rnd.IntN(modulesOnBus))
			for _, on := range []byte{1, 0} {
				time.Sleep(time.Duration(rnd.IntN(2_000_000)) * time.Microsecond)
				m.set(addr, on)
				begin := time.Now()
				select {
				case <-told:
				case <-time.After(10 * time.Second):
					t.Fatal("the change was never told")
				}
				took = append(took, time.Since(begin))
			}
		}
		slices.Sort(took)
		p50, p99, worst := took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
		t.Logf("cycle %v = %.3f of what the line needs (%v with, %v without the silence between frames); contact to stored: p50 %v, p99 %v, worst %v",
			cycle, ratio, modulesOnBus*exchange, modulesOnBus*(exchange-char9600*7/2), p50, p99, worst)
		if ratio > 1.2 {
			t.Errorf("the cycle takes %v, %.2f of what the line needs", cycle, ratio)
		}
		if limit := cycle + defaultDebounce + 50*time.Millisecond; p99 > limit {
			t.Errorf("p99 is %v, want at most %v", p99, limit)
		}
		r.close()
		wait()
	})
}
