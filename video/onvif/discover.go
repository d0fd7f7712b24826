package onvif

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// DiscoverOptions say where to look.
type DiscoverOptions struct {
	Interfaces []string // names; none: all that are up
	Hosts      []string // addresses that are asked directly, where multicast does not reach; then Interfaces may be NoInterface
	Timeout    time.Duration
}

// NoInterface in Interfaces looks on no interface at all.
const NoInterface = "none"

// Bounds of a search.
const (
	MaxMatches    = 512  // devices
	maxDatagrams  = 8192 // answers that are looked at, on one interface
	maxInterfaces = 32
	probePort     = 3702
	probeRepeats  = 3 // datagrams are lost
)

var probeGroup = netip.MustParseAddr("239.255.255.250")

// Discover asks who is there and gathers answers until the time is over. An interface that cannot be asked is no error while
// another can; the error is that of all of them. At most MaxMatches devices are returned, each once.
func Discover(ctx context.Context, opt DiscoverOptions) ([]Match, error) {
	ctx, cancel := context.WithTimeout(ctx, opt.Timeout)
	defer cancel()
	sockets, err := open(ctx, opt)
	if err != nil {
		return nil, err
	}
	s := &search{ids: []string{newUUID(), newUUID()}, seen: map[string]bool{}}
	var g errgroup.Group
	for _, sock := range sockets {
		g.Go(func() error { return s.run(ctx, sock) })
	}
	g.Wait()
	if len(s.failed) == len(sockets) && len(sockets) > 0 {
		return nil, errors.Join(s.failed...)
	}
	return s.matches, nil
}

// socket is a way on which probes go.
type socket struct {
	conn *net.UDPConn
	name string
	to   []*net.UDPAddr
}

// open makes a socket for each interface, bound to its address, and one for the hosts that are asked alone.
func open(ctx context.Context, opt DiscoverOptions) (out []socket, err error) {
	var failed []error
	for _, ifi := range interfaces(opt.Interfaces, &failed) {
		conn, err := listenOn(ctx, ifi)
		if err != nil {
			failed = append(failed, fmt.Errorf("interface %s: %w", ifi.Name, err))
			continue
		}
		out = append(out, socket{conn, ifi.Name, []*net.UDPAddr{net.UDPAddrFromAddrPort(netip.AddrPortFrom(probeGroup, probePort))}})
	}
	var hosts []*net.UDPAddr
	for _, h := range opt.Hosts {
		if a, err := netip.ParseAddr(h); err == nil {
			hosts = append(hosts, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, probePort)))
		}
	}
	if len(hosts) > 0 {
		conn, err := net.ListenUDP("udp", nil)
		if err != nil {
			failed = append(failed, err)
		} else {
			out = append(out, socket{conn, "", hosts})
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(failed...)
	}
	return out, nil
}

func interfaces(names []string, failed *[]error) (out []net.Interface) {
	if len(names) == 1 && names[0] == NoInterface {
		return nil
	}
	for _, n := range names {
		ifi, err := net.InterfaceByName(n)
		if err != nil {
			*failed = append(*failed, fmt.Errorf("interface %s: %w", n, errors.Unwrap(err)))
			continue
		}
		out = append(out, *ifi)
	}
	if len(names) > 0 {
		return out
	}
	all, err := net.Interfaces()
	if err != nil {
		*failed = append(*failed, err)
	}
	for _, ifi := range all {
		if ifi.Flags&net.FlagUp != 0 && ifi.Flags&(net.FlagMulticast|net.FlagLoopback) != 0 && len(out) < maxInterfaces {
			out = append(out, ifi)
		}
	}
	return out
}

// listenOn makes a socket whose multicast leaves by this interface, and stays in its network.
func listenOn(ctx context.Context, ifi net.Interface) (*net.UDPConn, error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.To4() == nil {
			continue
		}
		lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) {
				if err = unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(ifi.Index)}); err == nil {
					err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 1)
				}
			})
			return errors.Join(cerr, err)
		}}
		conn, err := lc.ListenPacket(ctx, "udp4", net.JoinHostPort(n.IP.String(), "0"))
		if err != nil {
			return nil, err
		}
		return conn.(*net.UDPConn), nil
	}
	return nil, errors.New("it has no IPv4 address")
}

// search gathers what all sockets hear.
type search struct {
	ids []string

	mu      sync.Mutex
	seen    map[string]bool // by address
	matches []Match
	failed  []error
}

// run sends the probes and reads answers until ctx ends.
func (s *search) run(ctx context.Context, sock socket) error {
	defer sock.conn.Close()
	stop := context.AfterFunc(ctx, func() { sock.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return s.runProbes(ctx, sock) })
	b := make([]byte, 64<<10)
	for range maxDatagrams {
		n, from, err := sock.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			continue // a host that refuses: the error is of what was sent
		}
		s.add(parseMatches(b[:n], from.Addr().Unmap(), s.ids))
	}
	return g.Wait()
}

func (s *search) runProbes(ctx context.Context, sock socket) error {
	wait := 100 * time.Millisecond
	var failed error
	for n := range probeRepeats {
		for i, types := range probeTypes {
			for _, to := range sock.to {
				if _, err := sock.conn.WriteToUDP(probe(s.ids[i], types), to); err != nil {
					failed = err
				}
			}
		}
		if n == probeRepeats-1 || !sleep(ctx, wait) {
			break
		}
		wait *= 5
	}
	if failed != nil && sock.name != "" {
		s.mu.Lock()
		s.failed = append(s.failed, fmt.Errorf("interface %s: %w", sock.name, failed))
		s.mu.Unlock()
	}
	return nil
}

// add keeps each address once, however many answers it gives. Endpoint names would tell no more: there are makes of which every
// camera has the same.
func (s *search) add(ms []Match) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range ms {
		if !s.seen[m.Address] && len(s.matches) < MaxMatches {
			s.seen[m.Address] = true
			s.matches = append(s.matches, m)
		}
	}
}

// sleep waits for d; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
