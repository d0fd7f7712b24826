package osdp

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

// deviceEnd is a device's end of a secure channel.
type deviceEnd struct{ *channel }

// take proves and decrypts a command.
func (e deviceEnd) take(f Frame, raw []byte) (Frame, error) {
	return e.openSeal(f, raw, &e.heard, &e.sent, scbMACCmd, scbEncCmd)
}

// answer makes an answer.
func (e deviceEnd) answer(b []byte, f Frame) ([]byte, error) {
	return e.seal(b, f, &e.sent, &e.heard, scbMACReply, scbEncReply)
}

// pair is both ends of a channel.
func pair() (*channel, deviceEnd) {
	k := Key{1, 2, 3}
	return newChannel(k, [8]byte{4}, [8]byte{5}), deviceEnd{newChannel(k, [8]byte{4}, [8]byte{5})}
}

// answered is our end behind a command, and the device's answer to it.
func answered() (*channel, []byte) {
	ours, theirs := pair()
	c, _ := ours.wrap(nil, Frame{Addr: 1, Ctrl: 5, Code: cmdInput})
	f, _, _ := Decode(c)
	theirs.take(f, c)
	a, _ := theirs.answer(nil, Frame{Addr: 0x81, Ctrl: 5, Code: repInput, Data: []byte{0, 0, 1, 0, 0, 0, 0, 0}})
	return ours, a
}

