package main

import (
	"bufio"
	"bytes"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/motion"
	"sitewatch/video/rtsptest"
)

// keyframe encodes one test picture.
func keyframe(t testing.TB, width, height int) (u video.AccessUnit, p video.Params) {
	t.Helper()
	err := rtsptest.Encode(t.Context(), nil, rtsptest.TestPicture(width, height, 1, 1, 1), func(nalus [][]byte) error {
		var sps, pps []byte
		var err error
		if u, sps, pps, err = video.NewH264Unit(nalus, 0, edge.Stamp{}); err != nil {
			return err
		}
		p, err = video.NewH264Params(sps, pps)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return u, p
}

// ffmpeg's test picture has black and white in it.
func TestStillHasTheRightColours(t *testing.T) {
	u, p := keyframe(t, 640, 360)
	b, err := still(p, u.Data)
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	darkest, brightest := 255, 0
	for y := range 360 {
		for x := range 640 {
			r, g, b, _ := img.At(x, y).RGBA()
			sum := int(r>>8+g>>8+b>>8) / 3
			darkest, brightest = min(darkest, sum), max(brightest, sum)
		}
	}
	if darkest > 6 || brightest < 249 {
		t.Errorf("brightness goes from %d to %d, want black and white", darkest, brightest)
	}
}

func TestHostilePictures(t *testing.T) {
	u, p := keyframe(t, 320, 240)
	dec, err := newDecoder(p, true)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.close()
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		b := bytes.Clone(u.Data)
		for range 1 + rnd.IntN(20) {
			b[4+rnd.IntN(len(b)-4)] = byte(rnd.Uint32())
		}
		dec.key(b[:1+rnd.IntN(len(b))])
	}
	pic, err := dec.key(u.Data)
	if err != nil || pic.damaged() {
		t.Errorf("after hostile pictures a good one: %v", err)
	}
	if _, err := dec.key(nil); err == nil {
		t.Error("decoded nothing at all")
	}
}

func TestConversation(t *testing.T) {
	u, p := keyframe(t, 320, 240)
	in := motion.AppendMessage(nil, &motion.OpenCamera{Camera: "a", Params: p})
	in = motion.AppendMessage(in, &motion.Unit{Camera: "a", Keyframe: true, Data: u.Data})
	in = motion.AppendMessage(in, &motion.Unit{Camera: "never opened", Keyframe: true, Data: u.Data})
	in = motion.AppendMessage(in, &motion.Unit{Camera: "a", Keyframe: true, Data: []byte{0, 0, 0, 1, 0x65}})
	in = motion.AppendMessage(in, &motion.StillRequest{ID: 5, Params: p, Data: u.Data})
	in = motion.AppendMessage(in, &motion.StillRequest{ID: 6, Params: p, Data: []byte{0, 0, 0, 1, 0x65}})
	var out bytes.Buffer
	ended := false
	if err := run(bytes.NewReader(in), &out, "test", func() { ended = true }); err != nil || !ended {
		t.Fatalf("got %v, ended %v", err, ended)
	}
	var got []motion.Message
	for {
		m, err := motion.ReadMessage(&out)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	checkHands(t, got)
	got = slices.DeleteFunc(got, func(m motion.Message) bool { // what it says of its work
		switch m.(type) {
		case *motion.Hand, *motion.HandStill, *motion.Done, *motion.Tally:
			return true
		}
		return false
	})
	if len(got) != 3 {
		t.Fatalf("got %d messages, want Ready and two stills", len(got))
	}
	if r := got[1].(*motion.StillReply); r.ID != 5 || !r.OK || len(r.Data) < 1000 {
		t.Errorf("got still %d, ok %v, %d bytes", r.ID, r.OK, len(r.Data))
	}
	if r := got[2].(*motion.StillReply); r.ID != 6 || r.OK {
		t.Errorf("got still %d, ok %v of a broken picture", r.ID, r.OK)
	}
	wrong := motion.AppendMessage(nil, &motion.Ready{Version: 1})
	if err := run(bytes.NewReader(wrong), io.Discard, "test", func() {}); err == nil {
		t.Error("the eye took a message that is its own to send")
	}
}

// checkHands wants each thing that was in hand put down before the next message is answered.
func checkHands(t *testing.T, got []motion.Message) {
	t.Helper()
	done, units, stills := true, 0, []uint32{}
	for _, m := range got {
		switch m := m.(type) {
		case *motion.Hand:
			done = false
			units++
		case *motion.HandStill:
			done = false
			stills = append(stills, m.ID)
		case *motion.StillReply:
			if done || stills[len(stills)-1] != m.ID {
				t.Errorf("still %d was not in hand when it was answered", m.ID)
			}
		case *motion.Done:
			if done {
				t.Error("done with nothing")
			}
			done = true
		}
	}
	if !done || units != 3 || !slices.Equal(stills, []uint32{5, 6}) {
		t.Errorf("%d units and the stills %v were in hand, done %v; want 2 and the first one's parameters, 5 and 6, and all put down", units, stills, done)
	}
}

// A decoder parses a camera's parameters when it is opened: if that ends the eye, the gateway must know whose they were.
func TestParametersAreInHandWhenTheyAreParsed(t *testing.T) {
	u, p := keyframe(t, 320, 240)
	p.Codec = 0 // which is refused, before anything can be decoded
	var out bytes.Buffer
	e := &eye{out: bufio.NewWriter(&out), cameras: map[edge.CameraID]*watched{}}
	defer e.close()
	for _, m := range []motion.Message{&motion.OpenCamera{Camera: "a", Params: p}, &motion.Unit{Camera: "a", Number: 7, Keyframe: true, Data: u.Data}} {
		if err := e.handle(m); err != nil {
			t.Fatal(err)
		}
	}
	hand, err := motion.ReadMessage(&out)
	if h, ok := hand.(*motion.Hand); err != nil || !ok || h.Number != 7 {
		t.Errorf("got %+v, %v, want the unit in hand", hand, err)
	}
	done, err := motion.ReadMessage(&out)
	if _, ok := done.(*motion.Done); err != nil || !ok {
		t.Errorf("got %T, %v, want it put down", done, err)
	}
}

func BenchmarkKeyframe640x360(b *testing.B) { benchmarkKeyframe(b, 640, 360) }
func BenchmarkKeyframe1080p(b *testing.B)   { benchmarkKeyframe(b, 1920, 1080) }

func benchmarkKeyframe(b *testing.B, width, height int) {
	u, p := keyframe(b, width, height)
	dec, err := newDecoder(p, true)
	if err != nil {
		b.Fatal(err)
	}
	defer dec.close()
	b.ReportAllocs()
	for b.Loop() {
		pic, err := dec.key(u.Data)
		if err != nil {
			b.Fatal(err)
		}
		dec.shrink(pic)
	}
}
