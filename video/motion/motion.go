// Package motion watches cameras for movement, in processes of their own.
//
// It has three parts. The pipe (pipe.go, PIPE.md) is how the gateway and an eye speak. The model (model.go) says whether
// something moves between small grids of brightness; it is pure and runs in the eye. Eye (eye.go) is the gateway's side: it
// starts the process, feeds it and takes its reports. Decoding is in cmd/eye alone, so that a picture that breaks the
// decoder kills an eye, which is started again, and never the gateway (P5, P6).
package motion

import (
	"context"

	"sitewatch/edge"
	"sitewatch/video"
)

// Interval is a time in which something moved before a camera.
type Interval struct {
	From, To edge.Stamp
	Open     bool   // it has begun and not ended; To is From then
	Why      string // one sentence
}

// Reporter takes intervals: once with Open when one begins and once without when it ends. It is called from one goroutine
// and may wait for a disk, as long as ctx goes on: that is the one of Eye.Run, which waits for the Reporter in turn.
type Reporter interface {
	Motion(ctx context.Context, camera edge.CameraID, i Interval)
}

// State is what a Motion message says of an interval.
type State uint8

const (
	Start State = 1
	Keep  State = 2
	End   State = 3
)

// Message is one message of the pipe: *OpenCamera, *Unit, *StillRequest, *Ready, *Motion or *StillReply.
type Message interface {
	kind() byte
	append(b []byte) []byte
	parse(r *fields)
}

type (
	// OpenCamera gives the parameters of a camera's pictures.
	OpenCamera struct {
		Camera edge.CameraID
		Params video.Params
	}
	// Unit is one picture of a camera.
	Unit struct {
		Camera   edge.CameraID
		PTS      video.Ticks90k
		Keyframe bool
		Data     []byte
	}
	// StillRequest asks for a JPEG of a keyframe.
	StillRequest struct {
		ID     uint32
		Params video.Params
		Data   []byte
	}
	// Ready is an eye's first message.
	Ready struct {
		Version uint16
		Build   string
	}
	// Motion says that something moves.
	Motion struct {
		Camera edge.CameraID
		State  State
		PTS    video.Ticks90k
		Why    string
	}
	// StillReply answers a StillRequest: a JPEG, or what was wrong.
	StillReply struct {
		ID   uint32
		OK   bool
		Data []byte
	}
)

// Version of the pipe.
const Version = 1
