// Package galaxy reads Honeywell Galaxy intruder panels through their SIA module: SIA DC-03 blocks (levels 0 to 4) on a serial
// line or over TCP from the Ethernet module.
//
// It receives, and at level 4 it may ask how groups and zones are: there is no code here that sets, unsets, omits or resets anything
// (P11), and query.go can make no block that does. frame.go, message.go and query.go are pure; a Session is used by one goroutine
// and starts only the reader that it waits for.
package galaxy

import (
	"sitewatch/drivers/panel"
)

// Driver is the Galaxy's place in the list of drivers.
var Driver = panel.Driver{
	Name:  "galaxy-sia",
	Title: "Honeywell Galaxy (G2, G3, Dimension, Flex), SIA blocks from the RS232 or Ethernet module",
	Ports: []panel.PortKind{panel.Serial, panel.TCPListen, panel.TCPDial},
	Line:  panel.LineFormat{Baud: 9600, Format: "8N1"},
	Mask:  mask,
	New:   newSession,
}

// AckForm is how blocks are acknowledged and refused.
type AckForm string

const (
	// Plain asks for nothing back. An acknowledgement that itself asks for one made a panel answer with garbage.
	Plain  AckForm = "plain"
	AckReq AckForm = "ackreq" // as some TCP receivers do
	Alt    AckForm = "alt"    // the alternate function codes 08 and 09
)

func (f AckForm) frames() (ack, reject Frame) {
	switch f {
	case AckReq:
		return Frame{Header: wantsAck, FC: FCAck}, Frame{Header: wantsAck, FC: FCReject}
	case Alt:
		return Frame{FC: FCAltAck}, Frame{FC: FCAltReject}
	}
	return Frame{FC: FCAck}, Frame{FC: FCReject}
}
