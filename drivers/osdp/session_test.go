package osdp

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// plainBus has devices in clear at the addresses, secureBus one device with the test's key.
func plainBus(t *testing.T, pds map[byte]*pd) *bus {
	var list []any
	for a := range byte(maxAddress) {
		if pds[a] != nil {
			list = append(list, map[string]any{"address": int(a), "secure": "off"})
		}
	}
	return newBus(t, map[string]any{"devices": list}, pds)
}

func secureBus(t *testing.T, p *pd, more map[string]any) *bus {
	m := map[string]any{"address": 1, "inputs": map[string]any{"3": "301"},
		"scbk_file": writeKey(t, filepath.Join(t.TempDir(), "device.key"), testKey, 0o600)}
	for k, v := range more {
		m[k] = v
	}
	return newBus(t, map[string]any{"devices": []any{m}}, map[byte]*pd{1: p})
}

func newPD() *pd { return &pd{local: []byte{0, 0}, inputs: []byte{0, 0, 0}} }

func keyedPD(t *testing.T) *pd {
	k := Key(unhex(t, testKey))
	p := newPD()
	p.key = &k
	return p
}

const (
	plainState  = "1-device device-lost-restored, 1-tamper tamper-restored, 1-power psu-fault-restored, 1-1 inactive, 1-2 inactive, 1-3 inactive"
	secureState = "1-device device-lost-restored, 1-tamper tamper-restored, 1-power psu-fault-restored, 1-1 inactive, 1-2 inactive, 301 inactive"
	noState     = ""
)

func bubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func TestNumbersAndPace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPD()
		b := plainBus(t, map[byte]*pd{1: p})
		defer b.end()
		b.wait(time.Second, plainState)
		if got, want := b.codes(p, 0), "60/0 61/1 62/2 64/3 65/1 60/2 60/3 60/1 60/2"; !strings.HasPrefix(got, want) {
			t.Errorf("commands %s, want %s", got, want)
		}
		if n := b.count(p); n < 20 || n > 26 {
			t.Errorf("%d commands in the first second, want 20 polls and the start", n)
		}
		n := b.count(p)
		b.wait(time.Minute, noState)
		if got := strings.Count(b.codes(p, n), "65/"); got != 2 {
			t.Errorf("the inputs were read %d times in a minute, want 2", got)
		}
		b.do(func() { p.inputs = []byte{0, 1, 0} }) // and it never reports it
		b.wait(readEvery, "1-2 active")
	})
}

func TestReports(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyedPD(t)
		b := secureBus(t, p, nil)
		defer b.end()
		b.wait(time.Second, secureState)
		for _, tt := range []struct {
			code byte
			data []byte
			want string
		}{
			{repInput, []byte{0, 0, 1}, "301 active"},
			{repInput, []byte{0, 0, 1}, ""},
			{repInput, []byte{1, 0, 0}, "1-1 active, 301 inactive"},
			{repInput, []byte{0}, "1-1 inactive"}, // fewer than before
			{repInput, []byte{}, ""},
			{repLocal, []byte{1, 0}, "1-tamper tamper"},
			{repLocal, []byte{1, 1}, "1-power psu-fault"},
			{repLocal, []byte{0}, "1-tamper tamper-restored"},
			{repLocal, []byte{}, ""},
			{0x50, []byte{1, 2, 3, 4, 5, 6, 0xAA, 0xBB}, ""},
			{0x53, []byte("1234"), ""},
		} {
			b.do(func() { p.queue = append(p.queue, Frame{Code: tt.code, Data: tt.data}) })
			b.wait(200*time.Millisecond, tt.want)
		}
		// A contact that opens and closes between two polls is two reports, and both are told.
		b.do(func() { p.queue = []Frame{{Code: repInput, Data: []byte{0, 1}}, {Code: repInput, Data: []byte{0, 0}}} })
		b.wait(100*time.Millisecond, "1-2 active, 1-2 inactive")
		if l := b.log(); strings.Contains(strings.ToLower(l), "aabb") || strings.Contains(l, "170 187") || strings.Contains(l, "1234") || !strings.Contains(l, "count=2") {
			t.Errorf("cards and codes must be counted and never logged:\n%s", l)
		}
	})
}

