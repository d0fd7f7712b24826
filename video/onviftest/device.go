// Package onviftest is a small camera that speaks ONVIF: SOAP over HTTP, WS-Discovery, a queue of events for each subscriber.
// Its XML is written as three makes write it, and its Quirks are what real devices do wrong.
//
// It is for tests and for sitesim. It serves no pictures but a JPEG: where its streams are is told to it. Run serves; all
// other methods may be called from any goroutine.
package onviftest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"sitewatch/edge"
)

// Make is whose XML the device writes.
type Make int

const (
	Hikvision Make = iota // every namespace declared at the top
	Axis                  // one address for all services, reference parameters, topics of its own
	Dahua                 // default namespaces, no prefixes in the body
)

// Auth is how the device wants to know who asks.
type Auth int

const (
	Either Auth = iota // WS-UsernameToken or HTTP Digest
	Token
	Digest
	DigestSHA256
	Basic // which nobody should take
)

// Quirk is something that real devices do wrong. They are added with |.
type Quirk uint64

const (
	Chunked       Quirk = 1 << iota // no Content-Length
	HTMLType                        // answers say that they are text/html
	Faults200                       // faults come with 200 OK
	HTMLRefusal                     // 401 with a page to read
	Time1970                        // the clock was never set
	NoTime                          // GetSystemDateAndTime gives no UTC
	RelativeXAddr                   // addresses are paths
	TwoXAddrs                       // an address that cannot be reached stands before the right one
	IPv6First                       // a link-local one does
	ForeignXAddr                    // addresses name another host
	NoServices                      // GetServices is not known
	NoMedia2
	NoSnapshot
	NoEvents
	NoRenew
	HastyPulls    // PullMessages answers at once
	BareAmpersand // in stream addresses
	SecretInURI   // stream addresses have a user and a password in them
	Redirect      // 307 to Elsewhere
	Endless       // an answer without end
	Silent        // takes requests and answers nothing
	NotONVIF      // a web server
	Doctype       // entities, for whoever expands them
	Garbage       // bytes before and after the message
	ShortLease    // subscriptions end after Lease and cannot be renewed
)

// Stream is a profile of the device.
type Stream struct {
	Token, Name, Codec string // H264, H265 or JPEG
	Source             string // "": all are of one
	Width, Height, FPS int
	URI                string
}

// Options describe a Device.
type Options struct {
	Addr           string // host:port; port 0 picks one
	User, Password string // "": everybody may ask
	Auth           Auth
	Make           Make
	Quirks         Quirk
	Name           string
	Serial         string
	Streams        []Stream
	Snapshot       func() []byte // a JPEG; nil: none
	Clock          edge.Clock
	Ahead          time.Duration // of its clock
	Lease          time.Duration // with ShortLease
	Elsewhere      string        // with Redirect
	Discovery      []string      // interfaces on which it answers probes; none: it does not
}

// Device is the camera.
type Device struct {
	opt    Options
	listen net.Listener
	udp    *net.UDPConn // nil: no discovery

	mu      sync.Mutex
	quirks  Quirk
	subs    map[string]*subscriber
	lastSub int
	state   map[string]Event // the last of each property
	nonces  map[string]bool
	calls   map[string]int
	refused int
}

// Listen opens the device's ports. Nobody is answered before Run.
func Listen(ctx context.Context, opt Options) (*Device, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", opt.Addr)
	if err != nil {
		return nil, err
	}
	d := &Device{opt: opt, listen: l, quirks: opt.Quirks, subs: map[string]*subscriber{}, state: map[string]Event{}, nonces: map[string]bool{}, calls: map[string]int{}}
	if len(opt.Discovery) > 0 {
		if d.udp, err = listenProbes(ctx, opt.Discovery); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return d, nil
}

// Addr is host and port.
func (d *Device) Addr() string { return d.listen.Addr().String() }

// URL is the address of the device service.
func (d *Device) URL() string { return "http://" + d.Addr() + d.path("device") }

// Set changes the quirks from the next request on.
func (d *Device) Set(q Quirk) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quirks = q
}

func (d *Device) has(q Quirk) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.quirks&q != 0
}

// Calls says how often a call was made, by its name.
func (d *Device) Calls(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls[name]
}

// Refused says how many requests had no user or a wrong one.
func (d *Device) Refused() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refused
}

// Subscribers says how many subscriptions there are.
func (d *Device) Subscribers() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expire()
	return len(d.subs)
}

// Drop forgets all subscriptions, as a camera does that starts again.
func (d *Device) Drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.subs {
		s.end()
	}
	clear(d.subs)
}

func (d *Device) now() time.Time {
	if d.has(Time1970) {
		return time.Unix(3600, 0).UTC().Add(d.opt.Clock.Now().Mono)
	}
	return d.opt.Clock.Now().Wall.Add(d.opt.Ahead)
}

// Run answers until ctx ends.
func (d *Device) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	srv := &http.Server{Handler: http.HandlerFunc(d.serve), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	var wg sync.WaitGroup
	defer wg.Wait()
	if d.udp != nil {
		wg.Go(func() { d.answerProbes(ctx) })
	}
	wg.Go(func() {
		<-ctx.Done()
		srv.Close()
	})
	err := srv.Serve(d.listen)
	cancel()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// path is where a service is.
func (d *Device) path(service string) string {
	if d.opt.Make == Axis && service != "device" {
		return "/onvif/services"
	}
	return "/onvif/" + service + "_service"
}

// address is the path as the device tells it.
func (d *Device) address(service string) string {
	path := d.path(service)
	own := "http://" + d.Addr() + path
	switch {
	case d.has(RelativeXAddr):
		return path
	case d.has(ForeignXAddr):
		return "http://203.0.113.9" + path
	case d.has(IPv6First):
		return "http://[fe80::be51:feff:fe00:1]" + path + " " + own
	case d.has(TwoXAddrs):
		return "http://192.0.2.250" + path + " " + own
	}
	return own
}

func (d *Device) streams(media2 bool) (out []Stream) {
	for _, s := range d.opt.Streams {
		if media2 || s.Codec != "H265" { // Media ver10 has no word for it: such profiles come without an encoder
			out = append(out, s)
		}
	}
	return slices.Clone(out)
}
