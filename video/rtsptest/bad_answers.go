package rtsptest

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// on makes of f an answer to one method only; the others get the usual one.
func on(method string, f func(p *peer, q request) error) func(context.Context, *peer, request) (bool, error) {
	return func(_ context.Context, p *peer, q request) (bool, error) {
		if q.method != method {
			return false, nil
		}
		return true, f(p, q)
	}
}

// with answers a method with a status and header lines.
func with(method, status string, lines ...string) func(context.Context, *peer, request) (bool, error) {
	return on(method, func(p *peer, q request) error { return p.reply(q, status, "", lines...) })
}

// described answers DESCRIBE as usual but for what edit does to the whole response.
func described(edit func(response string) string) func(context.Context, *peer, request) (bool, error) {
	return on("DESCRIBE", func(p *peer, q request) error {
		return p.write([]byte(edit(response(q, "200 OK", p.sdp(), "Content-Base: "+strings.TrimSuffix(q.url, "/")+"/", "Content-Type: application/sdp"))))
	})
}

// flood writes head and then piece again and again.
func flood(p *peer, head, piece string, times int) error {
	if err := p.write([]byte(head)); err != nil {
		return err
	}
	for range times {
		if err := p.write([]byte(piece)); err != nil {
			return err
		}
	}
	return nil
}

const digest = `WWW-Authenticate: Digest realm="camera", nonce="%s", algorithm="MD5"`

