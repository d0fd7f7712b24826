package rtsp

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/sdp"

	"sitewatch/edge"
	"sitewatch/video"
)

// choice is what is taken of what a camera describes.
type choice struct {
	media         *description.Media
	format        format.Format
	codec         video.Codec
	vps, sps, pps []byte // as far as the description has them
}

// choose takes the first video that can be used.
func choose(desc *description.Session) (c choice, err error) {
	var offered []string
	for _, m := range desc.Medias {
		for _, f := range m.Formats {
			if m.IsBackChannel {
				continue
			}
			switch f := f.(type) {
			case *format.H264:
				if f.PacketizationMode < 2 { // 2 is interleaved: no camera has been seen to do it
					return choice{media: m, format: f, codec: video.H264, sps: f.SPS, pps: f.PPS}, nil
				}
			case *format.H265:
				if f.MaxDONDiff == 0 {
					return choice{media: m, format: f, codec: video.H265, vps: f.VPS, sps: f.SPS, pps: f.PPS}, nil
				}
			}
			if m.Type == description.MediaTypeVideo {
				offered = append(offered, f.Codec())
			}
		}
	}
	if len(offered) > 0 {
		err = fmt.Errorf("%w, but %s", ErrNoVideo, strings.Join(offered[:min(3, len(offered))], ", "))
	} else {
		err = ErrNoVideo
	}
	return c, edge.WithHint(err, "set this stream of the camera to H.264 or H.265")
}

// maxMedias bounds the parts of a description that are looked at.
const maxMedias = 32

// plainHead is the beginning of a description that every reader understands.
const plainHead = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"

// mend leaves out of a description (SDP, RFC 8866) what cannot be read or is not wanted, because the client refuses the whole for a
// wrong part: sound with a bad configuration must not cost the pictures. What cannot be mended comes back as it was.
func mend(body []byte) (mended []byte) {
	defer func() {
		if recover() != nil {
			mended = body
		}
	}()
	var head []string
	var medias [][]string
	other := false // in a part that is of no use here
	for line := range strings.Lines(string(body)) {
		line = strings.TrimRight(line, "\r\n \x00")
		switch {
		case line == "" || strings.HasPrefix(line, "a=mid:") || strings.HasPrefix(line, "a=group:"):
		case strings.HasPrefix(line, "m="):
			other = !strings.HasPrefix(line, "m=video") && !strings.HasPrefix(line, "m=audio")
			if other {
				continue
			}
			if len(medias) == maxMedias {
				return body
			}
			medias = append(medias, []string{line})
		case other:
		case len(medias) > 0:
			medias[len(medias)-1] = append(medias[len(medias)-1], line)
		default:
			head = append(head, line)
		}
	}
	var b bytes.Buffer
	const probe = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
	if h := join(head); readable(h + probe) {
		b.WriteString(h)
	} else {
		b.WriteString(plainHead)
		b.WriteString(join(keep(head, func(l string) bool { return strings.HasPrefix(l, "a=control:") || strings.HasPrefix(l, "a=key-mgmt:") })))
	}
	n := 0
	for _, m := range medias {
		text := join(m)
		if !readable(plainHead+text) && strings.HasPrefix(m[0], "m=video") {
			// Parameter sets come with the pictures as well.
			text = join(keep(m, func(l string) bool { return !strings.HasPrefix(l, "a=fmtp:") }))
		}
		if readable(plainHead + text) {
			b.WriteString(text)
			n++
		}
	}
	if n == 0 {
		return body
	}
	return b.Bytes()
}

func join(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l)
		b.WriteString("\r\n")
	}
	return b.String()
}

func keep(lines []string, want func(string) bool) (out []string) {
	for _, l := range lines {
		if want(l) {
			out = append(out, l)
		}
	}
	return out
}

// readable says whether the client would take the description.
func readable(text string) bool {
	var s sdp.SessionDescription
	if s.Unmarshal([]byte(text)) != nil {
		return false
	}
	var d description.Session
	return d.Unmarshal(&s) == nil
}
