// Package modbus reads volt-free contacts and fire panels through Modbus: RTU on a serial line or through a device server
// (tcp://), and Modbus TCP (modbus-tcp://). Specifications: Modbus over Serial Line V1.02, Modbus Application Protocol V1.1b3.
//
// It asks and never tells: functions 01 to 04 are all that it can encode (P11). What an answer means is data, in profiles/.
// github.com/simonvetter/modbus opens its ports itself and shows neither raw frames nor arrivals: the master here is ours.
// frame.go, reading.go and point.go are pure; a session is used by one goroutine and starts only the reader that it waits for.
package modbus

import (
	"time"

	"sitewatch/drivers/panel"
)

// Driver is Modbus' place in the list of drivers.
var Driver = panel.Driver{
	Name:    "modbus",
	Title:   "Modbus contact modules and fire panels (RTU, RTU over TCP, Modbus TCP)",
	Ports:   []panel.PortKind{panel.Serial, panel.TCPDial, panel.ModbusTCP},
	Line:    panel.LineFormat{Baud: usualBaud, Format: "8N1"},
	Polls:   true,
	Silence: 30 * time.Second,
	New:     func(s *panel.Settings, o panel.SessionOptions) panel.Session { return newSession(s, o) },
}
