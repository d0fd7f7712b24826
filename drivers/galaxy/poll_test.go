package galaxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// TestOnlyReads: whatever is asked for, no block can be made that changes something at the panel (P11). Those have an asterisk, or
// begin with what no query begins with.
func TestOnlyReads(t *testing.T) {
	qs := []query{askGroups(), askAlarms(), askReady()}
	for n := -100; n < 10000; n++ {
		for _, ask := range []func(int) (query, bool){askGroup, askBitmap, func(n int) (query, bool) { return askZone(fmt.Sprint(n)) }} {
			if q, ok := ask(n); ok {
				qs = append(qs, q)
			}
		}
	}
	for _, z := range []string{"1011*1", "*", "1011*", "", "10 1", "SA1*", "101"} {
		if q, ok := askZone(z); ok {
			t.Errorf("zone %q is asked for as %q", z, q.data)
		}
	}
	if len(qs) < 3+maxGroups+len(bitmaps)+4*15*8 {
		t.Errorf("only %d queries: the test does not see them all", len(qs))
	}
	for _, q := range qs {
		b, err := q.frame().AppendBinary(nil)
		if err != nil || strings.Contains(q.data, "*") || (q.fc != FCControl && q.fc != FCExtended) || !(strings.HasPrefix(q.data, "SA") || strings.HasPrefix(q.data, "ZS")) {
			t.Errorf("% X (%q, %v) is no read", b, q.data, err)
		}
	}
	group1, _ := askGroup(1)
	ready1, _ := askBitmap(1)
	for want, q := range map[string]query{"43 43 53 41 31 DC": group1, "43 58 5A 53 31 DC": ready1} {
		if b, _ := q.frame().AppendBinary(nil); !bytes.Equal(b, unhex(t, want)) {
			t.Errorf("%q is % X, want %s", q.data, b, want)
		}
	}
}

func TestAnswers(t *testing.T) {
	say := func(sigs []edge.Signal) (out string) {
		for _, s := range sigs {
			out += fmt.Sprintf("%s %s%s;", s.Kind, s.Partition, s.Zone)
		}
		return out
	}
	for data, want := range map[string]string{
		"SA*012":              "unset 1;set 2;part-set 3;",
		"SA3*1":               "set 3;",
		"SA32*0":              "unset 32;",
		"SA91*01":             "", // alarm states are not set states
		"SA1*3":               "",
		"SA33*1":              "",
		"SA*":                 "",
		"SA*0x":               "",
		"SA1*11":              "",
		"SA":                  "",
		"":                    "",
		"ZS1011*4":            "tamper-restored 1011;zone-masked-restored 1011;zone-fault-restored 1011;",
		"ZS1011*5":            "tamper 1011;zone-masked-restored 1011;zone-fault-restored 1011;",
		"ZS9018*6":            "tamper-restored 9018;zone-masked 9018;zone-fault-restored 9018;",
		"ZS1011*9":            "",
		"ZS1011*44":           "",
		"ZS1*4":               "",
		"ZS1\x00\xFF\x00\x01": "",
	} {
		sigs, ok := groupsSaid([]byte(data))
		if !ok {
			sigs, ok = zoneSaid([]byte(data))
		}
		if got := say(sigs); got != want || ok != (want != "") {
			t.Errorf("%q says %q (%v), want %q", data, got, ok, want)
		}
		for _, s := range sigs {
			if !s.State || len(s.Key) > 0 {
				t.Errorf("%q: %+v is no state", data, s)
			}
		}
	}
	all := "SA*" + strings.Repeat("0", 33)
	if sigs, ok := groupsSaid([]byte(all)); ok {
		t.Errorf("33 groups: %d signals", len(sigs))
	}
}