// TestRetryKeepsItsBytes: an answer that is lost is asked for again with the same bytes, and the device does not act twice.
func TestRetryKeepsItsBytes(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (*pd, *bus){
		"clear":  func(t *testing.T) (*pd, *bus) { p := newPD(); return p, plainBus(t, map[byte]*pd{1: p}) },
		"secure": func(t *testing.T) (*pd, *bus) { p := keyedPD(t); return p, secureBus(t, p, nil) },
	} {
		for lost, alter := range map[string]func([]byte) []byte{
			"lost":    func([]byte) []byte { return nil },
			"damaged": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"torn":    func(b []byte) []byte { return b[:len(b)/2] },
		} {
			bubble(t, func(t *testing.T) {
				p, b := start(t)
				defer b.end()
				time.Sleep(time.Second)
				b.news()
				var n int
				b.do(func() {
					n = len(p.heard)
					p.queue, p.alter = []Frame{{Code: repLocal, Data: []byte{1, 0}}}, alter
				})
				b.wait(time.Second, "1-tamper tamper")
				if n := of(b, &p.repeats); n != 1 {
					t.Errorf("%s, %s: the device was told the same again %d times, want once", name, lost, n)
				}
				first, again := b.told(p, n), b.told(p, n+1)
				if !bytes.Equal(first.raw, again.raw) || again.at.Sub(first.at) < defaultTimeout || again.at.Sub(first.at) > 400*time.Millisecond {
					t.Errorf("%s, %s: % X, and %v later % X", name, lost, first.raw, again.at.Sub(first.at), again.raw)
				}
				if strings.Contains(b.codes(p, n), "/0") {
					t.Errorf("%s, %s: it began anew: %s", name, lost, b.codes(p, n))
				}
			})
		}
	}
}

func TestLostAfter8sAndBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyedPD(t)
		b := secureBus(t, p, nil)
		defer b.end()
		b.wait(time.Second, secureState)
		b.do(func() { p.mute = true })
		n := b.count(p)
		b.wait(7900*time.Millisecond, noState)
		b.wait(time.Second, "1-device device-lost")
		if got := b.codes(p, n); !strings.HasPrefix(got, "60/1 60/1 60/1 60/0") && !strings.HasPrefix(got, "60/2 60/2 60/2 60/0") && !strings.HasPrefix(got, "60/3 60/3 60/3 60/0") {
			t.Errorf("it was asked %s, want three tries and then a new start", got)
		}
		b.wait(time.Minute, noState)
		b.do(func() { p.mute, p.inputs = false, []byte{0, 0, 1} })
		b.wait(probeEvery+time.Second, strings.Replace(secureState, "301 inactive", "301 active", 1))
	})
}

func TestNeverThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBus(t, map[string]any{"devices": []any{map[string]any{"address": 9, "secure": "off"}}}, nil)
		defer b.end()
		b.wait(7900*time.Millisecond, noState)
		b.wait(200*time.Millisecond, "9-device device-lost")
		b.wait(time.Hour, noState)
	})
}

// TestDeadDevicesDoNotSlowTheOthers: two of four are gone, and the pace of the others stays.
func TestDeadDevicesDoNotSlowTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pds := map[byte]*pd{1: newPD(), 2: newPD(), 3: {mute: true}, 4: {mute: true}}
		b := plainBus(t, pds)
		defer b.end()
		time.Sleep(20 * time.Second)
		b.news()
		n1, n2, n3 := b.count(pds[1]), b.count(pds[2]), b.count(pds[3])
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for _, n := range []int{b.count(pds[1]) - n1, b.count(pds[2]) - n2} {
			if n < 340 {
				t.Errorf("%d polls in 20 s, want 400 less what eight probes of dead devices take", n)
			}
		}
		if n := b.count(pds[3]) - n3; n < 3 || n > 5 {
			t.Errorf("a dead device was asked %d times in 20 s, want every 5 s", n)
		}
		longest := time.Duration(0)
		for i := n1 + 1; i < b.count(pds[1]); i++ {
			longest = max(longest, b.told(pds[1], i).at.Sub(b.told(pds[1], i-1).at))
		}
		if longest > 400*time.Millisecond {
			t.Errorf("a live device waited %v, want no more than one probe", longest)
		}
		b.do(func() { pds[2].inputs, pds[2].queue = []byte{1}, []Frame{{Code: repInput, Data: []byte{1}}} })
		b.wait(400*time.Millisecond, "2-1 active")
	})
}

