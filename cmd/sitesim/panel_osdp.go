package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/edge"
)

// osdpOptions of fake OSDP devices on one line.
type osdpOptions struct {
	Devices []osdpDevice
	Clock   edge.Clock
	Log     *slog.Logger
	Random  io.Reader // of challenges; nil: the system's
}

// osdpDevice is what a device is set to.
type osdpDevice struct {
	Address byte
	Key     []byte // 16 bytes, its SCBK; nil: it has the factory's, and takes a key
	Open    bool   // it answers without a secure channel too
	Inputs  int
}

// osdpPeer is devices on an OSDP line. Each behaves as a real one: it answers only what is meant for it, repeats its answer to a
// repeated command, refuses a wrong number, reports changes at the next poll, and forgets the secure channel after 8 s without
// a command.
type osdpPeer struct {
	o  osdpOptions
	mu sync.Mutex
	ds map[byte]*osdpState
}

// osdpState is a device as it is now.
type osdpState struct {
	osdpDevice
	offline       bool
	tamper, power byte
	inputs        []byte
	reports       [][]byte // code and data, oldest first
	seq           byte
	last, said    []byte // command, and the answer to it
	heard         edge.Stamp
	shaking       *osdpChannel
	channel       *osdpChannel
	factory       bool // the handshake is of the factory key
}

const (
	osdpOffline = 8 * time.Second
	osdpReports = 64 // reports that wait; above it the oldest goes
)

var errOSDPTyped = errors.New("say: input ADDRESS NUMBER on|off; tamper, power or offline ADDRESS on|off (power off: it fails); " +
	"card ADDRESS; key ADDRESS reset (to the factory's)")

// newOsdpPeer makes the devices; all inputs are inactive, the cases shut, the power on.
func newOsdpPeer(o osdpOptions) (*osdpPeer, error) {
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &osdpPeer{o: o, ds: map[byte]*osdpState{}}
	for _, d := range o.Devices {
		if d.Address > 126 || p.ds[d.Address] != nil || d.Inputs < 0 || d.Inputs > 255 || (d.Key != nil && len(d.Key) != 16) {
			return nil, fmt.Errorf("OSDP device %d: addresses are 0 to 126, each once; at most 255 inputs; a key has 16 bytes", d.Address)
		}
		p.ds[d.Address] = &osdpState{osdpDevice: d, inputs: make([]byte, d.Inputs)}
	}
	return p, nil
}

// Run answers on line until ctx ends or the line fails.
func (p *osdpPeer) Run(ctx context.Context, line io.ReadWriteCloser) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done()
		line.Close()
		return nil
	})
	g.Go(func() error {
		var buf []byte
		b := make([]byte, 256)
		for {
			n, err := line.Read(b)
			if err != nil {
				return err
			}
			buf = append(buf, b[:n]...)
			for {
				f, rest, ok := nextOSDP(buf)
				buf = append([]byte{}, rest...)
				if !ok {
					break
				}
				if out := p.answer(f); out != nil {
					if _, err := line.Write(out); err != nil {
						return err
					}
				}
			}
		}
	})
	return g.Wait()
}

// answer is what is said to a command; nil: nothing.
func (p *osdpPeer) answer(f osdpFrame) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.ds[f.addr]
	if d == nil || d.offline {
		return nil
	}
	now, seq := p.o.Clock.Now(), f.ctrl&osdpSeq
	if quiet, ok := now.Since(d.heard); !ok || quiet > osdpOffline {
		d.forget()
	}
	d.heard = now
	if seq != 0 && bytes.Equal(d.last, f.raw) {
		return d.said
	}
	reply := osdpFrame{addr: f.addr | 0x80, ctrl: f.ctrl & (osdpSeq | osdpCRC), code: 0x40}
	switch {
	case seq == 0:
		d.forget()
	case seq != d.seq%3+1:
		reply.code, reply.data = 0x41, []byte{4}
		return reply.bytes()
	}
	d.seq, d.last = seq, f.raw
	channel := d.channel
	if channel != nil {
		var ok bool
		if f, ok = channel.open(f); !ok {
			d.channel, channel = nil, nil
			reply.code, reply.data = 0x41, []byte{6}
			d.said = reply.bytes()
			return d.said
		}
	}
	p.do(d, f, &reply)
	if channel != nil {
		d.said = channel.seal(reply)
	} else {
		d.said = reply.bytes()
	}
	return d.said
}

// forget begins a new conversation.
func (d *osdpState) forget() {
	d.seq, d.last, d.said, d.channel, d.shaking = 0, nil, nil, nil, nil
}

