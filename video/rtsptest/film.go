package rtsptest

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
)

// films are a second or two of ffmpeg's test picture each, byte streams with access unit delimiters (Annex B).
//
//go:embed film
var films embed.FS

// film is what a bad camera shows in a loop.
type film struct {
	h265     bool
	sets     [][]byte // parameter sets of the first access unit: SPS and PPS, or VPS, SPS and PPS
	pictures []picture
}

// picture is one access unit without parameter sets.
type picture struct {
	nalus   [][]byte
	sets    [][]byte // those that came with it
	key     bool     // IDR or CRA
	display int      // its place in the order of showing; its index is that of decoding
}

// loadFilm reads a film that was built in.
func loadFilm(name string) *film {
	b, err := films.ReadFile("film/" + name)
	if err != nil {
		panic(fmt.Sprintf("film %s is not built in: %v", name, err)) // the catalogue names one that is not there
	}
	f := &film{h265: strings.HasSuffix(name, ".h265")}
	var refs []bool
	for len(b) > 0 {
		n, nalu, _ := splitNALU(b, true)
		b = b[n:]
		nalu = bytes.TrimRight(nalu, "\x00")
		if len(nalu) == 0 {
			continue
		}
		last := len(f.pictures) - 1
		switch set, delimiter := f.kind(nalu); {
		case delimiter:
			f.pictures, refs = append(f.pictures, picture{}), append(refs, false)
		case last < 0:
		case set:
			f.pictures[last].sets = append(f.pictures[last].sets, nalu)
		default:
			p := &f.pictures[last]
			p.nalus = append(p.nalus, nalu)
			p.key = p.key || f.isKey(nalu)
			refs[last] = f.isReference(nalu)
		}
	}
	f.sets = f.pictures[0].sets
	f.orderDisplay(refs)
	return f
}

func (f *film) kind(nalu []byte) (set, delimiter bool) {
	if f.h265 {
		t := nalu[0] >> 1 & 0x3F
		return t >= 32 && t <= 34, t == 35
	}
	t := nalu[0] & 0x1F
	return t == 7 || t == 8, t == 9
}

func (f *film) isKey(nalu []byte) bool {
	if f.h265 {
		t := nalu[0] >> 1 & 0x3F
		return t >= 16 && t <= 21
	}
	return nalu[0]&0x1F == 5
}

func (f *film) isReference(nalu []byte) bool {
	if f.h265 {
		t := nalu[0] >> 1 & 0x3F // H.265 Table 7-1: below 16 the even ones are no references
		return t >= 16 || t%2 == 1
	}
	return nalu[0]&0x60 != 0
}

// orderDisplay gives each picture its place: a picture that others refer to is shown after the B-pictures that follow it.
func (f *film) orderDisplay(refs []bool) {
	next, held := 0, -1
	show := func(n int) {
		if n >= 0 {
			f.pictures[n].display = next
			next++
		}
	}
	for n, ref := range refs {
		if ref {
			show(held)
			held = n
		} else {
			show(n)
		}
	}
	show(held)
}
