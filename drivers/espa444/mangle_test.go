package espa444

import (
	"bytes"
	"testing"
	"time"

	"sitewatch/drivers/paneltest"
	"sitewatch/edge"
)

// TestMangledLine: the panel selects us, sends a block three times at most, and comes back with it in its next turn.
func TestMangledLine(t *testing.T) {
	const ack, eot = 0x06, 0x04
	text := func(name string) []byte {
		b := append([]byte{0x01, '1', 0x02, '1', 0x1F, '1', 0x1E, '2', 0x1F}, name...)
		b = append(b, 0x1E, '4', 0x1F, '3', 0x1E, '6', 0x1F, '1', 0x03)
		bcc := byte(0)
		for _, c := range b[1:] {
			bcc ^= c
		}
		return append(b, bcc)
	}
	answer := func(c *paneltest.Cable) (last byte) { // the last byte of what comes: the digit before a NAK is no answer
		for _, b := range c.Hear(2 * time.Second) {
			last = b
		}
		return last
	}
	paneltest.Mangle(t, paneltest.Mangled{
		Driver:   Driver,
		Settings: map[string]any{"rules": []any{map[string]any{"match": "FIRE ZONE (?P<zone>[0-9]+)", "kind": "fire"}}},
		Says:     []string{"FIRE ZONE 1 STOCK ROOM", "FIRE ZONE 2 OFFICE", "FIRE ZONE 3 TILLS", "FIRE ZONE 4 YARD"},
		Name:     func(s edge.Signal) string { return s.Text },
		Talk: func(c *paneltest.Cable, says []string) (acked []string) {
			for _, name := range says {
				done := false
				for turn := 0; turn < 20 && !done; turn++ {
					c.Discard()
					c.Send([]byte{'1', 0x05, '2', 0x05})
					if answer(c) == ack {
						for try := 0; try < 3 && !done; try++ {
							c.Pause(100 * time.Millisecond)
							c.Discard()
							c.Send(text(name))
							done = answer(c) == ack
						}
					}
					c.Send([]byte{eot})
					c.Pause(time.Second)
				}
				if done {
					acked = append(acked, name)
				}
			}
			return acked
		},
		// An answer is one character and has no check: another one in its place, or beside it, is another answer.
		Fooled: func(sent, came []byte) bool {
			if len(sent) <= 2 {
				return !bytes.Equal(sent, came)
			}
			for i := range came {
				came[i] &= 0x7F // as the driver sees it
			}
			for at := range came {
				if _, n, err := Decode(came[at:]); err == nil && !bytes.Contains(sent, came[at:at+n]) {
					return true
				}
			}
			return false
		},
	})
}
