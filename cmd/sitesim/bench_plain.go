package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"sitewatch/cmd/sitesim/link"
	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// plainGRPC is what one would write first: one connection with gRPC's defaults and two streams on it, one for events, one
// for files. It has neither TLS nor disk on either side, so that only the way of sending is compared.
type plainGRPC struct {
	wire.UnimplementedUplinkServer
	pair  *link.Pair
	clock edge.Clock

	mu       sync.Mutex
	sent     map[uint64]time.Duration
	samples  []sample
	uploaded float64
}

const (
	plainEvent = 600      // bytes of an alarm as the journal stores it
	plainChunk = 32 << 10 // what io.Copy would take
)

// Link takes events.
func (p *plainGRPC) Link(s grpc.BidiStreamingServer[wire.BoxMessage, wire.SocMessage]) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		now := p.clock.Now().Mono
		n := binary.BigEndian.Uint64(m.GetEvents().GetRecords()[0].GetBody())
		p.mu.Lock()
		p.samples = append(p.samples, sample{At: p.sent[n], Took: now - p.sent[n]})
		p.mu.Unlock()
	}
}

// Upload takes files.
func (p *plainGRPC) Upload(s grpc.BidiStreamingServer[wire.UploadRequest, wire.UploadReply]) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.uploaded += float64(len(m.GetChunk().GetData()))
		p.mu.Unlock()
	}
}

// run sends n alarms while files are sent as fast as the stream takes them.
func (p *plainGRPC) run(ctx context.Context, n int, perSecond float64, seed uint64) (ss []sample, bulk float64, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p.sent = map[uint64]time.Duration{}
	var ln net.Listener
	if err := p.pair.In(link.B, func() error {
		ln, err = net.Listen("tcp4", net.JoinHostPort(link.Addr(0, link.B).String(), "9000"))
		return err
	}); err != nil {
		return nil, 0, err
	}
	srv := grpc.NewServer()
	wire.RegisterUplinkServer(srv, p)
	cc, err := grpc.NewClient("passthrough:///"+ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (c net.Conn, err error) {
			err = p.pair.In(link.A, func() error { c, err = (&net.Dialer{}).DialContext(ctx, "tcp4", addr); return err })
			return c, err
		}))
	if err != nil {
		return nil, 0, errors.Join(err, ln.Close())
	}
	var g errgroup.Group
	g.Go(func() error { return srv.Serve(ln) })
	defer func() {
		cc.Close()
		srv.Stop()
		if serr := g.Wait(); err == nil && !errors.Is(serr, grpc.ErrServerStopped) {
			err = serr
		}
	}()
	client := wire.NewUplinkClient(cc)
	events, err := client.Link(ctx)
	if err != nil {
		return nil, 0, err
	}
	files, err := client.Upload(ctx)
	if err != nil {
		return nil, 0, err
	}
	g.Go(func() error {
		chunk := &wire.UploadRequest{Message: &wire.UploadRequest_Chunk{Chunk: &wire.Chunk{Data: make([]byte, plainChunk)}}}
		for files.Send(chunk) == nil {
		}
		return nil
	})
	if err := wait(ctx, benchWarm); err != nil {
		return nil, 0, err
	}
	began, from := p.clock.Now().Mono, p.taken()
	no := uint64(0)
	if err := randomly(ctx, n, perSecond, seed, func(context.Context) error {
		body := make([]byte, plainEvent)
		no++
		binary.BigEndian.PutUint64(body, no)
		p.mu.Lock()
		p.sent[no] = p.clock.Now().Mono
		p.mu.Unlock()
		return events.Send(&wire.BoxMessage{Message: &wire.BoxMessage_Events{Events: &wire.Events{
			Lane: wire.Lane_LANE_URGENT, Records: []*wire.Record{{Seq: no, Body: body, Prev: make([]byte, 32)}}}}})
	}); err != nil {
		return nil, 0, err
	}
	bulk = (p.taken() - from) / (p.clock.Now().Mono - began).Seconds()
	err = waitFor(ctx, "the last alarm over plain gRPC", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.samples) == n
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.samples, bulk, err
}

func (p *plainGRPC) taken() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.uploaded
}
