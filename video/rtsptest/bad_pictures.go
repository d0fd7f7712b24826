package rtsptest

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// giant is an SPS (H.264 §7.3.2.1.1) of Baseline, level 6.2: 1024 by 1024 macroblocks.
var giant = []byte{0x67, 0x42, 0x00, 0x3E, 0xDA, 0x00, 0x10, 0x00, 0x00, 0x80, 0x19}

// badPictures are those whose pictures are odd.
func badPictures() []Bad {
	return []Bad{
		{Name: "sets-in-the-pictures", Does: "has no parameter sets in its description", From: "RFC 6184 §8.1, sprop-parameter-sets is optional; Jovision JVS-N815-B-PE (RTSPtoWeb 98)", Plays: true,
			sdp: func(head, media string) string {
				before, _, _ := strings.Cut(media, " sprop-parameter-sets=")
				return head + strings.TrimSuffix(before, ";") + "\r\na=control:track=0\r\n"
			}},
		{Name: "sets-in-the-description", Does: "has parameter sets in its description only", From: "RFC 6184 §8.1", Plays: true,
			nalus: func(_ *peer, _ int, pic picture) [][]byte { return pic.nalus }},
		{Name: "no-sets", Does: "has parameter sets nowhere", From: "RFC 6184 §8.4", nalus: func(_ *peer, _ int, pic picture) [][]byte { return pic.nalus },
			sdp: func(head, media string) string {
				before, _, _ := strings.Cut(media, " sprop-parameter-sets=")
				return head + before + "\r\na=control:track=0\r\n"
			}},
		{Name: "changes-size", Does: "changes its picture from 176x144 to 128x96 and back", From: "H.264 §7.4.1.2.1; day and night profiles", Plays: true,
			nalus: func(p *peer, n int, pic picture) [][]byte {
				if n/10%2 == 1 {
					if p.other == nil {
						p.other = loadFilm("small.h264")
					}
					pic = p.other.pictures[n%len(p.other.pictures)]
				}
				return append(slices.Clone(pic.sets), pic.nalus...)
			}},
		{Name: "b-pictures", Does: "sends B-pictures, so that times do not rise", From: "H.264 §7.4.3, Main profile", Plays: true, film: "b.h264"},
		{Name: "many-slices", Does: "cuts each picture into four slices", From: "H.264 §7.3.4", Plays: true, film: "slices.h264"},
		{Name: "aggregates", Does: "puts NAL units together in one packet", From: "RFC 6184 §5.7.1, STAP-A", Plays: true, film: "slices.h264", fragment: 1 << 16,
			mangle: func(p *peer, _ int, ps []packet) []packet {
				first := ps[0]
				first.marker, first.payload = true, stapA(payloadsOf(ps))
				p.seq = first.seq + 1
				return []packet{first}
			}},
		{Name: "all-intra", Does: "sends IDR pictures only", From: "H.264 §7.4.1.2.4", Plays: true,
			nalus: func(p *peer, n int, _ picture) [][]byte {
				pic := p.film.pictures[n*10%len(p.film.pictures)]
				return append(slices.Clone(pic.sets), pic.nalus...)
			}},
		{Name: "endless-gop", Does: "sends one IDR and never another", From: "H.264 §7.4.1.2.4; smart codecs, `H.264+`", Plays: true, film: "endless.h264", loopFrom: 1},
		{Name: "frozen", Does: "sends the same picture again and again after ten", From: "a sensor that died behind an encoder that lives", Plays: true,
			nalus: func(p *peer, n int, pic picture) [][]byte {
				if n >= 10 {
					pic = p.film.pictures[20]
				}
				return append(slices.Clone(pic.sets), pic.nalus...)
			}},
		{Name: "giant-picture", Does: "claims pictures of 16384x16384", From: "H.264 §A.3.1 allows no such level",
			sdp: func(head, media string) string {
				before, _, _ := strings.Cut(media, " sprop-parameter-sets=")
				return head + before + "\r\na=control:track=0\r\n"
			},
			nalus: func(_ *peer, _ int, pic picture) [][]byte {
				out := append(slices.Clone(pic.sets), pic.nalus...)
				if pic.key {
					out[0] = giant
				}
				return out
			}},
		{Name: "thousand-a-second", Does: "claims 1,000 pictures a second, and sends them", From: "H.264 §E.2.1", film: "fast.h264", every: time.Millisecond, burst: 20,
			sdp: func(head, media string) string { return head + media + "a=framerate:1000\r\n" }},
		{Name: "h265-idr-n-lp", Does: "sends H.265 whose key pictures are IDR_N_LP", From: "H.265 Table 7-1; x265 without B-pictures", Plays: true, film: "idr.h265"},
		{Name: "h265-cra", Does: "sends H.265 whose key pictures are CRA, with RASL pictures that cannot be decoded at first", From: "H.265 §8.1.3; open GOPs", Plays: true, film: "cra.h265", from: 10},
		{Name: "h265-sets-in-the-pictures", Does: "sends H.265 without parameter sets in its description", From: "RFC 7798 §7.1, sprop-sps is optional", Plays: true, film: "idr.h265",
			sdp: func(head, media string) string {
				before, rest, _ := strings.Cut(media, "a=fmtp:")
				_, after, _ := strings.Cut(rest, "\r\n")
				return head + before + after
			}},
		{Name: "sets-alone", Does: "gives parameter sets the time of the picture before, and a marker of their own", From: "RFC 6184 §5.1; Reolink RLC-822A (retina 13)", Plays: true,
			mangle: func(_ *peer, _ int, ps []packet) []packet {
				for i := range ps {
					if t := ps[i].payload[0] & 0x1F; t == 7 || t == 8 {
						ps[i].marker = t == 7
						ps[i].ts -= ticksApart
					}
				}
				return ps
			}},
		{Name: "many-nal-units", Does: "puts 5,000 NAL units into one picture", From: "H.264 §7.4.1.2.3 knows no limit",
			nalus: func(_ *peer, _ int, pic picture) [][]byte {
				out := append(slices.Clone(pic.sets), pic.nalus...)
				return append(out, slices.Repeat([][]byte{bytes.Repeat([]byte{0x06}, 4)}, 5000)...)
			}},
	}
}

func payloadsOf(ps []packet) (out [][]byte) {
	for _, k := range ps {
		out = append(out, k.payload)
	}
	return out
}
