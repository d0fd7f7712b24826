package osdp

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// mangler damages one answer in five: splits, flips, drops, inserts, delays, repeats.
type mangler struct{ rnd *rand.Rand }

func (m mangler) mangle(b []byte) []byte {
	if len(b) == 0 || m.rnd.IntN(5) > 0 {
		return b
	}
	b = bytes.Clone(b)
	i := m.rnd.IntN(len(b))
	switch m.rnd.IntN(7) {
	case 0:
		b[i] ^= 1 << m.rnd.IntN(8)
	case 1:
		b = append(b[:i], b[i+1:]...)
	case 2:
		b = append(b[:i], append([]byte{byte(m.rnd.Uint32())}, b[i:]...)...)
	case 3:
		b = b[:i]
	case 4:
		b = append(b, b...)
	case 5:
		time.Sleep(time.Duration(m.rnd.IntN(500)) * time.Millisecond) // late
	case 6:
		for j := range b {
			b[j] = byte(m.rnd.Uint32())
		}
	}
	return b
}

// TestMangledLine: input 1 changes every second on a line that damages one answer in five. Whatever is told is what the device
// has said: no other point changes, no state is told twice, and in the end what is told is how it is.
func TestMangledLine(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	told := 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 8))
			p := keyedPD(t)
			var b *bus
			if seed%2 == 0 {
				b = secureBus(t, p, nil)
			} else {
				p.key = nil
				b = plainBus(t, map[byte]*pd{1: p})
			}
			defer b.end()
			time.Sleep(time.Second)
			b.news()
			m := mangler{rnd}
			b.do(func() { b.mangle = m.mangle })
			last := "inactive"
			for i := range 10 {
				b.do(func() {
					p.inputs = []byte{byte(i+1) % 2, 0, 0}
					p.queue = append(p.queue, Frame{Code: repInput, Data: bytes.Clone(p.inputs)})
				})
				time.Sleep(time.Second)
			}
			b.do(func() { b.mangle = nil })
			time.Sleep(40 * time.Second) // the full state is read again
			for s := range strings.SplitSeq(b.news(), ", ") {
				if s == "" || strings.HasPrefix(s, "1-device") {
					continue
				}
				if s != "1-1 active" && s != "1-1 inactive" {
					t.Errorf("seed %d: invented: %s", seed, s)
				}
				if s == "1-1 "+last {
					t.Errorf("seed %d: told twice: %s", seed, s)
				}
				last, told = strings.TrimPrefix(s, "1-1 "), told+1
			}
			if last != "inactive" {
				t.Errorf("seed %d: in the end it is told to be %s", seed, last)
			}
		})
	}
	if uint64(told) < seeds*8 {
		t.Errorf("%d of %d changes were told", told, seeds*10)
	}
	t.Logf("%d of %d changes were told on their way", told, seeds*10)
}

// FuzzSession: whatever answers, nothing panics or hangs, and a device with a secure channel says nothing without its key.
func FuzzSession(f *testing.F) {
	for _, b := range received(f) {
		f.Add(b, true)
		f.Add(b, false)
	}
	f.Fuzz(func(t *testing.T, all []byte, secure bool) {
		if len(all) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			p := keyedPD(t)
			var b *bus
			if secure {
				b = secureBus(t, p, nil)
			} else {
				p.key = nil
				b = plainBus(t, map[byte]*pd{1: p})
			}
			defer b.end()
			if len(all) > 0 && all[0]&1 == 0 { // in service, or from the start
				time.Sleep(time.Second)
				b.news()
			}
			b.do(func() {
				b.mangle = func(said []byte) []byte {
					if len(all) == 0 {
						return said
					}
					n := min(len(all), 1+int(all[0]&0x3F))
					piece := bytes.Clone(all[:n])
					all = all[n:]
					if d, n, err := Decode(piece); err == nil && n > 8 { // so that more pass as an answer
						piece[1], piece[4] = 0x81, d.Ctrl&^seqBits|p.seq
						piece = appendCheck(piece[:n-checkBytes(d.Ctrl)], 0, d.Ctrl)
					}
					return piece
				}
			})
			time.Sleep(10 * time.Second)
			if news := b.news(); secure && strings.Contains(strings.ReplaceAll(news, "inactive", ""), "active") {
				t.Errorf("told without the key: %s", news)
			}
		})
	})
}