// badAnswers are those that are wrong before the first picture.
func badAnswers() []Bad {
	return []Bad{
		{Name: "mute", Does: "takes the connection and answers nothing", From: "firmware that hangs behind an open port",
			answer: func(context.Context, *peer, request) (bool, error) { return true, nil }},
		{Name: "web-page", Does: "answers with a web page", From: "the web port in the address instead of 554",
			answer: func(_ context.Context, p *peer, _ request) (bool, error) {
				return true, errors.Join(p.write([]byte("HTTP/1.1 400 Bad Request\r\nServer: Boa/0.94\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html></html>")), errHungUp)
			}},
		{Name: "hangs-up-at-once", Does: "closes the connection after the first request", From: "all sessions are taken",
			answer: func(context.Context, *peer, request) (bool, error) { return true, errHungUp }},
		{Name: "stalls-after-describe", Does: "answers DESCRIBE and no SETUP", From: "RFC 2326 §10.4; its one session is taken",
			answer: on("SETUP", func(*peer, request) error { return nil })},
		{Name: "stalls-after-setup", Does: "answers SETUP and no PLAY", From: "RFC 2326 §12.37, a session that nobody frees",
			answer: on("PLAY", func(*peer, request) error { return nil })},
		{Name: "busy", Does: "answers DESCRIBE with 503", From: "RFC 2326 §7.1.1, too many viewers", answer: with("DESCRIBE", "503 Service Unavailable")},
		{Name: "broken-inside", Does: "answers DESCRIBE with 500", From: "RFC 2326 §7.1.1, while it restarts its encoder", answer: with("DESCRIBE", "500 Internal Server Error")},
		{Name: "wrong-path", Does: "answers DESCRIBE with 404", From: "RFC 2326 §7.1.1", answer: with("DESCRIBE", "404 Not Found")},
		{Name: "wrong-password", Does: "answers 401 whatever the password", From: "RFC 2617 §3.2; many lock out after a few tries",
			answer: with("DESCRIBE", "401 Unauthorized", fmt.Sprintf(digest, "e3a1f0"))},
		{Name: "forbidden", Does: "answers 403 to the right password", From: "RFC 2326 §7.1.1, a user without the right to look", answer: with("DESCRIBE", "403 Forbidden")},
		{Name: "basic-only", Does: "offers Basic authentication only", From: "RFC 2617 §2; the password would go in clear",
			answer: with("DESCRIBE", "401 Unauthorized", `WWW-Authenticate: Basic realm="camera"`)},
		{Name: "odd-digest", Does: "asks for a Digest algorithm that nobody knows", From: "RFC 7616 §3.3",
			answer: with("DESCRIBE", "401 Unauthorized", `WWW-Authenticate: Digest realm="camera", nonce="1", algorithm="MD4-sess"`)},
		{Name: "redirect-loop", Does: "redirects to itself for ever", From: "RFC 2326 §11.1",
			answer: on("DESCRIBE", func(p *peer, q request) error { return p.reply(q, "302 Moved Temporarily", "", "Location: "+q.url) })},
		{Name: "redirect-elsewhere", Does: "redirects to another host, where nobody is", From: "RFC 2326 §11.1; the credentials would go there",
			answer: with("DESCRIBE", "302 Moved Temporarily", "Location: rtsp://127.0.0.2:9/elsewhere")},
		{Name: "no-cseq", Does: "leaves CSeq out of every answer", From: "RFC 2326 §12.17 wants it", Plays: true,
			answer: func(_ context.Context, p *peer, q request) (bool, error) {
				lines := map[string][]string{
					"OPTIONS": {"Public: DESCRIBE, SETUP, PLAY"}, "PLAY": {"Session: " + session},
					"SETUP":    {"Session: " + session, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"},
					"DESCRIBE": {"Content-Type: application/sdp", "Content-Base: " + strings.TrimSuffix(q.url, "/") + "/"}}
				if lines[q.method] == nil || q.method == "SETUP" || q.method == "PLAY" { // the usual answers set the session up
					return false, nil
				}
				body := ""
				if q.method == "DESCRIBE" {
					body = p.sdp()
				}
				text := response(q, "200 OK", body, lines[q.method]...)
				return true, p.write([]byte(strings.Replace(text, "CSeq: "+q.header["cseq"]+"\r\n", "", 1)))
			}},
		{Name: "wrong-cseq", Does: "answers with a CSeq that nobody sent", From: "RFC 2326 §12.17",
			answer: func(_ context.Context, p *peer, q request) (bool, error) {
				q.header["cseq"] = "4711"
				return true, p.reply(q, "200 OK", "")
			}},
		{Name: "body-too-long", Does: "says a Content-Length that is longer than what comes", From: "RFC 2326 §12.14",
			answer: described(func(r string) string { return strings.Replace(r, "Content-Length: ", "Content-Length: 1", 1) })},
		{Name: "body-too-short", Does: "says a Content-Length that is shorter than what comes", From: "RFC 2326 §12.14; the rest of the SDP is no answer",
			answer: described(func(r string) string {
				return strings.Replace(r, "Content-Length: ", "Content-Length: 2\r\nX-Was: ", 1)
			})},
		{Name: "endless-header", Does: "sends header lines for ever", From: "RFC 2326 §15.1 knows no limit",
			answer: on("DESCRIBE", func(p *peer, _ request) error {
				return flood(p, "RTSP/1.0 200 OK\r\n", strings.Repeat("X-More: and more\r\n", 512), 1<<7)
			})},
		{Name: "endless-line", Does: "sends one header line for ever", From: "RFC 2326 §15.1 knows no limit",
			answer: on("DESCRIBE", func(p *peer, _ request) error {
				return flood(p, "RTSP/1.0 200 OK\r\nX-More: ", strings.Repeat("a", 8192), 1<<7)
			})},
		{Name: "endless-body", Does: "says a Content-Length of 4 GB and sends", From: "RFC 2326 §12.14",
			answer: on("DESCRIBE", func(p *peer, q request) error {
				return flood(p, "RTSP/1.0 200 OK\r\nCSeq: "+q.header["cseq"]+"\r\nContent-Type: application/sdp\r\nContent-Length: 4294967295\r\n\r\n", strings.Repeat("a=b\r\n", 1600), 1<<7)
			})},
		{Name: "sdp-malformed", Does: "describes itself with rubbish", From: "RFC 4566 §5",
			sdp: func(string, string) string { return "v=zero\r\nm=video video RTP\r\na=rtpmap:\x00\xff\r\n" }},
		{Name: "sdp-empty", Does: "describes itself with nothing", From: "RFC 4566 §5, no v= line", answer: described(func(r string) string {
			head, _, _ := strings.Cut(r, "\r\n\r\n")
			_, length, _ := strings.Cut(head, "Content-Length: ")
			return strings.Replace(head, "Content-Length: "+length, "Content-Length: 0", 1) + "\r\n\r\n"
		})},
		{Name: "sdp-huge", Does: "describes itself with a megabyte", From: "RFC 4566 knows no limit",
			sdp: func(head, media string) string {
				return head + media + strings.Repeat("a=x:0123456789abcdef\r\n", 50000)
			}},
		{Name: "sdp-200-medias", Does: "offers 200 streams, the last of which shows pictures", From: "RFC 4566 §5.14 knows no limit", Plays: true,
			sdp: func(head, media string) string {
				other := "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:track=9\r\n"
				return head + strings.Repeat(other, 199) + media
			}},
		{Name: "sdp-no-video", Does: "offers sound only", From: "an audio encoder's address",
			sdp: func(head, _ string) string { return head + "m=audio 0 RTP/AVP 0\r\na=control:track=1\r\n" }},
		{Name: "mjpeg-only", Does: "offers Motion JPEG only", From: "RFC 2435; old cameras",
			sdp: func(head, _ string) string { return head + "m=video 0 RTP/AVP 26\r\na=control:track=0\r\n" }},
		{Name: "jpeg-first", Does: "offers Motion JPEG ahead of H.264", From: "ONVIF Streaming §5.1, two video medias", Plays: true,
			sdp: func(head, media string) string { return head + "m=video 0 RTP/AVP 26\r\na=control:track=7\r\n" + media }},
		{Name: "sdp-bad-sets", Does: "has parameter sets in its description that are rubbish, and good ones in the pictures", From: "RFC 6184 §8.1; VStarcam (scottlamb/retina 42)", Plays: true,
			sdp: func(head, media string) string {
				before, _, _ := strings.Cut(media, "sprop-parameter-sets=")
				return head + before + "sprop-parameter-sets=Z2QAKP///w==,aA==\r\na=control:track=0\r\n"
			}},
		{Name: "udp-only", Does: "refuses RTP over TCP and sends it over UDP", From: "RFC 2326 §10.12 is optional; VLC 3, rtsp-streaming-server 2", Plays: true, udp: true},
		{Name: "refuses-rtp", Does: "refuses RTP over TCP and over UDP", From: "RFC 2326 §11.3.15; it sends by multicast only", answer: with("SETUP", "461 Unsupported Transport")},
		{Name: "no-transport", Does: "answers SETUP without saying how the pictures come", From: "RFC 2326 §12.39", answer: with("SETUP", "200 OK", "Session: "+session)},
	}
}
