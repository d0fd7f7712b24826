package modbus

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/drivers/panel"
)

const (
	ask1   = "01 02 00 00 00 08 79 CC"
	none1  = "01 02 01 00 A1 88"
	third1 = "01 02 01 04 A0 4B"

	calm1 = "-slave-1/device-lost -201 -202 -1-3 -1-4 -1-5 -1-6 -1-7 -1-8"
	one   = `{"slaves":[{"address":1,"profile":"waveshare-8di","points":{"1":"201","2":"202"}}]}`
)

func want(t testing.TB, r *rig, signals string) {
	t.Helper()
	synctest.Wait()
	if got := r.sink.take(); got != signals {
		t.Errorf("signals %q, want %q", got, signals)
	}
}

func TestFirstPollIsStateAndAChangeIsDebounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, one)
		m := &modules{on: map[byte]byte{1: 0}}
		wait := r.serve(m.answer)
		time.Sleep(50 * time.Millisecond)
		want(t, r, calm1)
		m.set(1, 0b101)
		time.Sleep(200 * time.Millisecond)
		want(t, r, "") // too short yet
		m.set(1, 0)
		time.Sleep(time.Second)
		want(t, r, "") // it was a bounce
		m.set(1, 0b101)
		time.Sleep(450 * time.Millisecond)
		want(t, r, "+201 +1-3")
		m.set(1, 0b100)
		time.Sleep(450 * time.Millisecond)
		want(t, r, "-201")
		time.Sleep(time.Hour)
		want(t, r, "")
		if c := r.opt.Meter.Counts(); c.Frames < 30_000 || c.Rejects+c.Noise > 0 {
			t.Errorf("counted %+v", c)
		}
		r.close()
		wait()
		for _, s := range r.sink.sigs {
			if len(s.Raw) == 0 || s.At.Wall.IsZero() || s.Opened.Wall.IsZero() || s.Key != nil || s.Code != "" {
				t.Errorf("signal %+v lacks its bytes or its arrival, or says too much", s)
			}
		}
	})
}

// TestShortestPulse: whatever its moment, a pulse of poll time and debounce is seen.
func TestShortestPulse(t *testing.T) {
	for shift := range 20 {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, panel.Serial, one)
			m := &modules{on: map[byte]byte{1: 0}}
			wait := r.serve(m.answer)
			time.Sleep(3*time.Second + time.Duration(shift)*7*time.Millisecond)
			want(t, r, calm1)
			m.set(1, 1)
			time.Sleep(highPoll + defaultDebounce)
			m.set(1, 0)
			time.Sleep(time.Second)
			want(t, r, "+201 -201")
			r.close()
			wait()
		})
	}
}

// TestRefusedSignalsComeAgain: a module repeats nothing, so what the sink refuses must be kept, a pulse included.
func TestRefusedSignalsComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, one)
		r.sink.fail(errFull)
		m := &modules{on: map[byte]byte{1: 0}}
		wait := r.serve(m.answer)
		time.Sleep(time.Second)
		for range 50 { // pulses of a second while nothing can be stored
			m.set(1, 1)
			time.Sleep(time.Second)
			m.set(1, 0)
			time.Sleep(time.Second)
		}
		m.set(1, 1)
		time.Sleep(time.Second)
		if n := r.sink.tried(); n > 250 {
			t.Errorf("the sink was tried %d times in 100 s", n)
		}
		r.sink.fail(nil)
		time.Sleep(time.Second)
		want(t, r, calm1+" +201 -201 +201")
		r.close()
		wait()
	})
}

// TestNegativeVectors: an answer that is not the answer is never taken for it, and the next one is.
func TestNegativeVectors(t *testing.T) {
	for name, tt := range map[string]struct {
		settings string
		say      []string // in answer to the first requests, all of which say that input 3 is on
		rejects  uint64
	}{
		"CRC swapped":                  {one, []string{"01 02 01 04 4B A0"}, 1},
		"CRC bad":                      {one, []string{"01 02 01 04 A0 4A"}, 1},
		"wrong id":                     {one, []string{"02 02 01 04 A0 0F"}, 1},
		"another function":             {one, []string{"01 01 01 04 50 4B"}, 1},
		"byte count is a lie":          {one, []string{"01 02 02 04 A0 4B"}, 0},
		"two bytes where one is right": {one, []string{"01 02 02 04 00 BB 78"}, 1},
		"truncated":                    {one, []string{"01 02 01 04"}, 0},
		"busy":                         {one, []string{"01 82 06 C0 A2"}, 0},
		"acknowledge, device failure":  {one, []string{"01 82 05 80 A3", "01 82 04 41 63"}, 0},
		"gateway's target is silent":   {one, []string{"01 82 0B 01 67"}, 0},
		"noise":                        {one, []string{"00 FF 13 77 01 02", "FE"}, 0},
		"our echo and then nothing":    {one, []string{ask1}, 0},
		"echo is changed":              {strings.Replace(one, "{", `{"echo":"on",`, 1), []string{"01 02 00 00 00 09 B8 0C"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, panel.Serial, tt.settings)
				defer r.close()
				for _, s := range tt.say {
					if got := r.request(); got != ask1 {
						t.Errorf("asked %s", got)
					}
					r.say(s)
				}
				r.request()
				want(t, r, "")
				if c := r.opt.Meter.Counts(); c.Rejects != tt.rejects {
					t.Errorf("%d rejects, want %d", c.Rejects, tt.rejects)
				}
				if strings.Contains(tt.settings, "echo") {
					r.say(ask1)
				}
				r.say(none1)
				want(t, r, calm1)
			})
		})
	}
}