// TestInTurn: of two live devices one that always has something to say does not keep the other from being asked.
func TestInTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		pds := map[byte]*pd{1: newPD(), 2: newPD()}
		for range 10000 {
			pds[1].queue = append(pds[1].queue, Frame{Code: 0x50})
		}
		b := plainBus(t, pds)
		defer b.end()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := b.count(pds[2]); n < 180 {
			t.Errorf("the quiet device was asked %d times in 10 s, want 200", n)
		}
	})
}

func TestFactoryKeyOutsideTheWindow(t *testing.T) {
	for name, tt := range map[string]struct {
		offers  bool
		install string
		why     string
	}{
		"refuses ours":       {false, "", "refuses the secure channel"},
		"offers the factory": {true, "", "factory key"},
		"window is over":     {true, "2029-12-31T00:00:00Z", "factory key"},
	} {
		bubble(t, func(t *testing.T) { // in the year 2030
			p := newPD()
			p.offers = tt.offers
			m := map[string]any{}
			if tt.install != "" {
				m["install_key"] = tt.install
			}
			b := secureBus(t, p, m)
			defer b.end()
			time.Sleep(9 * time.Second)
			synctest.Wait()
			if why := b.lost(); !strings.Contains(why, tt.why) {
				t.Errorf("%s: %q, want that it is lost because it %s", name, why, tt.why)
			}
			if got := b.codes(p, 0); strings.Contains(got, "77/") || strings.Contains(got, "75/") || of(b, &p.keys) > 0 {
				t.Errorf("%s: it was told %s: nothing may be proved to the factory key", name, got)
			}
			b.wait(time.Minute, noState)
			if n := strings.Count(b.log(), tt.why); n > 5 {
				t.Errorf("%s: logged %d times:\n%s", name, n, b.log())
			}
		})
	}
}

func TestKeySetInsideTheWindow(t *testing.T) {
	for name, offers := range map[string]bool{"refuses ours": false, "offers the factory": true} {
		bubble(t, func(t *testing.T) {
			p := newPD()
			p.offers = offers
			b := secureBus(t, p, map[string]any{"install_key": "2030-06-01T00:00:00Z"})
			defer b.end()
			b.wait(2*time.Second, secureState)
			b.do(func() {
				if p.keys != 1 || p.key == nil || *p.key != Key(unhex(t, testKey)) || p.factory {
					t.Errorf("%s: %d keys were set, channel of the factory key: %v", name, p.keys, p.factory)
				}
			})
			for _, c := range b.since(p, 0) {
				if bytes.Contains(c.raw, unhex(t, testKey)[:8]) {
					t.Errorf("%s: the key was sent in clear: % X", name, c.raw)
				}
			}
			if l := strings.ToUpper(b.log()); strings.Contains(l, "33445566") {
				t.Errorf("%s: the key was logged:\n%s", name, l)
			}
			// The same device with the factory key again, while the window is open: somebody may have reset it, or is it another one?
			b.do(func() { p.key, p.up = nil, nil })
			b.wait(20*time.Second, "1-device device-lost")
			if of(b, &p.keys) != 1 {
				t.Errorf("%s: a device whose key has worked was given it again", name)
			}
		})
	}
}

func TestWrongKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPD()
		p.key = &Key{1, 2, 3}
		b := secureBus(t, p, map[string]any{"install_key": "2030-06-01T00:00:00Z"})
		defer b.end()
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if why := b.lost(); !strings.Contains(why, "refuses") && !strings.Contains(why, "not the one of scbk_file") {
			t.Errorf("%q, want that the key is another", why)
		}
	})
}

