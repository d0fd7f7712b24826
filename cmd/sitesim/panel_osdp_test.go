package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/osdp"
	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

func osdpHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const osdpTestKey = "00112233445566778899AABBCCDDEEFF"

// TestOSDPPeerSaysWhatRealDevicesSay plays the device's part of sessions between other implementations.
func TestOSDPPeerSaysWhatRealDevicesSay(t *testing.T) {
	p, err := newOsdpPeer(osdpOptions{Clock: edge.NewSystemClock(), Devices: []osdpDevice{{Address: 1, Open: true, Inputs: 8}}})
	if err != nil {
		t.Fatal(err)
	}
	typed := func(s string) {
		t.Helper()
		if err := p.Do(strings.Fields(s)); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name, command, want string) {
		t.Helper()
		f, rest, ok := nextOSDP(osdpHex(t, command))
		if !ok || len(rest) > 0 {
			t.Fatalf("%s: %s is no frame", name, command)
		}
		if got := p.answer(f); !bytes.Equal(got, osdpHex(t, want)) {
			t.Errorf("%s: answered % X, want %s", name, got, want)
		}
	}
	check("poll", "53 01 08 00 04 60 BA 00", "53 81 08 00 04 40 08 06")
	check("identify", "53 01 09 00 05 61 00 50 14", "53 81 14 00 05 45 CC BB AA 99 01 04 03 02 01 01 02 03 DD 91")
	check("poll 2", "53 01 08 00 06 60 D8 66", "53 81 08 00 06 40 6A 60")
	typed("tamper 1 on")
	check("poll 3", "53 01 08 00 07 60 E9 55", "53 81 0A 00 07 48 01 00 A2 A1")
	check("the same again", "53 01 08 00 07 60 E9 55", "53 81 0A 00 07 48 01 00 A2 A1")
	typed("input 1 3 on")
	check("poll 1", "53 01 08 00 05 60 8B 33", "53 81 10 00 05 49 00 00 01 00 00 00 00 00 A7 D7")
	check("wrong number", "53 01 08 00 05 65 2E 63", "53 81 09 00 05 41 04 12 86")
	check("start", "53 01 08 00 04 60 BA 00", "53 81 08 00 04 40 08 06")
	check("no command", "53 01 08 00 05 99 BD 4D", "53 81 09 00 05 41 03 F5 F6")

	// The secure half, from the captured session's random numbers.
	p, err = newOsdpPeer(osdpOptions{Clock: edge.NewSystemClock(), Devices: []osdpDevice{{Address: 1, Key: osdpHex(t, osdpTestKey), Inputs: 8}},
		Random: bytes.NewReader(osdpHex(t, "7F 4C 76 34 EF AB 75 A7"))})
	if err != nil {
		t.Fatal(err)
	}
	f, _, _ := nextOSDP(osdpHex(t, "53 01 13 00 0C 03 11 01 76 53 41 80 D2 E7 01 96 96 DB 8B"))
	want := osdpHex(t, "7F 4C 76 34 EF AB 75 A7 BB B0 63 6D 16 8B 97 EB C0 89 45 99 9A F7 10 21")
	if got := p.answer(f); len(got) != 43 || !bytes.Equal(got[17:41], want) {
		t.Errorf("challenge: answered % X, want % X in it", got, want)
	}
	check("proof", "53 01 1B 00 0D 03 13 01 77 62 A9 92 50 EF F0 42 31 6C 82 1F 98 21 96 12 72 5F BD",
		"53 81 1B 00 0D 03 14 01 78 68 9B F2 7E F5 15 DE EC C5 51 96 DB 3E E4 93 B1 16 A3")
	check("secure poll", "53 01 0E 00 0E 02 15 60 E1 CF 11 46 2B F9", "53 81 0E 00 0E 02 16 40 EA 85 E3 D6 BC 84")
	check("the same again", "53 01 0E 00 0E 02 15 60 E1 CF 11 46 2B F9", "53 81 0E 00 0E 02 16 40 EA 85 E3 D6 BC 84")
	check("in clear", "53 01 08 00 07 60 E9 55", "53 81 09 00 07 41 06 30 C8")
}

// osdpSink keeps the news of a session in words.
type osdpSink struct {
	mu   sync.Mutex
	said []string
}

func (s *osdpSink) Signal(_ context.Context, sigs ...edge.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range sigs {
		w := string(g.Kind)
		if w == "" {
			w = map[bool]string{true: "active", false: "inactive"}[g.Active]
		}
		s.said = append(s.said, string(g.Zone)+" "+w)
	}
	return nil
}

func (s *osdpSink) Settle(context.Context) error { return nil }

func (s *osdpSink) take() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.said, ", ")
	s.said = nil
	return out
}