func aesOf(t testing.TB, key string) cipher.Block {
	t.Helper()
	c, err := aes.NewCipher(unhex(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pd is a small working device.
type pd struct {
	key     *Key // nil: it has the factory's
	offers  bool // it answers any challenge with the factory key, and refuses none
	clear   bool // it knows no secure channel
	mute    bool
	busy    int // answers of this number are "busy"
	local   []byte
	inputs  []byte
	queue   []Frame                 // reported at the next polls
	alter   func(raw []byte) []byte // what becomes of its next answer; nil: nothing
	refuses map[byte]byte           // command to NAK code
	heard   []command               // all that it was told
	repeats int                     // how often it was told the same again
	keys    int                     // how often it was given a key
	ch      *deviceEnd              // secure channel under way
	up      *deviceEnd              // after its handshake
	factory bool                    // the channel is of the factory key
	seq     byte
	last    []byte // command
	said    []byte // answer to it
}

type command struct {
	at   time.Time
	raw  []byte
	code byte
	seq  byte
}

// hear takes a command and returns the answer, nil for none.
func (p *pd) hear(f Frame, raw []byte) []byte {
	p.heard = append(p.heard, command{time.Now(), bytes.Clone(raw), f.Code, f.seq()})
	if p.mute {
		return nil
	}
	if p.busy > 0 {
		p.busy--
		b, _ := Frame{Addr: f.Addr | isReply, Ctrl: hasCRC, Code: repBusy}.AppendBinary(nil)
		return b
	}
	if p.said != nil && bytes.Equal(raw, p.last) && f.seq() != 0 {
		p.repeats++
		return p.said
	}
	reply := Frame{Addr: f.Addr | isReply, Ctrl: hasCRC | f.seq(), Code: repAck}
	if f.seq() == 0 {
		p.ch, p.up = nil, nil
	} else if f.seq() != p.seq%3+1 {
		reply.Code, reply.Data = repNak, []byte{nakSequence}
		b, _ := reply.AppendBinary(nil)
		return b
	}
	p.seq, p.last = f.seq(), bytes.Clone(raw)
	secure := p.up
	if secure != nil {
		var err error
		if f, err = secure.take(f, raw); err != nil {
			p.up, secure = nil, nil
			reply.Code, reply.Data = repNak, []byte{nakEncrypt}
			f.Code = 0
		}
	}
	p.do(&reply, f)
	if secure != nil {
		p.said, _ = secure.answer(nil, reply)
	} else {
		p.said, _ = reply.AppendBinary(nil)
	}
	b := p.said
	if p.alter != nil {
		b = p.alter(bytes.Clone(b))
		p.alter = nil
	}
	return b
}

func (p *pd) do(r *Frame, f Frame) {
	if code, ok := p.refuses[f.Code]; ok {
		r.Code, r.Data = repNak, []byte{code}
		return
	}
	switch f.Code {
	case cmdPoll:
		if len(p.queue) > 0 {
			r.Code, r.Data = p.queue[0].Code, p.queue[0].Data
			p.queue = p.queue[1:]
		}
	case cmdID:
		r.Code, r.Data = repID, make([]byte, 12)
	case cmdCap:
		r.Code, r.Data = repCap, []byte{1, 1, 8}
	case cmdLocal:
		r.Code, r.Data = repLocal, p.local
	case cmdInput:
		r.Code, r.Data = repInput, p.inputs
	case cmdKeySet:
		k := Key(f.Data[2:])
		p.key = &k
		p.keys++
	case cmdChallenge:
		own := f.key() == keyOwn
		if p.clear || own && p.key == nil && !p.offers || !own && p.key != nil {
			r.Code, r.Data = repNak, []byte{nakSecurity}
			return
		}
		k, which := defaultKey, byte(keyDefault)
		if p.key != nil {
			k, which = *p.key, keyOwn
		}
		p.factory = p.key == nil
		rndB := [8]byte{1, 2, 3, byte(len(p.heard))}
		p.ch = &deviceEnd{newChannel(k, [8]byte(f.Data), rndB)}
		r.Code, r.SCB = repCCrypt, []byte{3, scbCCrypt, which}
		r.Data = append(append(make([]byte, 8), rndB[:]...), p.ch.client[:]...)
	case cmdSCrypt:
		r.Code, r.SCB, r.Data = repRMAC, []byte{3, scbRMAC, 1}, p.ch.initial()
		if !equal(f.Data, p.ch.server[:]) {
			r.SCB[2] = 0xFF
			return
		}
		p.up = p.ch
	}
}

// bus is a line with devices on it, and a session at its other end.
type bus struct {
	t      *testing.T
	mu     sync.Mutex
	pds    map[byte]*pd
	echo   bool
	mangle func([]byte) []byte // what becomes of the answers
	line   net.Conn
	sink   memory
	g      errgroup.Group
	stop   context.CancelFunc
	logs   bytes.Buffer
}

// memory is a sink.
type memory struct {
	mu   sync.Mutex
	err  error
	sigs []edge.Signal
}

func (m *memory) Signal(_ context.Context, sigs ...edge.Signal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.sigs = append(m.sigs, sigs...)
	}
	return m.err
}

func (m *memory) Settle(context.Context) error { return nil }

// newBus starts a session with the settings and those devices.
func newBus(t *testing.T, settings map[string]any, pds map[byte]*pd) *bus {
	ours, theirs := net.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	b := &bus{t: t, pds: pds, line: theirs, stop: stop}
	s := panel.NewSettings(settings)
	session := testDriver().New(s, panel.SessionOptions{
		Clock: edge.NewSystemClock(), Location: time.UTC, Log: slog.New(slog.NewTextHandler(lockedWriter{b}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	for _, p := range s.Problems() {
		t.Errorf("settings: %+v", p)
	}
	b.g.Go(func() error { return session.Run(ctx, ours, &b.sink) })
	b.g.Go(func() error {
		var buf []byte
		p := make([]byte, 256)
		for {
			n, err := theirs.Read(p)
			if err != nil {
				return nil
			}
			buf = append(buf, p[:n]...)
			for {
				f, n, err := Decode(buf)
				if err == ErrShort {
					break
				}
				if err == nil {
					b.serve(f, buf[:n])
				}
				buf = append([]byte{}, buf[n:]...)
			}
		}
	})
	return b
}

type lockedWriter struct{ b *bus }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	return w.b.logs.Write(p)
}

func (b *bus) serve(f Frame, raw []byte) {
	b.mu.Lock()
	var out []byte
	if b.echo {
		out = bytes.Clone(raw)
	}
	if p := b.pds[f.Addr]; p != nil {
		out = append(out, p.hear(f, raw)...)
	}
	mangle := b.mangle
	b.mu.Unlock()
	if mangle != nil {
		out = mangle(out)
	}
	if len(out) > 0 {
		b.line.Write(out)
	}
}

// do changes something on the bus.
func (b *bus) do(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// end stops the session, and waits for it.
func (b *bus) end() {
	b.stop()
	b.g.Wait()
	b.line.Close()
}

// news is what was signalled since the last call, in words.
func (b *bus) news() string {
	synctest.Wait()
	b.sink.mu.Lock()
	defer b.sink.mu.Unlock()
	var out []string
	for _, s := range b.sink.sigs {
		w := string(s.Kind)
		if w == "" {
			w = map[bool]string{true: "active", false: "inactive"}[s.Active]
		}
		if s.At.Mono == 0 || len(s.Raw) == 0 && s.Kind != edge.KindDeviceLost {
			b.t.Errorf("signal lacks its bytes or arrival: %+v", s)
		}
		out = append(out, string(s.Zone)+" "+w)
	}
	b.sink.sigs = nil
	return strings.Join(out, ", ")
}

// wait lets d pass and compares the news with what they should be.
func (b *bus) wait(d time.Duration, want string) {
	b.t.Helper()
	time.Sleep(d)
	if got := b.news(); got != want {
		b.t.Errorf("news: %s\nwant: %s", got, want)
	}
}

func (b *bus) refuse(err error) {
	b.sink.mu.Lock()
	defer b.sink.mu.Unlock()
	b.sink.err = err
}

// codes are the commands that a device was told from the i-th on, without repeats, as hex of code and number.
func (b *bus) codes(p *pd, from int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, c := range p.heard[from:] {
		out = append(out, fmt.Sprintf("%02X/%d", c.code, c.seq))
	}
	return strings.Join(out, " ")
}

func (b *bus) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.logs.String()
}

// count is how many commands a device was told; told is one of them, since those from the i-th on.
func (b *bus) count(p *pd) int           { return len(b.since(p, 0)) }
func (b *bus) told(p *pd, i int) command { return b.since(p, i)[0] }
func (b *bus) since(p *pd, i int) []command {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(p.heard[i:])
}

// of reads a device's figure.
func of[T any](b *bus, v *T) T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *v
}

// lost is why the only signal so far says that a device is lost.
func (b *bus) lost() string {
	synctest.Wait()
	b.sink.mu.Lock()
	defer b.sink.mu.Unlock()
	if len(b.sink.sigs) != 1 || b.sink.sigs[0].Kind != edge.KindDeviceLost {
		b.t.Fatalf("%+v, want one loss", b.sink.sigs)
	}
	why := b.sink.sigs[0].Text
	b.sink.sigs = nil
	return why
}
