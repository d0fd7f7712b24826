package modbus

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// TestSlaveLostAndBack: three turns without an answer are a lost slave; its first good answer says all states again, and a
// change that happened meanwhile is debounced like any other.
func TestSlaveLostAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, `{"slaves":[{"address":1,"profile":"waveshare-8di","count":2}]}`)
		m := &modules{on: map[byte]byte{1: 0}}
		wait := r.serve(m.answer)
		time.Sleep(time.Second)
		want(t, r, "-slave-1/device-lost -1-1 -1-2")
		for range 2 {
			m.remove(1)
			time.Sleep(4 * time.Second)
			want(t, r, "")
			time.Sleep(4 * time.Second)
			want(t, r, "+slave-1/device-lost:Modbus slave 1 (waveshare-8di): no answer")
			n := m.count(1)
			time.Sleep(20 * time.Second)
			if n = m.count(1) - n; n < 3 || n > 5 {
				t.Errorf("a lost slave was asked %d times in 20 s, want one in 5 s", n)
			}
			m.set(1, 1)
			time.Sleep(5500 * time.Millisecond)
			want(t, r, "-slave-1/device-lost -1-1 -1-2 +1-1")
			m.set(1, 0)
			time.Sleep(500 * time.Millisecond)
			want(t, r, "-1-1")
		}
		r.close()
		wait()
	})
}

// TestSlaveThatNeverAnswered is lost as a state, too: the desk takes that for news when it comes first.
func TestSlaveThatNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, `{"slaves":[{"address":9,"profile":"waveshare-8di","count":1}]}`)
		m := &modules{on: map[byte]byte{}}
		wait := r.serve(m.answer)
		time.Sleep(10 * time.Second)
		want(t, r, "+slave-9/device-lost:Modbus slave 9 (waveshare-8di): no answer")
		m.set(9, 0)
		time.Sleep(6 * time.Second)
		want(t, r, "-slave-9/device-lost -9-1")
		m.remove(9)
		time.Sleep(10 * time.Second)
		want(t, r, "+slave-9/device-lost:Modbus slave 9 (waveshare-8di): no answer")
		r.close()
		wait()
	})
}

func TestProfileThatDoesNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, `{"slaves":[{"address":3,"profile":"alarmline2"}]}`)
		wait := r.serve(func(req []byte) []byte {
			return Frame{Addr: 3, FC: ReadInput, Exception: IllegalAddress}.AppendRTU(nil)
		})
		time.Sleep(100 * time.Millisecond)
		want(t, r, "+slave-3/device-lost:Modbus slave 3 (alarmline2): it does not have what the profile asks for (exception 2, no such address): is the profile that of another device?")
		time.Sleep(time.Minute)
		want(t, r, "")
		if c := r.opt.Meter.Counts(); c.Frames < 5 || c.Frames > 20 {
			t.Errorf("%d answers in a minute, want about one in 5 s", c.Frames)
		}
		r.close()
		wait()
	})
}

// TestDeadSlavesDoNotSlowTheOthers: with half of the modules dead, a contact of a living one is as fast as ever nearly always.
func TestDeadSlavesDoNotSlowTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slaves []map[string]any
		m := &modules{on: map[byte]byte{}}
		for a := 1; a <= 8; a++ {
			slaves = append(slaves, map[string]any{"address": a, "profile": "waveshare-8di"})
			if a%2 == 0 {
				m.set(byte(a), 0)
			}
		}
		text, _ := json.Marshal(map[string]any{"slaves": slaves})
		r := newRig(t, panel.Serial, string(text))
		wait := r.serve(m.answer)
		time.Sleep(time.Minute)
		before := m.count(2)
		time.Sleep(time.Minute)
		if n := m.count(2) - before; n < 550 {
			t.Errorf("a living slave was asked %d times in a minute, want nearly 600", n)
		}
		r.close()
		wait()
	})
}

// TestSecondLookBeforeDoubtfulSlaves: a time-out between the two looks at a contact would make a pulse be missed.
func TestSecondLookBeforeDoubtfulSlaves(t *testing.T) {
	s := &session{}
	for _, sl := range settingsOf(t, `[{"address":1,"profile":"waveshare-8di"},{"address":2,"profile":"waveshare-8di"}]`).slaves {
		s.blocks = append(s.blocks, sl.blocks...)
	}
	looks, dead := s.blocks[0], s.blocks[1]
	now := time.Hour
	looks.due, looks.again = now+time.Minute, now+200*time.Millisecond
	for name, doubt := range map[string]func(*block){
		"lost":            func(b *block) { b.lost = true },
		"did not answer":  func(b *block) { b.owed = true },
		"missed one turn": func(b *block) { b.turns = 1 },
	} {
		*dead = block{slave: dead.slave, due: now}
		doubt(dead)
		if b, wait := s.next(now); b != nil || wait != 200*time.Millisecond {
			t.Errorf("%s: it is asked before the second look (%v, %v)", name, b, wait)
		}
		if b, _ := s.next(now + 200*time.Millisecond); b != looks {
			t.Errorf("%s: the second look does not come first", name)
		}
		dead.due = now - lag
		if b, _ := s.next(now); b != dead {
			t.Errorf("%s: a contact that never rests keeps it from being asked", name)
		}
	}
}

func TestPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, `{"slaves":[{"address":1,"profile":"waveshare-8di","priority":"normal"},{"address":2,"profile":"waveshare-8di"},{"address":3,"profile":"waveshare-8di","poll":"10ms","priority":"normal"}]}`)
		m := &modules{on: map[byte]byte{1: 0, 2: 0, 3: 0}}
		wait := r.serve(func(req []byte) []byte {
			time.Sleep(40 * time.Millisecond)
			return m.answer(req)
		})
		var first [4]byte
		time.Sleep(100 * time.Millisecond)
		first[0] = byte(m.count(2))
		time.Sleep(30 * time.Second)
		one, two, three := m.count(1), m.count(2), m.count(3)
		if first[0] == 0 || two < 200 || one < 15 || three < 100 {
			t.Errorf("asked %d, %d and %d times: the high one must come first, and the others must not starve", one, two, three)
		}
		r.close()
		wait()
	})
}

func TestTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.ModbusTCP, one)
		if got := r.request(); got != "00 01 00 00 00 06 01 02 00 00 00 08" {
			t.Errorf("asked %s", got)
		}
		r.say("00 01 00 00 00")
		r.say("04 01 02 01 00")
		want(t, r, calm1)
		r.request()
		time.Sleep(400 * time.Millisecond) // too late
		if got := r.request(); got != "00 03 00 00 00 06 01 02 00 00 00 08" {
			t.Errorf("asked %s, want a new number", got)
		}
		r.say("00 02 00 00 00 04 01 02 01 04" + "00 03 00 00 00 04 01 02 01 00")
		r.request()
		want(t, r, "") // the late answer, which said that input 3 is on, is nobody's
		r.say("00 04 00 00 00 03 01 82 0B")
		r.request()
		r.say("00 05 00 00 00 04 01 02 01 04")
		r.request()
		time.Sleep(290 * time.Millisecond)
		r.say("00 06 00 00 00 04 01 02 01 04")
		want(t, r, "") // it was asked too soon after the first one
		r.request()
		r.say("00 07 00 00 00 04 01 02 01 04")
		want(t, r, "+1-3")
		if c := r.opt.Meter.Counts(); c.Frames != 6 || c.Rejects != 0 || c.Noise != 10 {
			t.Errorf("counted %+v", c)
		}
		r.request()
		go io.Copy(io.Discard, r.line)
		r.say("48 54 54 50 2F 31 2E 31 20 34 30 30")
		if err := r.g.Wait(); !errors.Is(err, panel.ErrNotUnderstood) {
			t.Errorf("a web server's answer ended with %v", err)
		}
	})
}

// TestGarbageWithoutEnd: the session gives the line up with a reason, once in a while, and tells nobody anything.
func TestGarbageWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, one)
		go io.Copy(io.Discard, r.line)
		rnd := rand.New(rand.NewPCG(1, 2))
		n := 0
		for {
			b := make([]byte, 32)
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			if _, err := r.line.Write(b); err != nil {
				break
			}
			n += len(b)
			time.Sleep(33 * time.Millisecond)
		}
		if err := r.g.Wait(); !errors.Is(err, panel.ErrNotUnderstood) || n < maxFlood {
			t.Errorf("ended after %d bytes with %v", n, err)
		}
		for _, s := range r.sink.sigs {
			if s.Kind != edge.KindDeviceLost {
				t.Errorf("garbage says %s", short(s))
			}
		}
		if c := r.opt.Meter.Counts(); c.Noise < maxFlood/2 {
			t.Errorf("counted %+v", c)
		}
	})
}

// TestMangledLine: a line that loses, flips, repeats, delays and adds bytes makes slow, never wrong: no contact that is open
// is ever said to be closed, and one that closes is said to be so.
func TestMangledLine(t *testing.T) {
	for seed := range uint64(1000) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, panel.Serial, `{"slaves":[{"address":1,"profile":"waveshare-8di"},{"address":2,"profile":"waveshare-8di"}]}`)
			rnd := rand.New(rand.NewPCG(seed, 3))
			m := &modules{on: map[byte]byte{1: 0, 2: 0}}
			wait := r.serve(func(req []byte) []byte { return mangle(rnd, m.answer(req)) })
			time.Sleep(3 * time.Second)
			m.set(2, 4)
			time.Sleep(8 * time.Second)
			r.close()
			wait()
			seen := false
			for _, s := range r.sink.sigs {
				switch got := short(s); {
				case got == "+2-3":
					seen = true
				case got[0] == '+' && s.Kind != edge.KindDeviceLost:
					t.Errorf("seed %d: %s was invented", seed, got)
				}
			}
			if !seen {
				t.Errorf("seed %d: input 3 of slave 2 was never said to be on", seed)
			}
		})
	}
}

func mangle(rnd *rand.Rand, b []byte) []byte {
	if rnd.IntN(3) > 0 {
		return b
	}
	for range 1 + rnd.IntN(3) {
		if len(b) == 0 {
			return nil
		}
		switch i := rnd.IntN(len(b)); rnd.IntN(6) {
		case 0:
			b[i] ^= 1 << rnd.IntN(8)
		case 1:
			b = append(b[:i], b[i+1:]...)
		case 2:
			b = append(b, b...)
		case 3:
			b = append([]byte{byte(rnd.Uint32())}, b...)
		case 4:
			b = b[:i]
		case 5:
			time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
		}
	}
	return b
}
