package galaxy

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"sitewatch/drivers/paneltest"
	"sitewatch/edge"
)

// TestMangledLine: the panel waits 2.5 s for an acknowledgement, tries four times, then buffers and comes back with O blocks.
func TestMangledLine(t *testing.T) {
	paneltest.Mangle(t, paneltest.Mangled{
		Driver: Driver,
		Says:   []string{"BA 1011", "FA 1024", "HA 1013", "BR 1011", "TA 2011", "PA 1014"},
		Name: func(s edge.Signal) string {
			if s.Kind == edge.KindAmended {
				return ""
			}
			return s.Code + " " + string(s.Zone)
		},
		Talk:   talk,
		Fooled: fooled,
	})
}

func talk(c *paneltest.Cable, says []string) (acked []string) {
	for i, name := range says {
		old := false
		for range 10 {
			if tell(c, FCAccount, "012345") {
				fc := FCEvent
				if old {
					fc = FCOldEvent
				}
				data := "ti11:4" + string(rune('0'+i)) + "/ri001/" + strings.ReplaceAll(name, " ", "")
				if tell(c, fc, data) {
					acked = append(acked, name)
					tell(c, FCText, " TEXT OF IT      ZONE "+name[3:])
					break
				}
			}
			old = true
			c.Pause(3 * time.Second)
		}
	}
	return acked
}

// tell sends a block up to four times and says whether it was acknowledged.
func tell(c *paneltest.Cable, fc FC, data string) bool {
	b, err := Frame{Header: wantsAck, FC: fc, Data: []byte(data)}.AppendBinary(nil)
	if err != nil {
		return false
	}
	for range 4 {
		c.Discard()
		c.Send(b)
		if answer(c) == FCAck {
			return true
		}
		c.Pause(100 * time.Millisecond)
	}
	return false
}

// answer is the panel's receiver: the first block in what comes within its patience.
func answer(c *paneltest.Cable) FC {
	var buf []byte
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); {
		buf = append(buf, c.Hear(time.Until(end))...)
		for len(buf) > 0 {
			f, n, err := Decode(buf)
			if err == ErrShort {
				break
			}
			if buf = buf[n:]; err == nil && answers(f.FC) {
				return f.FC
			}
		}
	}
	return 0
}

// fooled says whether there is a block in what came that was not in what was sent.
func fooled(sent, came []byte) bool {
	for at := range came {
		if _, n, err := Decode(came[at:]); err == nil && !bytes.Contains(sent, came[at:at+n]) {
			return true
		}
	}
	return false
}