// TestNobodyElseSpeaksForTheDevice: what is not authenticated is dropped, and the channel begins anew.
func TestNobodyElseSpeaksForTheDevice(t *testing.T) {
	inputs := []byte{1, 1, 1}
	for name, alter := range map[string]func([]byte) []byte{
		"in clear": func(b []byte) []byte {
			c, _ := Frame{Addr: 0x81, Ctrl: b[4] & 7, Code: repInput, Data: inputs}.AppendBinary(nil)
			return c
		},
		"with a wrong code": func(b []byte) []byte {
			c, _ := Frame{Addr: 0x81, Ctrl: b[4] & 7, SCB: []byte{2, scbMACReply}, Code: repInput, Data: inputs, MAC: []byte{1, 2, 3, 4}}.AppendBinary(nil)
			return c
		},
		"as an answer to a handshake": func(b []byte) []byte {
			c, _ := Frame{Addr: 0x81, Ctrl: b[4] & 7, SCB: []byte{3, scbRMAC, 1}, Code: repInput, Data: inputs}.AppendBinary(nil)
			return c
		},
		"refused in clear": func(b []byte) []byte {
			c, _ := Frame{Addr: 0x81, Ctrl: b[4] & 7, Code: repNak, Data: []byte{nakEncrypt}}.AppendBinary(nil)
			return c
		},
	} {
		bubble(t, func(t *testing.T) {
			p := keyedPD(t)
			b := secureBus(t, p, nil)
			defer b.end()
			b.wait(time.Second, secureState)
			var n int
			b.do(func() { n, p.alter = len(p.heard), alter })
			b.wait(2*time.Second, noState)
			if got := b.codes(p, n+1); !strings.HasPrefix(got, "60/0 61/1 62/2 76/3 77/1 64/2 65/3 60/1") {
				t.Errorf("%s: then it was told %s, want a new handshake", name, got)
			}
		})
	}
}

// TestBusy: a device may ask for time, and is asked the same again; one that only ever does so is lost.
func TestBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyedPD(t)
		b := secureBus(t, p, nil)
		defer b.end()
		b.wait(time.Second, secureState)
		var n int
		b.do(func() { n, p.busy = len(p.heard), 5 })
		b.wait(time.Second, noState)
		if got := b.codes(p, n); strings.Contains(got, "/0") {
			t.Errorf("it was told %s, want no new start", got)
		}
		b.do(func() { p.busy = 1 << 30 })
		b.wait(9*time.Second, "1-device device-lost")
		b.do(func() { p.busy = 0 })
		b.wait(6*time.Second, secureState)
	})
}

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		refuses map[byte]byte
		want    string
	}{
		"what it is, and what it can": {map[byte]byte{cmdID: 3, cmdCap: 6}, plainState},
		"tamper":                      {map[byte]byte{cmdLocal: 3}, "1-device device-lost-restored, 1-1 inactive, 1-2 inactive, 1-3 inactive"},
		"inputs":                      {map[byte]byte{cmdInput: 3}, "1-device device-lost-restored, 1-tamper tamper-restored, 1-power psu-fault-restored"},
		"both":                        {map[byte]byte{cmdLocal: 3, cmdInput: 3}, "1-device device-lost-restored"},
		"all without encryption":      {map[byte]byte{cmdPoll: 6, cmdID: 6, cmdCap: 6, cmdLocal: 6, cmdInput: 6}, "1-device device-lost"},
	} {
		bubble(t, func(t *testing.T) {
			p := newPD()
			p.refuses = tt.refuses
			b := plainBus(t, map[byte]*pd{1: p})
			defer b.end()
			time.Sleep(10 * time.Second)
			if got := b.news(); got != tt.want {
				t.Errorf("%s: %s, want %s", name, got, tt.want)
			}
			b.wait(time.Minute, noState)
		})
	}
}

func TestDeviceRestarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyedPD(t)
		b := secureBus(t, p, nil)
		defer b.end()
		b.wait(time.Second, secureState)
		b.do(func() { p.up, p.seq, p.said, p.inputs = nil, 0, nil, []byte{0, 1, 0} })
		b.wait(2*time.Second, "1-2 active") // and no loss, for it took no 8 s
	})
}

// TestInjectionCostsALineAMinute: somebody who speaks for the device all the time keeps it out of service and does not fill the log.
func TestInjectionCostsALineAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyedPD(t)
		b := secureBus(t, p, nil)
		defer b.end()
		b.wait(time.Second, secureState)
		b.do(func() {
			b.mangle = func(said []byte) []byte {
				if of(b, &p.up) == nil || len(said) == 0 {
					return said
				}
				c, _ := Frame{Addr: 0x81, Ctrl: said[4] & 7, Code: repInput, Data: []byte{1, 1, 1}}.AppendBinary(nil)
				return c
			}
		})
		b.wait(10*time.Minute, "1-device device-lost")
		if n := strings.Count(b.log(), "not in service"); n < 2 || n > 25 {
			t.Errorf("%d lines of log in 10 min:\n%s", n, b.log())
		}
	})
}