// TestLateAnswer: the answer to an earlier request is dropped, when it comes before the next request and when it comes soon
// after the answer to that.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, `{"slaves":[{"address":1,"profile":"waveshare-8di","debounce":"0s"}]}`)
		defer r.close()
		r.request()
		time.Sleep(450 * time.Millisecond)
		r.say(third1)
		want(t, r, "")
		r.request()
		r.say(none1)
		want(t, r, strings.NewReplacer("201", "1-1", "202", "1-2").Replace(calm1))
		time.Sleep(250 * time.Millisecond)
		r.say(third1) // a second late one
		want(t, r, "")
		if got := r.request(); got != ask1 {
			t.Errorf("asked %s", got)
		}
		r.say(none1)
		want(t, r, "")
		if c := r.opt.Meter.Counts(); c.Frames != 2 || c.Noise != 12 {
			t.Errorf("counted %+v, want 2 frames and the 12 bytes of the late answers", c)
		}
	})
}

// TestLateAnswerOfAnother: while a slave's answer may come yet, others are asked; it is not taken for theirs.
func TestLateAnswerOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, `{"slaves":[{"address":1,"profile":"waveshare-8di"},{"address":2,"profile":"waveshare-8di"}]}`)
		defer r.close()
		r.request()
		if got := r.request(); got != "02 02 00 00 00 08 79 FF" {
			t.Errorf("asked %s after the first one's silence, want the second", got)
		}
		r.say(third1)
		r.say("02 02 01 00 A1 CC")
		want(t, r, "-slave-2/device-lost -2-1 -2-2 -2-3 -2-4 -2-5 -2-6 -2-7 -2-8")
	})
}

func TestEcho(t *testing.T) {
	for _, mode := range []string{"auto", "on"} {
		for name, pieces := range map[string][]string{"together": {ask1 + none1}, "apart": {ask1, none1}, "torn": {"01 02 00", "00 00 08 79 CC 01", "02 01 00 A1 88"}} {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, panel.Serial, strings.Replace(one, "{", `{"echo":"`+mode+`",`, 1))
				r.request()
				for _, p := range pieces {
					r.say(p)
				}
				want(t, r, calm1)
				if c := r.opt.Meter.Counts(); c.Noise != 0 || c.Rejects != 0 {
					t.Errorf("%s, %s: counted %+v", mode, name, c)
				}
				r.close()
			})
		}
	}
}

// TestEchoThatLooksLikeAnAnswer: 24 inputs from 0x0300 are asked for with the very bytes that could be an answer.
func TestEchoThatLooksLikeAnAnswer(t *testing.T) {
	req := Request{1, ReadDiscreteInputs, 0x0300, 24}
	c := collector{mode: echoAuto, echo: true}
	c.begin(req)
	if !c.ambiguous() {
		t.Fatal("the request is no possible answer: the test tests nothing")
	}
	if v := c.push(c.sent, false); v != waiting {
		t.Errorf("our own bytes are %v, want to be waited on: this line has an echo", v)
	}
	c = collector{mode: echoAuto}
	c.begin(req)
	if v := c.push(c.sent, false); v != answered {
		t.Errorf("the answer is %v on a line without echo", v)
	}
}

func TestStrayBytesAroundTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, panel.Serial, one)
		defer r.close()
		r.request()
		r.say("00") // a transceiver switches
		r.say("01 02")
		r.say(none1)
		want(t, r, calm1)
		if c := r.opt.Meter.Counts(); c.Noise != 3 || c.Rejects != 0 {
			t.Errorf("counted %+v, want 3 bytes of noise", c)
		}
	})
}
