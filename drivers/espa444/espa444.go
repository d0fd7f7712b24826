// Package espa444 is a station on an ESPA 4.4.4 line (proposal of 1984, "for serial data interface"): the paging system that
// fire panels, nurse calls and telephone exchanges send their messages to. The panel polls, selects us and sends a block; we
// store what it says and only then acknowledge. Meaning sits in free text, so each site has rules for it.
//
// It only receives: it never takes a turn on the line, and there is no code here that silences or resets a panel (P11).
// frame.go, collect.go, turn.go, message.go and rules.go are pure; a Session is used by one goroutine and starts only the
// reader that it waits for. README.md is for installers.
package espa444

import (
	"time"

	"sitewatch/drivers/panel"
)

// Driver is the ESPA station's place in the list of drivers.
var Driver = panel.Driver{
	Name:  "espa444",
	Title: "ESPA 4.4.4 paging output of fire panels and nurse calls",
	Ports: []panel.PortKind{panel.Serial, panel.TCPDial, panel.TCPListen},
	Line:  panel.LineFormat{Baud: 9600, Format: "7E2"}, // the standard's own character
	// Panels poll every 0.5 to 5 s. The 120 s and 240 s that paging systems wait are too long for fire.
	Silence: 30 * time.Second,
	// A full queue is said with a word of its own: the panel then keeps the message.
	Busy: []byte{'2', NAK},
	New:  newSession,
}
