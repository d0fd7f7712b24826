// Package osdp is the control panel (ACU) of an OSDP v2 bus (IEC 60839-11-5, SIA OSDP 2.2): it polls the devices on one
// RS-485 line for their inputs, tamper and power, through a secure channel with a key of each device's own.
//
// It asks and never commands: no output, LED, buzzer or address is ever written. The one thing that it changes in a device
// is the key, from the factory's to the device's own, inside the install window. Keys, cards and codes are never logged.
// frame.go, secure.go and points.go are pure; a session is used by one goroutine and starts only the reader that it waits for.
package osdp

import (
	"crypto/rand"
	"io"
	"time"

	"sitewatch/drivers/panel"
)

// Driver is OSDP's place in the list of drivers.
var Driver = newDriver(rand.Reader)

// newDriver makes the driver; random is where challenges come from.
func newDriver(random io.Reader) panel.Driver {
	return panel.Driver{
		Name:    "osdp",
		Title:   "OSDP v2 devices: inputs, staff buttons and readers on RS-485, with secure channel",
		Ports:   []panel.PortKind{panel.Serial, panel.TCPDial},
		Line:    panel.LineFormat{Baud: defaultBaud, Format: "8N1"},
		Polls:   true,
		Silence: 30 * time.Second,
		Mask:    mask,
		New: func(s *panel.Settings, o panel.SessionOptions) panel.Session {
			return newSession(readSettings(s), o, random)
		},
	}
}

const defaultBaud = 9600