// osdpLater is a clock that is set: in a bubble it is the year 2000, in which the box knows that its clock is not.
type osdpLater struct{ edge.Clock }

func (c osdpLater) Now() edge.Stamp {
	s := c.Clock.Now()
	s.Wall = s.Wall.AddDate(30, 0, 0)
	return s
}

// TestOSDPPeerAndTheDriver: three devices, one with its key, one with the factory's, one in clear, on a line with the real session.
func TestOSDPPeerAndTheDriver(t *testing.T) {
	file := filepath.Join(t.TempDir(), "osdp.key")
	if err := os.WriteFile(file, []byte(osdpTestKey), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		clock := osdpLater{edge.NewSystemClock()}
		var p peer
		p, err := newOsdpPeer(osdpOptions{Clock: clock, Devices: []osdpDevice{
			{Address: 1, Key: osdpHex(t, osdpTestKey), Inputs: 3}, {Address: 2, Inputs: 1}, {Address: 3, Open: true, Inputs: 1},
		}})
		if err != nil {
			t.Fatal(err)
		}
		settings := panel.NewSettings(map[string]any{"install_key": "2030-01-02T00:00:00Z", "devices": []any{
			map[string]any{"address": 1, "scbk_file": file, "inputs": map[string]any{"3": "301"}},
			map[string]any{"address": 2, "scbk_file": file},
			map[string]any{"address": 3, "secure": "off"},
		}})
		session := osdp.Driver.New(settings, panel.SessionOptions{Clock: clock, Location: time.UTC, Log: slog.New(slog.DiscardHandler)})
		if bad := settings.Problems(); len(bad) > 0 {
			t.Fatal(bad)
		}
		ours, theirs := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		var sink osdpSink
		var g errgroup.Group
		g.Go(func() error { p.Run(ctx, theirs); return nil })
		g.Go(func() error { session.Run(ctx, ours, &sink); return nil })
		defer g.Wait()
		defer cancel()

		time.Sleep(3 * time.Second)
		start := sink.take()
		for _, want := range []string{"1-device device-lost-restored", "301 inactive", "2-device device-lost-restored", "2-1 inactive", "3-power psu-fault-restored", "3-1 inactive"} {
			if !strings.Contains(start, want) {
				t.Errorf("at the start: %s, want %s in it", start, want)
			}
		}
		for _, step := range []struct {
			typed string
			wait  time.Duration
			want  string
		}{
			{"input 1 3 on", 200 * time.Millisecond, "301 active"},
			{"input 1 3 off", 200 * time.Millisecond, "301 inactive"},
			{"tamper 2 on", 200 * time.Millisecond, "2-tamper tamper"},
			{"tamper 2 off", 200 * time.Millisecond, "2-tamper tamper-restored"},
			{"power 3 off", 200 * time.Millisecond, "3-power psu-fault"},
			{"power 3 on", 200 * time.Millisecond, "3-power psu-fault-restored"},
			{"card 1", 200 * time.Millisecond, ""},
			{"offline 1 on", 9 * time.Second, "1-device device-lost"},
			{"offline 1 off", 6 * time.Second, "1-device device-lost-restored, 1-tamper tamper-restored, 1-power psu-fault-restored, 1-1 inactive, 1-2 inactive, 301 inactive"},
			{"key 2 reset", 20 * time.Second, "2-device device-lost"},
		} {
			if err := p.Do(strings.Fields(step.typed)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(step.wait)
			if got := sink.take(); got != step.want {
				t.Errorf("%s: %s, want %s", step.typed, got, step.want)
			}
		}
	})
}

func TestOSDPPeerTyped(t *testing.T) {
	p, err := newOsdpPeer(osdpOptions{Clock: edge.NewSystemClock(), Devices: []osdpDevice{{Address: 1, Inputs: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"help", "input 1 3 on", "input 1 0 on", "input 1 1", "input 1 1 open", "input 9 1 on", "input x 1 on", "tamper 1 1 on", "power 1", "boil 1 on", "key 1 set", "card 1 on"} {
		if err := p.Do(strings.Fields(s)); err == nil || !strings.Contains(err.Error(), "say: input ADDRESS NUMBER on|off") {
			t.Errorf("%s: %v, want what may be typed", s, err)
		}
	}
	for range 1000 {
		if err := p.Do([]string{"input", "1", "2", "on"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.ds[1].reports); n > osdpReports {
		t.Errorf("%d reports wait", n)
	}
	for name, d := range map[string]osdpDevice{"address": {Address: 127}, "inputs": {Inputs: 256}, "key": {Key: []byte{1}}} {
		if _, err := newOsdpPeer(osdpOptions{Devices: []osdpDevice{d}}); err == nil {
			t.Errorf("a wrong %s is taken", name)
		}
	}
}
