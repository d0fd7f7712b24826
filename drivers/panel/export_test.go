package panel

import "context"

// OpenWith makes the line use another way to open its serial port.
func (l *Line) OpenWith(open func(context.Context) (Port, error)) { l.tty = open }
