package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

const (
	connectTimeout = 10 * time.Second
	lookupTimeout  = 3 * time.Second
	keepaliveTime  = 10 * time.Second

	tosEvents = 46 << 2 // EF (RFC 3246)
	tosBulk   = 8 << 2  // CS1, lower than best effort (RFC 3662)
)

type dialer = func(ctx context.Context, addr string) (net.Conn, error)

// dial makes a connection to the SOC for one session. gRPC's own reconnecting is never used: a session that breaks is
// closed and a new one begins, so that there is one place that knows whether we are connected.
func dial(addr string, creds credentials.TransportCredentials, how dialer) (*grpc.ClientConn, error) {
	if how == nil {
		how = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", addr)
		}
	}
	return grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(how), // also keeps gRPC from asking the environment for a proxy
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(wire.MaxMessageBytes), grpc.MaxCallSendMsgSize(wire.MaxMessageBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTime, PermitWithoutStream: true}),
	)
}

// dialer makes the sockets of a path with their DSCP mark, and leaves the last reason why there is none in failed: gRPC
// would wrap it in words of its own.
func (p *path) dialer(o Options, tos int, failed *atomic.Pointer[error]) dialer {
	how := o.Dial
	if how == nil {
		how = func(ctx context.Context, addr string) (net.Conn, error) { return p.connect(ctx, addr, tos) }
	}
	return func(ctx context.Context, addr string) (net.Conn, error) {
		conn, err := how(ctx, addr)
		if err != nil {
			failed.Store(&err)
		}
		return conn, err
	}
}

func (p *path) connect(ctx context.Context, addr string, tos int) (net.Conn, error) {
	if err := p.present(); err != nil {
		return nil, err
	}
	d := net.Dialer{
		Timeout:         connectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepaliveTime, Interval: keepaliveTime / 2, Count: missed},
		Control:         p.control(tos),
	}
	if len(p.SOC) > 1 {
		d.Timeout /= 2 // the next address may be better
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ips, err := p.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		var conn net.Conn
		if conn, err = d.DialContext(ctx, "tcp", net.JoinHostPort(ip, port)); err == nil {
			p.known.keep(host, ip)
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// present says in plain words why a path without its network interface cannot be.
func (p *path) present() error {
	if p.Interface == "" {
		return nil
	}
	i, err := net.InterfaceByName(p.Interface)
	if err != nil {
		return edge.WithHint(fmt.Errorf("network interface %s does not exist", p.Interface), "`ip link` lists those that do; is the modem plugged in?")
	}
	if i.Flags&net.FlagUp == 0 {
		return fmt.Errorf("network interface %s is down", p.Interface)
	}
	return nil
}

// control prepares a socket before it connects.
func (p *path) control(tos int) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			if p.Interface != "" {
				if err = unix.BindToDevice(int(fd), p.Interface); err != nil {
					err = fmt.Errorf("take network interface %s: %w", p.Interface, err)
					return
				}
			}
			// A mark is a wish: where it is refused the bytes go all the same. A write that nobody acknowledges ends the
			// connection long before TCP itself would give up.
			if network == "tcp6" {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos)
			} else if network == "tcp4" {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, tos)
			}
			if network == "tcp4" || network == "tcp6" {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(2*keepaliveTime/time.Millisecond))
			}
		})
		return errors.Join(cerr, err)
	}
}

// lookup finds the addresses of host: by the path's own interface first, since the name servers of another path may be gone
// with it, then by whatever route there is, and then what was good before.
func (p *path) lookup(ctx context.Context, host string) (ips []string, err error) {
	resolvers := []*net.Resolver{net.DefaultResolver}
	if p.Interface != "" {
		bound := net.Dialer{Control: p.control(0)}
		resolvers = append([]*net.Resolver{{PreferGo: true, Dial: bound.DialContext}}, resolvers...)
	}
	for _, r := range resolvers {
		lctx, cancel := context.WithTimeout(ctx, lookupTimeout)
		ips, err = r.LookupHost(lctx, host)
		cancel()
		if err == nil {
			return ips, nil
		}
	}
	if ip := p.known.get(host); ip != "" {
		return []string{ip}, nil
	}
	return nil, err
}

// resolved remembers the last good address of each name: a path must not fail because a name server does.
type resolved struct {
	mu sync.Mutex
	ip map[string]string // by host; as many as are configured
}

func (r *resolved) keep(host, ip string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ip == nil {
		r.ip = map[string]string{}
	}
	r.ip[host] = ip
}

func (r *resolved) get(host string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ip[host]
}
