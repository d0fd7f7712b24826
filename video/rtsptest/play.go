package rtsptest

import (
	"context"
	"time"
)

// play sends the film in a loop, at the rate of a camera, as the catalogue's entry wants it. When it returns, the camera
// hangs up.
func (p *peer) play(ctx context.Context) {
	if p.bad.play != nil {
		p.bad.play(ctx, p)
		return
	}
	p.show(ctx)
	if ctx.Err() == nil && p.bad.after != nil {
		p.bad.after(ctx, p)
	}
}

// show sends as many pictures as the entry says.
func (p *peer) show(ctx context.Context) {
	most := p.bad.pictures
	every := time.Second / rate
	if p.bad.every > 0 {
		every = p.bad.every * time.Duration(max(1, p.bad.burst))
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ; most == 0 || p.shown < most; p.shown++ {
		if p.send(p.picture(p.shown)) != nil {
			return
		}
		if p.bad.burst > 0 && (p.shown+1)%p.bad.burst != 0 {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// picture makes the packets of the n-th picture that is sent.
func (p *peer) picture(n int) []packet {
	all, again := len(p.film.pictures), p.bad.loopFrom
	loop, at := 0, n+p.bad.from
	if at >= all {
		loop, at = (at-again)/(all-again), again+(at-again)%(all-again)
	}
	pic := p.film.pictures[at]
	nalus := append(append([][]byte{}, pic.sets...), pic.nalus...)
	if p.bad.nalus != nil {
		nalus = p.bad.nalus(p, n, pic)
	}
	shown := loop*(all-again) + pic.display - p.bad.from + 1 // never before the first one
	step := uint32(ticksApart)
	if p.bad.every > 0 {
		step = uint32(p.bad.every * 9 / 100000)
	}
	most := mtu
	if p.bad.fragment > 0 {
		most = p.bad.fragment
	}
	var ps []packet
	for _, nalu := range nalus {
		for _, b := range p.film.payloads(nalu, most) {
			ps = append(ps, packet{channel: p.channels[0], kind: videoType, seq: p.seq, ts: p.bad.firstTS + uint32(shown)*step, ssrc: ssrc, payload: b})
			p.seq++
		}
	}
	if len(ps) > 0 {
		ps[len(ps)-1].marker = true
	}
	if p.bad.mangle != nil {
		ps = p.bad.mangle(p, n, ps)
	}
	return ps
}

// send writes packets in one piece, as a camera's network stack does.
func (p *peer) send(ps []packet) error {
	if p.over != nil {
		return p.over.send(ps)
	}
	var b []byte
	for _, k := range ps {
		b = k.append(b)
	}
	if len(b) == 0 {
		return nil
	}
	return p.write(b)
}