func codeFile(t *testing.T, code string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "remote.code")
	if err := os.WriteFile(path, []byte(code), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPollSettings(t *testing.T) {
	good := codeFile(t, "543210\n", 0o600)
	for _, tt := range []struct {
		name string
		set  map[string]any
		want string // path of the problem
	}{
		{"off", nil, ""},
		{"on", map[string]any{"poll": "30s", "remote_code_file": good}, ""},
		{"with zones", map[string]any{"poll": "30s", "remote_code_file": good, "poll_zones": []any{"1011", "9018"}}, ""},
		{"no code", map[string]any{"poll": "30s"}, "settings.remote_code_file"},
		{"too often", map[string]any{"poll": "1s", "remote_code_file": good}, "settings.poll"},
		{"missing file", map[string]any{"poll": "30s", "remote_code_file": "/none"}, "settings.remote_code_file"},
		{"readable by all", map[string]any{"poll": "30s", "remote_code_file": codeFile(t, "543210", 0o644)}, "settings.remote_code_file"},
		{"no number", map[string]any{"poll": "30s", "remote_code_file": codeFile(t, "5432*1", 0o600)}, "settings.remote_code_file"},
		{"no such zone", map[string]any{"poll": "30s", "remote_code_file": good, "poll_zones": []any{"1019"}}, "settings.poll_zones"},
		{"zones that are numbers", map[string]any{"poll": "30s", "remote_code_file": good, "poll_zones": []any{1011}}, "settings.poll_zones"},
		{"charset", map[string]any{"charset": "swedish"}, ""},
		{"no such charset", map[string]any{"charset": "klingon"}, "settings.charset"},
	} {
		ps := panel.Check(Driver, "/dev/tty", tt.set)
		if (len(ps) > 0) != (tt.want != "") || (len(ps) > 0 && ps[0].Path != tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, ps, tt.want)
		}
		for _, p := range ps {
			if strings.Contains(p.What, "5432") {
				t.Errorf("%s: the problem shows the code: %v", tt.name, p)
			}
		}
	}
}

// polled is a session at level 4 in a bubble.
type polled struct {
	t    *testing.T
	line net.Conn
	sink *slowSink
	g    errgroup.Group
}

func startPolled(t *testing.T, set map[string]any) *polled {
	ours, theirs := net.Pipe()
	p := &polled{t: t, line: theirs, sink: &slowSink{}}
	s := newSession(panel.NewSettings(set), options())
	p.g.Go(func() error { return s.Run(t.Context(), ours, p.sink) })
	return p
}

func (p *polled) end() {
	p.line.Close()
	p.g.Wait()
}

// hear returns the next bytes that are sent within d, as text of their data.
func (p *polled) hear(d time.Duration) string {
	p.line.SetReadDeadline(time.Now().Add(d))
	b := make([]byte, 128)
	n, err := p.line.Read(b)
	if err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			p.t.Errorf("read: %v", err)
		}
		return ""
	}
	f, used, err := Decode(b[:n])
	if err != nil || used != n {
		p.t.Errorf("sent % X: %v", b[:n], err)
	}
	return string(byte(f.FC)) + string(f.Data)
}

