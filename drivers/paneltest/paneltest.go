// Package paneltest is the conformance suite of panel drivers: Run plays every transcript of a driver against it over an
// in-memory line, with the line's habits (bytes one at a time, in halves, run together, after noise) and with a sink that
// is slow or refuses. It is for tests only; each play is a synctest bubble, so hours of waiting cost nothing and a
// goroutine that is left behind fails the test.
package paneltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/drivers/panel"
)

// patience is how long a reply may take. It is longer than any driver's resynchronisation and shorter than the panel's own
// patience in the protocols at hand.
const patience = 2400 * time.Millisecond

// Run plays every testdata/*.wire of the calling test's package.
func Run(t *testing.T, d panel.Driver) {
	files, err := filepath.Glob("testdata/*.wire")
	if err != nil || len(files) == 0 {
		t.Fatalf("no testdata/*.wire (%v)", err)
	}
	acks := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := panel.ParseTranscript(b)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, m := range modes {
			if d.Polls && m.noise {
				continue // before the first question nothing is due; noise among the answers is the driver's own test
			}
			t.Run(filepath.Base(file)+"/"+m.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { play(t, d, tr, m) })
			})
		}
		t.Run(filepath.Base(file)+"/sink refuses", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if d.Polls {
					refuseOnce(t, d, tr)
					return
				}
				acks += refuse(t, d, tr)
			})
		})
	}
	if acks == 0 && !d.Polls && !t.Failed() {
		t.Error("no transcript has an acknowledgement after a signal: nothing shows that it comes only when the signal is stored")
	}
	t.Run("rubbish", func(t *testing.T) {
		for seed := range uint64(20) {
			synctest.Test(t, func(t *testing.T) { rubbish(t, d, files, seed) })
		}
	})
	t.Run("settings", func(t *testing.T) {
		port := map[panel.PortKind]string{panel.Serial: "/dev/tty", panel.TCPListen: "tcp-listen://127.0.0.1:1", panel.TCPDial: "tcp://127.0.0.1:1", panel.ModbusTCP: "modbus-tcp://127.0.0.1:1"}[d.Ports[0]]
		if p := panel.Check(d, port, map[string]any{"no-such-setting": 1}); len(p) == 0 {
			t.Error("an unknown setting is no problem to this driver")
		}
	})
}

// mode is a habit of the line.
type mode struct {
	name   string
	pieces func([]byte) [][]byte
	slow   bool // the sink takes a while, and nothing may be sent before it is done
	noise  bool
}

var modes = []mode{
	{name: "as written", pieces: whole},
	{name: "byte by byte", pieces: func(b []byte) (out [][]byte) {
		for i := range b {
			out = append(out, b[i:i+1])
		}
		return out
	}},
	{name: "in halves", pieces: func(b []byte) [][]byte { return [][]byte{b[:len(b)/2], b[len(b)/2:]} }},
	{name: "slow sink", pieces: whole, slow: true},
	{name: "after noise", pieces: whole, noise: true},
}

func whole(b []byte) [][]byte { return [][]byte{b} }

func play(t *testing.T, d panel.Driver, tr panel.Transcript, m mode) {
	r := newRig(t, d, settingsOf(tr))
	defer r.close()
	if m.noise {
		rnd := rand.New(rand.NewPCG(1, 2))
		b := make([]byte, 40)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		r.send(b, modes[0])
		time.Sleep(time.Minute) // the driver may say what it likes to noise; then it must be in step again
		r.written(1, 0)
		r.got, r.sink.all = nil, nil
	}
	for i, s := range tr.Steps {
		switch s.Op {
		case panel.Receive:
			time.Sleep(s.Wait)
			if m.slow {
				r.sink.holdBack(make(chan struct{}))
			}
			if !r.send(s.Bytes, m) {
				t.Fatalf("line %d: the session has ended: %v", s.Line, r.end)
			}
			if m.slow {
				time.Sleep(time.Second / 2) // the driver may wait for the line to be quiet
				synctest.Wait()
				if r.sink.waiting() {
					early := sendsBeforeSignal(tr.Steps[i+1:])
					if got := r.written(early+1, time.Second); len(got) > early {
						t.Errorf("line %d: % X was sent while the signal was not stored", s.Line, got[early:])
					}
				}
				r.sink.holdBack(nil)
				synctest.Wait()
			}
		case panel.Send:
			if got := r.written(len(s.Bytes), patience); !bytes.HasPrefix(got, s.Bytes) {
				t.Fatalf("line %d: sent % X, want % X", s.Line, got, s.Bytes)
			}
			r.got = r.got[len(s.Bytes):]
		case panel.Expect:
			synctest.Wait()
			if why := r.expect(s, quietOf(tr, i)); why != "" {
				t.Errorf("line %d: %s", s.Line, why)
			}
		case panel.Fault:
			r.sink.setErr(s)
		}
	}
	if got := r.written(1, 10*time.Second); len(got) > 0 && !d.Polls {
		t.Errorf("after the last line % X was sent", got)
	}
	if rest := r.sink.take(); len(rest) > 0 {
		t.Errorf("signals that the transcript does not have: %+v", rest)
	}
}

// sendsBeforeSignal is how many bytes the steps let the session send before the next signal: a read may hold other
// frames before the one with the signal.
func sendsBeforeSignal(steps []panel.Step) (n int) {
	for _, s := range steps {
		if s.Op == panel.Expect && s.Word == "signal" {
			break
		}
		n += len(s.Bytes)
	}
	return n
}

