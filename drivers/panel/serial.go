package panel

import (
	"context"
	"errors"
	"net"
	"os"

	"sitewatch/drivers/rs485"
	"sitewatch/edge"
)

func (l *Line) openSerial(context.Context) (Port, error) {
	p, err := rs485.Open(l.spec.Address, l.set.serial)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, edge.WithHint(err, "plug the adapter in, or correct the panel's port in the configuration")
	case errors.Is(err, os.ErrPermission):
		return nil, edge.WithHint(err, "let the gateway's user use it: group dialout")
	case errors.Is(err, rs485.ErrBusy):
		return nil, edge.WithHint(err, "stop the other program that uses it, or correct the port of one of the panels")
	case err != nil:
		return nil, err
	}
	return p, nil
}

func (l *Line) dial(ctx context.Context) (Port, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	c, err := d.DialContext(ctx, "tcp", l.spec.Address)
	if err != nil {
		return nil, err
	}
	return &tcpPort{Conn: c}, nil
}