func (p *polled) say(fc FC, data string) {
	b, err := Frame{Header: wantsAck, FC: fc, Data: []byte(data)}.AppendBinary(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.line.Write(b)
}

func (p *polled) want(d time.Duration, want ...string) {
	p.t.Helper()
	for _, w := range want {
		if got := p.hear(d); got != w {
			p.t.Fatalf("sent %q, want %q", got, w)
		}
	}
}

func TestPolling(t *testing.T) {
	code := codeFile(t, "543210", 0o600)
	set := map[string]any{"poll": "30s", "remote_code_file": code, "poll_zones": []any{"1011", "1012"}}
	synctest.Test(t, func(t *testing.T) {
		p := startPolled(t, set)
		defer p.end()
		for _, zone := range []string{"1011", "1012", "1011"} {
			p.want(35*time.Second, "?543210")
			p.say(FCConfig, "AL4B1")
			p.want(time.Second, "8", "CSA")
			p.say(FCControl, "SA*01000000000000000000000000000000")
			p.want(time.Second, "8", "?543210") // one query for each login
			p.say(FCConfig, "AL4B1")
			p.want(time.Second, "8", "CZS"+zone)
			p.say(FCControl, "ZS"+zone+"*5")
			p.want(time.Second, "8", "")
		}
		if n := len(p.sink.sigs); n != 3*(32+3) {
			t.Fatalf("%d signals, want 105", n)
		}
		if s := p.sink.sigs[1]; s.Kind != edge.KindSet || s.Partition != "2" || !s.State {
			t.Errorf("group 2: %+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) { // nobody answers: three tries, then the next round
		p := startPolled(t, set)
		defer p.end()
		p.want(2*time.Second+time.Millisecond, "?543210", "?543210", "?543210", "")
		p.want(30*time.Second+time.Millisecond, "?543210")
		p.say(FCReject, "")
		p.want(29*time.Second, "")
		p.want(2*time.Second, "?543210")
	})
}

// TestPollGivesWay: while the panel says an event nothing is asked, and a question that met a block is asked again behind it.
func TestPollGivesWay(t *testing.T) {
	set := map[string]any{"poll": "30s", "remote_code_file": codeFile(t, "543210", 0o600)}
	synctest.Test(t, func(t *testing.T) {
		p := startPolled(t, set)
		defer p.end()
		time.Sleep(900 * time.Millisecond)
		p.say(FCAccount, "012345")
		p.want(time.Second, "8")
		time.Sleep(2 * time.Second)
		p.say(FCEvent, "ti11:46/BA1011")
		p.want(time.Second, "8")
		p.want(4*time.Second, "") // the text may take 5 s
		p.say(FCText, "+INTRUDER")
		p.want(time.Second, "8")
		p.want(2*time.Second, "?543210")
		p.say(FCAccount, "012345") // both at once
		p.want(time.Second, "8")
		p.say(FCEvent, "ti11:47/BA1012")
		p.want(time.Second, "8")
		p.say(FCText, "+INTRUDER")
		p.want(6*time.Second, "8", "?543210")
		p.say(FCConfig, "AL4B1")
		p.want(time.Second, "8", "CSA")
		if len(p.sink.sigs) != 4 {
			t.Errorf("%d signals, want two events and two texts", len(p.sink.sigs))
		}
	})
}

// TestOwnQuestionsEchoed: an adapter that gives back what is sent makes no answer of it, and no proof that the panel lives.
func TestOwnQuestionsEchoed(t *testing.T) {
	set := map[string]any{"poll": "30s", "remote_code_file": codeFile(t, "543210", 0o600)}
	synctest.Test(t, func(t *testing.T) {
		p := startPolled(t, set)
		defer p.end()
		p.want(2*time.Second, "?543210")
		p.say(FCLogin, "543210")
		p.say(FCConfig, "AL4B1")
		p.want(time.Second, "8")
		p.line.Write([]byte{0x00, 0x38, 0xC7})
		p.want(time.Second, "CSA")
		p.say(FCControl, "SA")
		p.want(time.Second, "")
		p.say(FCControl, "SA*1")
		p.want(time.Second, "8")
		if len(p.sink.sigs) != 1 || p.sink.sigs[0].Kind != edge.KindSet {
			t.Errorf("signals %+v, want one set", p.sink.sigs)
		}
	})
}

// TestTestPeriodTellsSilence: a panel that says when it tests next is lost when that does not come; 1440 minutes, a tenth, and five.
func TestTestPeriodTellsSilence(t *testing.T) {
	for data, want := range map[string]time.Duration{
		"ti03:00/va1440/RP": 24 * time.Hour, "va60/RP": time.Hour, "RP": 0, "va1440/BA1011": 0, "va0/RP": 0, "va999999/RP": 0, "vaX/RP": 0,
	} {
		if got, ok := testPeriod([]byte(data)); got != want || ok != (want > 0) {
			t.Errorf("%q: %v %v, want %v", data, got, ok, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		var mu sync.Mutex
		var reported []string
		got := func() string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint(reported)
		}
		line, err := panel.NewLine(panel.LineOptions{Panel: "p", Driver: Driver, Port: "/dev/none", Sink: &slowSink{}, Clock: edge.NewSystemClock(),
			Location: time.UTC, Log: options().Log, Open: func(context.Context) (panel.Port, error) { return ours, nil },
			Report: func(_ context.Context, ev edge.Event) error {
				mu.Lock()
				defer mu.Unlock()
				reported = append(reported, string(ev.Kind))
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var g errgroup.Group
		g.Go(func() error { return line.Run(ctx) })
		g.Go(func() error {
			b := make([]byte, 16)
			for {
				if _, err := theirs.Read(b); err != nil {
					return nil
				}
			}
		})
		say := func() {
			b, _ := Frame{Header: wantsAck, FC: FCEvent, Data: []byte("va60/RP")}.AppendBinary(nil)
			theirs.Write(b)
		}
		time.Sleep(48 * time.Hour) // nothing is known yet
		say()
		time.Sleep(70 * time.Minute)
		if got := got(); got != "[]" {
			t.Errorf("after 70 min of 71: %v", got)
		}
		time.Sleep(2 * time.Minute)
		if got := got(); got != "[panel-lost]" {
			t.Errorf("after 72 min: %v", got)
		}
		say()
		time.Sleep(time.Second)
		if got := got(); got != "[panel-lost panel-lost-restored]" {
			t.Errorf("after the next test: %v", got)
		}
		cancel()
		theirs.Close()
		g.Wait()
	})
}

func TestSwedish(t *testing.T) {
	if got := charsetSwedish.text([]byte("K\x99K \x8F\x9F\xFF")); got != "KÖK Å??" {
		t.Errorf("got %q", got)
	}
	if got := charsetNone.text([]byte("K\x99K")); got != "K?K" {
		t.Errorf("without a table: %q", got)
	}
}