// quietOf is how long nothing may be sent for an "= silence" step.
func quietOf(tr panel.Transcript, i int) time.Duration {
	for _, f := range tr.Steps[i].Facts {
		if d, err := time.ParseDuration(f.Key); err == nil && f.Bare {
			return d
		}
	}
	return 3 * time.Second
}

// refuse plays up to the first signal with a sink that fails, and wants no answer to that. It returns 1 when the
// transcript has an answer there that the failing sink held back.
func refuse(t *testing.T, d panel.Driver, tr panel.Transcript) int {
	first := -1
	for i, s := range tr.Steps {
		if s.Op == panel.Fault {
			return 0 // plays with the sink itself
		}
		if s.Op == panel.Expect && s.Word == "signal" {
			first = i
			break
		}
	}
	if first < 0 {
		return 0
	}
	r := newRig(t, d, settingsOf(tr))
	defer r.close()
	r.sink.err = errors.New("the disk is full")
	for i, s := range tr.Steps[:first] {
		switch s.Op {
		case panel.Expect:
			if s.Word == "silence" {
				time.Sleep(quietOf(tr, i))
			}
		case panel.Receive:
			time.Sleep(s.Wait)
			r.send(s.Bytes, modes[0])
			synctest.Wait()
		case panel.Send:
			if got := r.written(len(s.Bytes), patience); !bytes.HasPrefix(got, s.Bytes) {
				t.Fatalf("line %d: sent % X, want % X", s.Line, got, s.Bytes)
			}
			r.got = r.got[len(s.Bytes):]
		}
	}
	if !eventually(func() bool { return r.sink.calls() > 0 }) {
		t.Fatal("the signal did not reach the sink")
	}
	if got := r.written(len(d.Busy)+1, patience); len(got) > 0 && !bytes.Equal(got, d.Busy) {
		t.Errorf("% X was sent although the sink refused the signal", got)
	}
	for _, s := range tr.Steps[first:] {
		if s.Op == panel.Send {
			return 1
		}
	}
	return 0
}

// refuseOnce plays a polled panel up to its first signal with a sink that fails: nothing is acknowledged there, so the driver
// must bring the signal again by itself, as soon as signals can be stored.
func refuseOnce(t *testing.T, d panel.Driver, tr panel.Transcript) {
	first := slices.IndexFunc(tr.Steps, func(s panel.Step) bool { return s.Op == panel.Expect && s.Word == "signal" })
	if first < 0 || slices.ContainsFunc(tr.Steps, func(s panel.Step) bool { return s.Op == panel.Fault }) {
		return
	}
	r := newRig(t, d, settingsOf(tr))
	defer r.close()
	r.sink.err = errors.New("the disk is full")
	var last []byte // what the panel answers from now on, whatever it is asked
	for i, s := range tr.Steps[:first] {
		switch s.Op {
		case panel.Receive:
			time.Sleep(s.Wait)
			r.send(s.Bytes, modes[0])
			synctest.Wait()
			last = s.Bytes
		case panel.Send:
			if got := r.written(len(s.Bytes), patience); !bytes.HasPrefix(got, s.Bytes) {
				t.Fatalf("line %d: sent % X, want % X", s.Line, got, s.Bytes)
			}
			r.got = r.got[len(s.Bytes):]
		case panel.Expect:
			if s.Word == "silence" {
				time.Sleep(quietOf(tr, i))
			}
		}
	}
	if !eventually(func() bool { return r.sink.calls() > 0 }) {
		t.Fatal("the signal did not reach the sink")
	}
	r.sink.works()
	want := tr.Steps[first].Facts
	for range 20 {
		if r.written(1, patience); len(r.got) > 0 {
			r.got = nil
			r.send(last, modes[0])
		}
		synctest.Wait()
		for _, sig := range r.sink.take() {
			if differs(sig, want) == "" {
				return
			}
		}
	}
	t.Errorf("line %d: the signal that could not be stored never came again", tr.Steps[first].Line)
}

// rubbish sends random bytes and mutilated transcripts: nothing may panic, hang or be left behind.
func rubbish(t *testing.T, d panel.Driver, files []string, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 77))
	r := newRig(t, d, nil)
	defer r.close()
	var all []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := panel.ParseTranscript(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range tr.Steps {
			if s.Op == panel.Receive {
				all = append(all, s.Bytes...)
			}
		}
	}
	for range len(all) / 8 {
		switch i := rnd.IntN(len(all)); rnd.IntN(3) {
		case 0:
			all[i] ^= 1 << rnd.IntN(8)
		case 1:
			all = append(all[:i], all[i+1:]...)
		case 2:
			all[i] = byte(rnd.Uint32())
		}
	}
	for len(all) > 0 {
		n := min(len(all), 1+rnd.IntN(100))
		if !r.send(all[:n], modes[0]) {
			return // a driver may give up on a line, if it ends in order
		}
		all = all[n:]
		if rnd.IntN(4) == 0 {
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		}
		r.written(1, 0)
		r.got = nil
	}
}

func settingsOf(tr panel.Transcript) map[string]any {
	m := map[string]any{}
	for _, s := range tr.Steps {
		if s.Op == panel.Setting {
			m[s.Facts[0].Key] = settingOf(s.Facts[0].Value)
		}
	}
	return m
}

// settingOf is a setting's value: JSON where it is a list or a map, else the text.
func settingOf(text string) any {
	var v any
	if strings.HasPrefix(text, "[") || strings.HasPrefix(text, "{") {
		if json.Unmarshal([]byte(text), &v) == nil {
			return v
		}
	}
	return text
}
