// Package uplink is the box's side of the line to the SOC: it enrols the box and delivers what the journal holds.
//
// Events go on one connection, urgent before routine; stills and clips go on a second one and stand back while events
// wait (P3). The journal is the only memory: what the SOC has not acked stays there and is sent again after a break,
// and the SOC makes it once (P2). Nothing that a SOC sends can end the process or make it grow.
// Client.Run is for one goroutine; Status and Cutting may be called from any.
package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
)

// Outbox is the journal as the client sees it.
type Outbox interface {
	ID() edge.JournalID
	Last() edge.Seq
	Watermark(ctx context.Context, lane edge.Lane) (edge.Seq, error)
	Read(ctx context.Context, lane edge.Lane, after edge.Seq, max int) ([]edge.Record, error)
	Acked(ctx context.Context, lane edge.Lane, through edge.Seq) error
	Rewind(ctx context.Context, lane edge.Lane, to edge.Seq) error
	Changed(lane edge.Lane) <-chan struct{}
	Hash(ctx context.Context, seq edge.Seq) (hash [32]byte, ok bool, err error)
}

// Files are the stills and clips that wait for the SOC.
type Files interface {
	NextUpload(ctx context.Context, not ...edge.ClipID) (edge.ClipFile, bool, error)
	UploadDone(ctx context.Context, id edge.ClipID, part edge.FilePart) error
	UploadRefused(ctx context.Context, id edge.ClipID, part edge.FilePart, reason string) error
	UploadsChanged() <-chan struct{}
}

// Options of a client. Outbox, Files, Identity, Paths, Clock and Log are needed.
type Options struct {
	Outbox   Outbox
	Files    Files
	Cuts     *Cuts // nil: a clip goes when it is complete
	Identity *Identity
	Evidence Evidence // nil: nothing is signed
	Paths    []Path   // at least one, the preferred first
	Clock    edge.Clock
	Log      *slog.Logger

	Kind    string // what the site is, "shop"
	Name    string
	Version string // of this program

	// Command does what the SOC asks for and returns what became of it; nil: every command fails.
	Command func(ctx context.Context, c edge.Command) (edge.CommandState, string)
	// Report journals path-lost and its end; nil: they are only logged.
	Report func(ctx context.Context, e edge.Event) error
	// LostPaths names the paths of which an earlier run has reported path-lost and not its end.
	LostPaths map[string]bool
	// PathLostAfter is how long the only path may be without the SOC before that is an event; 0: 30 s. Of several paths
	// each is lost after three heartbeats.
	PathLostAfter time.Duration
	// Limit is how many bytes a second of stills and clips each path may carry at that time, beside its own limit; 0: no
	// limit. nil: none ever. Events have no limit.
	Limit func(now edge.Stamp) int64
	// MaxBackoff bounds the wait before the next try to connect; 0: 15 s.
	MaxBackoff time.Duration
	// Renew is for the box's certificate.
	Renew RenewOptions
	// Dial connects to the SOC; nil: TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// Client delivers events and files to the SOC.
type Client struct {
	o        Options
	status   board
	paths    []*path           // as configured, the preferred first
	lanes    *lanes            // how far the SOC is, and by which path
	cutting  chan edge.ClipRef // capacity 64: clips that are being cut; what does not fit is not told
	commands chan edge.Command // capacity 16: waiting to be done; the SOC sends the rest again
	checked  chan edge.Seq     // capacity 4: checkpoints that the SOC has
	outcomes *outcomes         // of commands, until the SOC has been told
	renewal  *renewal
}

// New makes a client. It connects nothing before Run.
func New(o Options) *Client {
	if o.PathLostAfter == 0 {
		o.PathLostAfter = 30 * time.Second
	}
	if o.MaxBackoff == 0 {
		o.MaxBackoff = 15 * time.Second
	}
	c := &Client{o: o, lanes: newLanes(o.Paths, o.LostPaths), cutting: make(chan edge.ClipRef, 64),
		commands: make(chan edge.Command, 16), checked: make(chan edge.Seq, 4), outcomes: newOutcomes(), renewal: newRenewal(o.Renew)}
	for i := range o.Paths {
		c.paths = append(c.paths, newPath(i, o))
	}
	c.status.begin(o.Paths)
	return c
}

// Run keeps the box connected and delivers until ctx ends. It returns an error only for what connecting again cannot
// mend, such as a journal that cannot be read.
func (c *Client) Run(ctx context.Context) error {
	if err := c.lanes.load(ctx, c.o.Outbox); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range c.paths {
		g.Go(edge.Guard(func() error {
			return c.runAgain(ctx, p.task(), func(ctx context.Context) error { return c.runLink(ctx, p) })
		}))
		g.Go(edge.Guard(func() error { return c.runPath(ctx, p) }))
	}
	g.Go(edge.Guard(func() error { return c.runAgain(ctx, "upload", c.runUpload) }))
	g.Go(edge.Guard(func() error { return c.runCommands(ctx) }))
	g.Go(edge.Guard(func() error { return c.runKeep(ctx) }))
	g.Go(edge.Guard(func() error { return c.runChecked(ctx) }))
	g.Go(edge.Guard(func() error { return c.runForgotten(ctx) }))
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		return err
	} else if errors.As(err, new(*localError)) || errors.As(err, new(*edge.PanicError)) {
		return err
	}
	return nil
}

