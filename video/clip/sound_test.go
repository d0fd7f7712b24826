package clip

import (
	"strconv"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// Sound that is not as it should be never costs a picture, and the clip says what is missing.
func TestSoundThatIsNotAsItShouldBe(t *testing.T) {
	all := encoded(t, args(picture, tone, x264, aac)...)
	pictures := encoded(t, args(picture, x264)...)
	other, err := video.NewAudioParams(video.Opus, 48000, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	const sec = time.Second
	// with returns all pieces, sound changed by f, which says whether it is there.
	with := func(f func(at time.Duration, u *video.AccessUnit) bool) (out []piece) {
		for _, p := range all {
			if p.u.Audio == nil || f(p.u.Arrival.Mono, &p.u) {
				out = append(out, p)
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		pieces   []piece
		from, to float64 // of the sound in the clip; 0: none
		gap      bool
		reason   string
	}{
		"stops":                        {with(func(at time.Duration, _ *video.AccessUnit) bool { return at < 10*sec }), 0.05, 5.95, false, ""},
		"is missing for three seconds": {with(func(at time.Duration, _ *video.AccessUnit) bool { return at < 7*sec || at > 10*sec }), 0.05, 10.95, true, ""},
		"begins before the pictures":   {with(func(time.Duration, *video.AccessUnit) bool { return true }), 0.05, 10.95, false, ""},
		"begins too late":              {with(func(at time.Duration, _ *video.AccessUnit) bool { return at > 10*sec }), 0, 0, false, "the sound begins too late to be kept"},
		"changes": {with(func(at time.Duration, u *video.AccessUnit) bool {
			if at > 10*sec {
				u.Audio = other
			}
			return true
		}), 0.05, 5.95, false, "the sound changed from AAC of 16000 Hz to Opus of 48000 Hz and is left out from there"},
		"is empty": {with(func(at time.Duration, u *video.AccessUnit) bool {
			if at > 9*sec && at < 10*sec {
				u.Data = nil
			}
			return true
		}), 0.05, 10.95, true, "some sound is broken and left out"},
		"is far too long": {with(func(at time.Duration, u *video.AccessUnit) bool {
			if at > 9*sec && at < 10*sec {
				u.Data = make([]byte, video.MaxAudioBytes+1)
			}
			return true
		}), 0.05, 10.95, true, "some sound is broken and left out"},
		"has a clock that jumps an hour back": {with(func(at time.Duration, u *video.AccessUnit) bool {
			if at > 9*sec && at < 10*sec {
				u.PTS -= 3600 * video.Second
			}
			return true
		}), 0.05, 10.95, true, ""},
		"is a flood of one moment": {func() []piece {
			pcm, err := video.NewAudioParams(video.PCMU, 8000, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			out := pictures
			for i := range 5000 {
				at := 5100*time.Millisecond + time.Duration(i)
				out = append(out, piece{video.AccessUnit{Data: make([]byte, 1000), PTS: video.TicksOf(at) + video.Ticks90k(i)*video.Second/8, Arrival: arrival(at), Audio: pcm}, pictures[0].p})
			}
			return inOrder(out)
		}(), 0.1, 10.2, true, "some sound is of another time and left out"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fact, path := cutPieces(t, c.pieces)
			if fact.Reason != c.reason {
				t.Errorf("reason %q, want %q", fact.Reason, c.reason)
			}
			got := tracks(t, path)
			if v := got["video"]; v.Packets < 100 || v.Packets > 112 || v.Frames != strconv.Itoa(v.Packets) {
				t.Errorf("pictures: %v, %s decoded, want all", v, v.Frames)
			}
			a := got["audio"]
			if (a != nil) != (c.to > 0) || (fact.Audio != "") != (c.to > 0) {
				t.Fatalf("sound %v, fact %q, want it: %v", a, fact.Audio, c.to > 0)
			}
			if a != nil && (!near(a.Start, c.from, 0.1) || !near(a.End, c.to, 0.15) || c.gap != (a.Packets < int((a.End-a.Start)*16000/1024)-10)) {
				t.Errorf("sound %v, want %v to %v, with a gap: %v", a, c.from, c.to, c.gap)
			}
		})
	}
}

// A camera that somebody sets up anew in the middle of an alarm.
func TestPicturesThatChangeInTheMiddle(t *testing.T) {
	first := between(encoded(t, args(picture, x265)...), 0, 10*time.Second)
	larger := []string{"-f", "lavfi", "-i", "testsrc=size=320x240:rate=10"}
	for name, c := range map[string]struct {
		args   []string
		reason string
		n      int
	}{
		"another size":  {args(larger, x265), "", 100},
		"another codec": {args(larger, x264), "cut short: the camera changed from H.265 to H.264", 50},
	} {
		t.Run(name, func(t *testing.T) {
			pieces := append(append([]piece{}, first...), between(encoded(t, c.args...), 10*time.Second, time.Hour)...)
			fact, path := cutPieces(t, pieces)
			if fact.Reason != c.reason {
				t.Errorf("reason %q, want %q", fact.Reason, c.reason)
			}
			if v := tracks(t, path)["video"]; v.Packets < c.n || v.Packets > c.n+11 || v.Frames != strconv.Itoa(v.Packets) || v.Codec != "hevc" {
				t.Errorf("%v, %s decoded, want all of %d", v, v.Frames, c.n)
			}
		})
	}
}

// What is known to be missing is in the fact.
func TestLostPacketsAreCounted(t *testing.T) {
	pieces := encoded(t, args(picture, x264)...)
	for i := range pieces {
		if at := pieces[i].u.Arrival.Mono; at == 8*time.Second || at == 9*time.Second || at == 2*time.Second {
			pieces[i].u.Lost = 3
		}
	}
	fact, _ := cutPieces(t, pieces)
	if fact.Lost != 6 {
		t.Errorf("%d packets lost, want 6 of the clip's span", fact.Lost)
	}
	if fact.From.After(wall0.Add(5*time.Second)) || fact.From == (edge.Stamp{}).Wall {
		t.Errorf("begins at %v", fact.From)
	}
}