// do fills in the answer to a command whose frame is right.
func (p *osdpPeer) do(d *osdpState, f osdpFrame, r *osdpFrame) {
	refuse := func(code byte) { r.code, r.data = 0x41, []byte{code} }
	if d.channel == nil && !d.Open && (f.code == 0x64 || f.code == 0x65) {
		refuse(6)
		return
	}
	switch f.code {
	case 0x60:
		if d.channel == nil && !d.Open || len(d.reports) == 0 {
			return // what it has to say waits for the channel
		}
		r.code, r.data = d.reports[0][0], d.reports[0][1:]
		d.reports = d.reports[1:]
	case 0x61:
		r.code, r.data = 0x45, []byte{0xCC, 0xBB, 0xAA, 0x99, 0x01, 0x04, 0x03, 0x02, 0x01, 0x01, 0x02, 0x03}
	case 0x62:
		r.code, r.data = 0x46, []byte{0x01, 0x01, byte(len(d.inputs)), 0x08, 0x01, 0x00, 0x09, 0x01, 0x00, 0x0A, 0x00, 0x01, 0x10, 0x02, 0x00}
	case 0x64:
		r.code, r.data = 0x48, []byte{d.tamper, d.power}
	case 0x65:
		r.code, r.data = 0x49, bytes.Clone(d.inputs)
	case 0x75:
		if d.channel == nil || len(f.data) != 18 || f.data[0] != 1 || f.data[1] != 16 {
			refuse(9)
			return
		}
		d.Key = bytes.Clone(f.data[2:])
		p.o.Log.Info("the device has been given a key", "address", d.Address)
	case 0x76:
		p.challenged(d, f, r, refuse)
	case 0x77:
		if d.shaking == nil || !bytes.Equal(f.data, d.shaking.server) {
			r.code, r.scb, r.data = 0x78, []byte{3, 0x14, 0}, make([]byte, 16)
			return
		}
		r.code, r.scb, r.data = 0x78, []byte{3, 0x14, 1}, d.shaking.rmacI
		d.channel, d.shaking = d.shaking, nil
		p.o.Log.Info("secure channel", "address", d.Address, "factory_key", d.factory)
	default:
		refuse(3)
	}
}

// challenged answers the first half of a handshake, for the key that it has only.
func (p *osdpPeer) challenged(d *osdpState, f osdpFrame, r *osdpFrame, refuse func(byte)) {
	if len(f.scb) != 3 || f.scb[1] != 0x11 || len(f.data) != 8 {
		refuse(5)
		return
	}
	key, own := d.Key, f.scb[2] == 1
	if own != (key != nil) {
		refuse(6)
		return
	}
	if d.factory = key == nil; d.factory {
		key = osdpFactoryKey
	}
	rndB := make([]byte, 8)
	if _, err := io.ReadFull(p.o.Random, rndB); err != nil {
		refuse(9)
		return
	}
	c, err := newOSDPChannel(key, f.data, rndB)
	if err != nil {
		refuse(9)
		return
	}
	d.shaking = c
	uid := []byte{0xCC, 0xBB, 0x99, 0x00, 0x04, 0x03, 0x02, d.Address}
	r.code, r.scb, r.data = 0x76, []byte{3, 0x12, f.scb[2]}, append(append(uid, rndB...), c.client...)
}

// Do does what a person types.
func (p *osdpPeer) Do(words []string) error {
	if len(words) < 2 {
		return errOSDPTyped
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	a, err := strconv.ParseUint(words[1], 10, 8)
	d := p.ds[byte(a)]
	if err != nil || d == nil {
		return fmt.Errorf("no device has address %s; %w", words[1], errOSDPTyped)
	}
	if words[0] == "card" && len(words) == 2 {
		d.report(0x50, 0, 0, 26, 0, 0x12, 0x34, 0x56, 0x78)
		return nil
	}
	last := words[len(words)-1]
	if words[0] == "key" && len(words) == 3 && last == "reset" {
		d.Key = nil
		d.forget()
		return nil
	}
	if last != "on" && last != "off" {
		return errOSDPTyped
	}
	on := byte(0)
	if last == "on" {
		on = 1
	}
	switch {
	case words[0] == "input" && len(words) == 4:
		n, err := strconv.Atoi(words[2])
		if err != nil || n < 1 || n > len(d.inputs) {
			return fmt.Errorf("device %d has inputs 1 to %d; %w", a, len(d.inputs), errOSDPTyped)
		}
		d.inputs[n-1] = on
		d.report(0x49, d.inputs...)
	case len(words) != 3:
		return errOSDPTyped
	case words[0] == "tamper":
		d.tamper = on
		d.report(0x48, d.tamper, d.power)
	case words[0] == "power":
		d.power = 1 - on
		d.report(0x48, d.tamper, d.power)
	case words[0] == "offline":
		if d.offline = on == 1; d.offline {
			d.forget()
		}
	default:
		return errOSDPTyped
	}
	return nil
}

// report queues what the device says at its next poll.
func (d *osdpState) report(code byte, data ...byte) {
	if len(d.reports) >= osdpReports {
		d.reports = d.reports[1:]
	}
	d.reports = append(d.reports, append([]byte{code}, data...))
}