func TestEcho(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := keyedPD(t)
		b := secureBus(t, p, nil)
		b.do(func() { b.echo = true })
		defer b.end()
		b.wait(time.Second, secureState)
	})
}

// TestNothingIsAckedThatIsNotStored: while signals cannot be stored the device is told the same again and keeps its answer.
func TestNothingIsAckedThatIsNotStored(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) (*pd, *bus){
		"clear":  func(t *testing.T) (*pd, *bus) { p := newPD(); return p, plainBus(t, map[byte]*pd{1: p}) },
		"secure": func(t *testing.T) (*pd, *bus) { p := keyedPD(t); return p, secureBus(t, p, nil) },
	} {
		bubble(t, func(t *testing.T) {
			p, b := start(t)
			defer b.end()
			time.Sleep(time.Second)
			b.news()
			b.refuse(errors.New("the disk is full"))
			var n int
			b.do(func() {
				n = len(p.heard)
				p.queue = []Frame{{Code: repLocal, Data: []byte{1, 0}}, {Code: repLocal, Data: []byte{0, 0}}}
			})
			b.wait(time.Minute, noState)
			raw := b.told(p, n).raw
			for _, c := range b.since(p, n) {
				if !bytes.Equal(c.raw, raw) {
					t.Fatalf("%s: % X, and then % X while nothing could be stored", name, raw, c.raw)
				}
			}
			if n, left := b.count(p)-n, len(of(b, &p.queue)); n < 50 || left != 1 {
				t.Errorf("%s: told %d times, %d reports are left: want that it is kept in service and has not gone on", name, n, left)
			}
			b.refuse(nil)
			b.wait(2*time.Second, "1-tamper tamper, 1-tamper tamper-restored")
			if l := b.log(); strings.Count(l, "could not be stored") != 1 {
				t.Errorf("%s: logged:\n%s", name, l)
			}
		})
	}
}

// TestLossIsToldAgain: the word that a device is lost is not lost with the disk.
func TestLossIsToldAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPD()
		b := plainBus(t, map[byte]*pd{1: p})
		defer b.end()
		b.wait(time.Second, plainState)
		b.refuse(errors.New("the disk is full"))
		b.do(func() { p.mute = true })
		b.wait(time.Minute, noState)
		b.refuse(nil)
		b.wait(2*time.Second, "1-device device-lost")
	})
}

// TestNoiseBetween: noise that comes with the answers costs retries, not news.
func TestNoiseBetween(t *testing.T) {
	for _, noise := range []string{"00", "53", "FF FF FF", "53 81 F0 01 04", "53 01 08 00 05 60 8B", "7E 53 81 0A"} {
		bubble(t, func(t *testing.T) {
			p := newPD()
			b := plainBus(t, map[byte]*pd{1: p})
			defer b.end()
			b.wait(time.Second, plainState)
			for _, data := range [][]byte{{1, 0}, {0, 0}} {
				b.do(func() {
					p.queue = []Frame{{Code: repLocal, Data: data}}
					p.alter = func(b []byte) []byte { return append(unhex(t, noise), b...) }
				})
				want := "1-tamper tamper"
				if data[0] == 0 {
					want += "-restored"
				}
				b.wait(time.Second, want)
			}
			if n := of(b, &p.repeats); n > 1 {
				t.Errorf("%s: %d repeats", noise, n)
			}
			b.line.Write(bytes.Repeat(unhex(t, noise), 200)) // and between the answers
			b.wait(2*time.Second, noState)
			if n := b.count(p); n < 20 {
				t.Errorf("%s: told %d times", noise, n)
			}
		})
	}
}

func TestManyInputs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPD()
		p.inputs = bytes.Repeat([]byte{1}, 300)
		b := plainBus(t, map[byte]*pd{1: p})
		defer b.end()
		time.Sleep(time.Second)
		got := b.news()
		if !strings.HasSuffix(got, fmt.Sprintf("1-%d active", maxInputs)) {
			t.Errorf("news %s", got)
		}
	})
}
