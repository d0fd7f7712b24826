// Package rtsp takes access units from IP cameras by RTSP (RFC 2326), over TCP, UDP or TLS: H.264 by RFC 6184, H.265 by RFC 7798, and
// sound: AAC by RFC 3640 and RFC 6416, Opus by RFC 7587, G.711 and 16 bits by RFC 3551.
//
// A Source is one connection: its Run blocks until the connection ends and says why. A Camera owns the retry, the health
// (lost when no usable picture came for a while, restored with the first keyframe; frozen when pictures repeat) and the timeline that
// makes PTS one line across connections. Nothing that a camera sends panics the process or grows memory: units, fragments, rates
// and counts are bounded, and what the libraries do with its bytes runs under recover. Pictures behind a loss are not handed on
// before the next whole keyframe.
//
// Passwords are read from a file at each attempt, sent by Digest, or by Basic where TLS or the configuration allows it, to the
// configured host alone, and never logged.
package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// Sink receives what a camera sends. OnUnit is called from one goroutine at a time and must not block: it is the intake
// itself. The others are called from other ones, Lost and Restored in turn, Frozen and Thawed in turn, and may wait for a disk.
type Sink interface {
	OnUnit(u video.AccessUnit, p video.Params)
	// Lost says that no usable picture came for Options.LostAfter. It is called once until Restored.
	Lost(ctx context.Context, reason string)
	Restored(ctx context.Context)
	// Frozen says that the pictures repeat, or that RTP flows and no picture is in it. It is called once until Thawed.
	Frozen(ctx context.Context, reason string)
	Thawed(ctx context.Context)
}

// Options describe one stream of one camera.
type Options struct {
	ID           edge.CameraID
	URL          string // rtsp://host[:port]/path, without user and password
	User         string // "" when the camera asks for none
	PasswordFile string // its first line is the password
	// CAFile and CertificateSHA256 say how an rtsps camera is recognised: by an authority of its own, or by the SHA-256 of its
	// certificate (DER, in hex). Without both the system's authorities count.
	CAFile            string
	CertificateSHA256 string
	Basic             bool // Basic authentication is answered without TLS, so that the password goes in clear
	UDP               bool // RTP over UDP, and over TCP when none comes; if not, over UDP for rtsp alone, when the camera refuses TCP
	Audio             bool // hand the camera's sound on too
	Sink              Sink
	Pulse             *video.Pulse // when pictures over TCP are taken in; nil: as they come
	Clock             edge.Clock
	Log               *slog.Logger

	// Lost and Frozen say that an earlier run has called Sink.Lost or Frozen, and not Restored or Thawed: this one then calls these
	// when it is so.
	Lost, Frozen bool

	// Zero means the default, which keeps the promises of edge/DESIGN.md; tests are faster.
	LostAfter  time.Duration // 9 s: the event is out within 10
	StallAfter time.Duration // 5 s: a connection that brings no picture for so long is given up
	// KeyframeAfter is 8 s: a connection that brings pictures which cannot be used is given up, after 15 times as long when none
	// of it could be used yet.
	KeyframeAfter time.Duration
	UDPWait       time.Duration // 3 s: without a packet over UDP for so long TCP is used
	RetryMax      time.Duration // 3 s: with the dial timeout, a camera is back within 5 s of being reachable
	RefusedFor    time.Duration // 30 s: first pause after a wrong password, which cameras answer with a lock-out; it doubles up to 16 min
}

const dialTimeout = 2 * time.Second

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{{&o.LostAfter, 9 * time.Second}, {&o.StallAfter, 5 * time.Second}, {&o.KeyframeAfter, 8 * time.Second}, {&o.UDPWait, 3 * time.Second}, {&o.RetryMax, 3 * time.Second}, {&o.RefusedFor, 30 * time.Second}} {
		if *d.p == 0 {
			*d.p = d.def
		}
	}
	return o
}

// Errors that a Source's Run ends with, beside those of the network.
var (
	ErrRefused  = errors.New("rtsp: camera refused the user or the password")
	ErrBasic    = errors.New("rtsp: camera offers Basic authentication only")
	ErrNoVideo  = errors.New("rtsp: camera offers no H.264 or H.265 video")
	ErrStalled  = errors.New("rtsp: connected, but no pictures come")
	ErrUnusable = errors.New("rtsp: connected, but the pictures cannot be used")
	ErrAddress  = errors.New("rtsp: bad camera address")
)