// localError is trouble on the box, which no new connection mends.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

func local(what string, err error) error { return &localError{fmt.Errorf("%s: %w", what, err)} }

// healthy is how long a session must have lasted for the next break to be taken as a new one.
const healthy = 10 * time.Second

// runAgain repeats a session with a jittered backoff, so that a SOC that comes back is not met by all boxes at once.
func (c *Client) runAgain(ctx context.Context, what string, session func(ctx context.Context) error) error {
	wait := 250 * time.Millisecond
	failures := 0
	for {
		edge.Beat(ctx)
		began := c.o.Clock.Now()
		err := edge.Guard(func() error { return session(ctx) })()
		if ctx.Err() != nil {
			return nil
		}
		if errors.As(err, new(*localError)) {
			return err
		}
		if lasted, ok := c.o.Clock.Now().Since(began); ok && lasted > healthy {
			wait, failures = 250*time.Millisecond, 0
		}
		if errors.Is(err, errMoved) { // nothing is broken
			continue
		}
		failures++
		c.status.failed(what, err, c.o.Clock.Now())
		if failures == 1 || failures%100 == 0 { // repeats are counted, not repeated
			c.o.Log.Warn("the line to the SOC is broken; trying again", "task", what, "err", plain(err), "count", failures)
		}
		t := time.NewTimer(wait/2 + rand.N(wait/2+1))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
		wait = min(wait*2, c.o.MaxBackoff)
	}
}

// plain takes gRPC's wrapping off an error that a person will read.
func plain(err error) string {
	if err == nil {
		return "the SOC closed the stream"
	}
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

func (c *Client) credentials() credentials.TransportCredentials {
	return credentials.NewTLS(c.o.Identity.tls(c.o.Clock))
}

// Cutting tells the SOC, if it can be told now, that a clip is being cut: for show, nothing depends on it.
func (c *Client) Cutting(id edge.ClipID, camera edge.CameraID) {
	select {
	case c.cutting <- edge.ClipRef{ID: id, Camera: camera}:
	default:
	}
}

// gate says whether events wait. Bulk looks at it before every chunk.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // closed when no event waits; nil: none waits
}

func (g *gate) set(busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case busy && g.open == nil:
		g.open = make(chan struct{})
	case !busy && g.open != nil:
		close(g.open)
		g.open = nil
	}
}

// idle is closed when no event waits; nil when none waits now.
func (g *gate) idle() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}
