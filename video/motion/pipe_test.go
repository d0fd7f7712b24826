package motion

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"testing"

	"sitewatch/video"
)

var (
	testSPS  = []byte{0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58}
	testHEVC = [][]byte{ // of libx265, 1920x1080
		unhex("40010c01ffff016000000300900000030000030078959009"), unhex("420101016000000300900000030000030078a003c08010e596564924caf0168080000003008000000784"), unhex("4401c172b46240")}
	testPPS = []byte{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func messages(t testing.TB) []Message {
	p, err := video.NewH264Params(testSPS, testPPS)
	if err != nil {
		t.Fatal(err)
	}
	h265, err := video.NewH265Params(testHEVC[0], testHEVC[1], testHEVC[2])
	if err != nil {
		t.Fatal(err)
	}
	return []Message{
		&Ready{Version: Version, Build: "devel"},
		&OpenCamera{Camera: "stockroom", Params: p},
		&OpenCamera{Camera: "stockroom", Params: h265},
		&Setup{Camera: "stockroom", Grade: Alert, Options: ModelOptions{Sensitivity: 1.5, MinSize: 0.01, Areas: []Area{
			{Points: []Point{{0, 0}, {65535, 0}, {65535, 65535}}}, {Mask: true, Points: []Point{{1, 2}, {3, 4}, {5, 6}}}}}},
		&Hint{Camera: "stockroom"},
		&Recall{Camera: "stockroom", Trouble: Covered, Usual: []byte{1, 2}},
		&Unit{Camera: "stockroom", Number: 9, PTS: -90000, Keyframe: true, Data: []byte{0, 0, 0, 1, 0x65}},
		&Unit{Camera: "stockroom", Number: 10, PTS: 1, Lost: true, Data: []byte{0, 0, 0, 1, 0x41}},
		&StillRequest{ID: 7, Params: p, Data: []byte{1, 2, 3}},
		&Motion{Camera: "stockroom", State: Keep, PTS: 1 << 40, At: 1<<40 + 1, Box: Box{1, 2, 3, 4}, Where: 1 << 63, Why: "something moved"},
		&Scene{Camera: "stockroom", Trouble: Moved, State: End, PTS: 5, Why: "as before", Usual: []byte{3}},
		&Hand{Number: 1 << 31},
		&HandStill{ID: 8},
		&Done{},
		&Tally{Camera: "stockroom", Units: 3, Decoded: 2, Damaged: 1, Awake: true},
		&StillReply{ID: 7, OK: true, Data: []byte{0xff, 0xd8}},
	}
}

func TestMessagesComeThrough(t *testing.T) {
	var b []byte
	for _, m := range messages(t) {
		b = AppendMessage(b, m)
	}
	r := bytes.NewReader(b)
	for _, want := range messages(t) {
		got, err := ReadMessage(r)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if _, err := ReadMessage(r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: got %v, want EOF", err)
	}
}

func TestBadMessages(t *testing.T) {
	for name, b := range map[string][]byte{
		"no length":            {0, 0, 0, 0, 0x81},
		"far too long":         {0xff, 0, 0, 0, 0x81},
		"unknown type":         {0, 0, 0, 1, 0x55},
		"cut short":            {0, 0, 0, 9, 0x81, 0},
		"a field too many":     {0, 0, 0, 5, 0x81, 0, 1, 0, 9},
		"a field too few":      {0, 0, 0, 2, 0x81, 0},
		"a string too long":    {0, 0, 0, 4, 0x81, 0, 1, 9},
		"bytes too long":       {0, 0, 0, 10, 0x83, 0, 0, 0, 1, 1, 0xff, 0xff, 0xff, 0xff},
		"a state of its own":   AppendMessage(nil, &Motion{Camera: "a", State: 9}),
		"a grade of its own":   AppendMessage(nil, &Setup{Camera: "a", Grade: 7}),
		"a trouble of its own": AppendMessage(nil, &Scene{Camera: "a", Trouble: 9, State: Start}),
		"recalls what is none": AppendMessage(nil, &Recall{Camera: "a", Trouble: 9}),
		"recalls too much":     AppendMessage(nil, &Recall{Camera: "a", Trouble: Covered, Usual: make([]byte, maxUsualBytes+1)}),
		"too many areas":       append([]byte{0, 0, 0, 9, 0x04, 1, 'a', 1, 0, 100, 0, 0}, 17),
		"no parameters":        AppendMessage(nil, &OpenCamera{Camera: "a"}),
		"rubbish parameters":   AppendMessage(nil, &OpenCamera{Camera: "a", Params: video.Params{Codec: video.H264, SPS: []byte{0x67, 0xff, 0xff, 0xff, 0xff, 0xff}, PPS: testPPS}}),
	} {
		if m, err := ReadMessage(bytes.NewReader(b)); !errors.Is(err, ErrPipe) {
			t.Errorf("%s: got %+v, %v, want ErrPipe", name, m, err)
		}
	}
}

func FuzzReadMessage(f *testing.F) {
	for _, m := range messages(f) {
		f.Add(AppendMessage(nil, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := ReadMessage(bytes.NewReader(AppendMessage(nil, m)))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("got %+v, %v, want %+v", again, err, m)
		}
	})
}
