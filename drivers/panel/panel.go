// Package panel is the contract between panels' drivers and the rest of the box, and what all drivers need around their
// protocol: ports, settings, transcripts, and the Line that opens a port, runs sessions on it and says when the panel is lost.
//
// A driver is a value of type Driver; drivers.All lists them. A driver knows its protocol and nothing else: it opens no
// port, keeps no file, decides nothing about what a signal means at the SOC. Every Session is used by one goroutine.
// README.md beside the drivers shows how to add one.
package panel

import (
	"context"
	"io"
	"log/slog"
	"time"

	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

// Driver is one kind of panel. It is a value without state: New makes the state, once per opened port.
type Driver struct {
	Name  string     // as in the configuration: "galaxy-sia"
	Title string     // for people: make, protocol
	Ports []PortKind // what it can be connected through
	Line  LineFormat // of a serial port when the settings say nothing

	// Polls: the box asks and the panel only answers, so that bytes go out without any having come in.
	Polls bool
	// Silence is how long no good frame may come before the panel is lost, when the settings say nothing; 0: for ever.
	Silence time.Duration
	// Busy is what a session may say instead of nothing when a signal cannot be stored, in a protocol that has a word for it.
	Busy []byte

	// Mask returns a message as it goes over the line, or what has come in one piece, without its secrets: login codes, keys, card
	// numbers. It is for captures. nil: the protocol has none.
	Mask func(b []byte) []byte

	// New makes a session and starts nothing. It reads all its settings from s, which collects what is wrong with them:
	// Check calls New for that alone, with options that are zero.
	New func(s *Settings, o SessionOptions) Session
}

// LineFormat is how a serial line is set.
type LineFormat struct {
	Baud   int
	Format rs485.Format
}

// SessionOptions is what a session gets from its line.
type SessionOptions struct {
	Panel    edge.PanelID
	Clock    edge.Clock
	Location *time.Location // of the site: panels tell local time
	Log      *slog.Logger
	Meter    *Meter
	Port     PortKind // what Run's port is
	Baud     int      // of a serial port
}

// Session is the conversation with one panel over one opened port.
type Session interface {
	// Run talks until ctx ends or the port fails, and returns why. It may close port; everything it started has ended when
	// it returns. It acknowledges a frame to the panel only after sink.Signal returned nil, i.e. when it is on disk (P1);
	// when that takes longer than the panel waits it sends no acknowledgement, for the panel will repeat the frame.
	// No bytes from the port may make it panic or grow (P6). An error that wraps ErrNotUnderstood says that the panel is
	// there but that its alarms cannot be read.
	Run(ctx context.Context, port Port, sink Sink) error
}

// Port is an opened line to the panel. Read blocks until there is at least one byte; Close ends a Read under way.
// Read may return rs485.ErrBadByte with n > 0: the last of the n bytes was damaged, reading may go on.
type Port = io.ReadWriteCloser

// Sink takes what the panel says. It is safe for use by several goroutines.
type Sink interface {
	// Signal returns nil when all of sigs are on disk (or were there already, when the panel repeats itself), in one
	// transaction. Only then may the driver acknowledge them.
	Signal(ctx context.Context, sigs ...edge.Signal) error
	// Settle says that another frame has come since the last signal, so that our acknowledgement of it is known to have
	// arrived: a later identical frame is then news, not a repeat.
	Settle(ctx context.Context) error
}

// ErrNotUnderstood is wrapped by a session's error when bytes arrive but alarms cannot be read from them: an encrypted
// session, a wrong protocol. The line reports the panel as lost until a good frame comes.
var ErrNotUnderstood = errNotUnderstood{}

type errNotUnderstood struct{}

func (errNotUnderstood) Error() string {
	return "the panel is connected, but what it sends cannot be read"
}
