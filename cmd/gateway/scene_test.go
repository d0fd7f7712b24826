package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
	"sitewatch/video/motion"
)

// What was wrong with a picture when the gateway stopped: it stands when the eye can go on with it, otherwise nobody could ever end it.
func TestSceneAfterARestart(t *testing.T) {
	at := func(s float64) edge.Stamp {
		return edge.Stamp{Boot: "b", Mono: time.Duration(s * float64(time.Second))}
	}
	for _, row := range []struct {
		name        string
		told, kept  bool
		onvif       string
		first, last string // news after a minute, and a minute after the eye has said that it is over
	}{
		{"the eye goes on with it", true, true, "", "[]", "[camera-covered-restored]"},
		{"nothing is kept", true, false, "", "[camera-covered-restored]", "[]"},
		{"it is over already", false, true, "", "[]", "[]"},
		{"the eye goes on with it, of a camera that is asked itself", true, true, "http://door", "[]", "[camera-covered-restored]"},
		{"the camera itself may have said so", true, false, "http://door", "[]", "[camera-covered-restored]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := unwillingCamera(t, &unwilling{})
			c.ONVIF = row.onvif
			if row.told {
				c.box.losses = map[journal.Loss]bool{{Kind: edge.KindCameraCovered, Subject: "door"}: true}
			}
			dir := t.TempDir()
			if row.kept {
				b := motion.AppendMessage(nil, &motion.Recall{Camera: "door", Trouble: motion.Covered, Usual: []byte{1}})
				if err := os.WriteFile(filepath.Join(dir, "door.usual"), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c.box.clock = clockAt(at(0))
			c.box.eye = motion.NewPool(motion.Options{Clock: c.box.clock, Log: c.box.log, Usual: dir}, []edge.CameraID{"door"})
			if err := c.box.eye.Recall(c.box.stands); err != nil {
				t.Fatal(err)
			}
			s := newScene(c)
			news := func(sec float64) string {
				out := []edge.Kind{}
				ns, _ := s.tamper.due(at(sec))
				for _, n := range ns {
					out = append(out, n.kind)
				}
				return fmt.Sprint(out)
			}
			if got := news(60); got != row.first {
				t.Errorf("after a minute: got %s, want %s", got, row.first)
			}
			s.see(motion.SceneChange{Trouble: motion.Covered, Over: true, At: at(61)})
			if got := news(120); got != row.last {
				t.Errorf("when the eye says that it is over: got %s, want %s", got, row.last)
			}
		})
	}
}

// clockAt is a clock that stands.
type clockAt edge.Stamp

func (c clockAt) Now() edge.Stamp { return edge.Stamp(c) }
