package rtsptest

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Bad is a camera that is wrong in one way. It speaks RTSP and RTP by itself, at the level of bytes, because no library would
// send most of this. It shows a film that is built in; what it sends depends on nothing but the client.
type Bad struct {
	Name  string // as a person would say it, with hyphens
	Does  string
	From  string // the camera or the clause that it is known from
	Plays bool   // a careful client gets pictures of it and goes on; if not, it says why

	film     string        // "plain.h264"
	from     int           // the first picture of it that is shown
	loopFrom int           // where the second round of the film begins
	pictures int           // shown and then no more, 0: all
	every    time.Duration // a picture, 0: 40 ms
	burst    int           // pictures sent at a time, 0: one
	fragment int           // bytes in a packet, 0: mtu
	firstTS  uint32        // RTP time of the first picture
	channel  byte          // interleaved channel that it takes whatever it is asked for
	udp      bool          // RTP goes over UDP alone
	timeout  time.Duration // it hangs up after so long a silence of the client
	sdp      func(head, media string) string

	answer func(ctx context.Context, p *peer, q request) (done bool, err error) // before the usual answer; an error hangs up
	play   func(ctx context.Context, p *peer)                                   // instead of showing the film
	nalus  func(p *peer, n int, pic picture) [][]byte                           // NAL units of the n-th picture
	mangle func(p *peer, n int, ps []packet) []packet                           // packets of the n-th picture
	after  func(ctx context.Context, p *peer)                                   // when pictures have been shown; then it hangs up
}

// Catalogue returns every bad camera that there is.
func Catalogue() (all []Bad) {
	for _, part := range [][]Bad{badAnswers(), badSessions(), badTimes(), badPackets(), badPictures()} {
		all = append(all, part...)
	}
	for i := range all {
		if all[i].film == "" {
			all[i].film = "plain.h264"
		}
	}
	return all
}

// BadNamed finds one by its name.
func BadNamed(name string) (Bad, error) {
	for _, b := range Catalogue() {
		if b.Name == name {
			return b, nil
		}
	}
	return Bad{}, fmt.Errorf("no bad camera is called %q; --bad list prints their names", name)
}

// List is the catalogue for people.
func List() string {
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	for _, b := range Catalogue() {
		fmt.Fprintf(w, "%s\t%s\t%s (%s)\n", b.Name, b.expected(), b.Does, b.From)
	}
	w.Flush()
	return s.String()
}

func (b Bad) expected() string {
	if b.Plays {
		return "plays"
	}
	return "in trouble"
}

// silence keeps the connection open and sends nothing more.
func silence(ctx context.Context, _ *peer) { <-ctx.Done() }
