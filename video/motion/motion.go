// Package motion watches cameras for movement, in processes of their own.
//
// It has three parts. The pipe (pipe.go, PIPE.md) is how the gateway and an eye speak. The model (model.go) says whether
// something moves between small grids of brightness; it is pure and runs in the eye. Eye (eye.go) is the gateway's side: it
// starts the process, feeds it and takes its reports; a Pool has several. Decoding is in cmd/eye alone, so that a picture that breaks the
// decoder kills an eye, which is started again, and never the gateway (P5, P6).
package motion

import (
	"context"
	"fmt"

	"sitewatch/edge"
	"sitewatch/video"
)

// Interval is a time in which something moved before a camera.
type Interval struct {
	From, To edge.Stamp
	Open     bool   // it has begun and not ended; To is From then
	Cells    uint64 // where: bit 8*row+column of 8 by 8 parts of the picture
	Why      string // one sentence
}

// SceneChange says that a camera sees what it should not, or that this is over.
type SceneChange struct {
	Trouble Trouble
	Over    bool
	At      edge.Stamp
	Why     string
}

// Reporter takes intervals: once with Open when one begins and once without when it ends; and what is wrong with a scene. It is called from one goroutine
// and may wait for a disk, as long as ctx goes on: that is the one of Eye.Run, which waits for the Reporter in turn.
type Reporter interface {
	Motion(ctx context.Context, camera edge.CameraID, i Interval)
	Scene(ctx context.Context, camera edge.CameraID, c SceneChange)
}

// State is what a Motion message says of an interval.
type State uint8

const (
	Start State = 1
	Keep  State = 2
	End   State = 3
)

// Grade is how closely a camera is looked at.
type Grade uint8

const (
	Watching Grade = 1 // keyframes, and every picture while something may be moving
	Alert    Grade = 2 // every picture, but where the camera's own coding has proved to tell
)

// Trouble is what may be wrong with what a camera sees.
type Trouble uint8

const (
	Covered   Trouble = 1
	Moved     Trouble = 2
	Defocused Trouble = 3
)

func (t Trouble) String() string {
	switch t {
	case Covered:
		return "covered"
	case Moved:
		return "moved"
	case Defocused:
		return "defocused"
	}
	return fmt.Sprintf("trouble(%d)", uint8(t))
}

// Message is one message of the pipe.
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
	// Setup says how a camera is to be looked at. Without one it is watched with what is usual.
	Setup struct {
		Camera  edge.CameraID
		Grade   Grade
		Options ModelOptions
	}
	// Hint says that somebody else believes that something moves: every picture is looked at for a while.
	Hint struct{ Camera edge.CameraID }
	// Recall says what is wrong with what a camera sees since an earlier eye's time, and what it usually sees, as that one has said it.
	Recall struct {
		Camera  edge.CameraID
		Trouble Trouble
		Usual   []byte
	}
	// Unit is one picture of a camera.
	Unit struct {
		Camera   edge.CameraID
		Number   uint32 // of the gateway's choosing, for Hand
		PTS      video.Ticks90k
		Keyframe bool
		Lost     bool // something is missing between the picture before and this one
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
		At     video.Ticks90k // of the newest unit that the eye had taken
		Box    Box            // where, at the time of PTS
		Where  uint64         // where, since the interval began: bit 8*row+column of 8 by 8 parts of the picture
		Why    string
	}
	// Scene says that a camera sees what it should not, or sees well again (End).
	Scene struct {
		Camera  edge.CameraID
		Trouble Trouble
		State   State // Start or End
		PTS     video.Ticks90k
		Why     string
		Usual   []byte // with Start: what it usually sees, for Recall
	}
	// Hand says which unit the decoder gets next: if the eye dies before Done, that one has killed it.
	Hand struct{ Number uint32 }
	// HandStill is the same of the picture of a StillRequest.
	HandStill struct{ ID uint32 }
	// Done says that nothing is in hand any more.
	Done struct{}
	// Tally counts, since the camera was opened first.
	Tally struct {
		Camera                  edge.CameraID
		Units, Decoded, Damaged uint32
		Awake                   bool // every picture is decoded
	}
	// StillReply answers a StillRequest: a JPEG, or what was wrong.
	StillReply struct {
		ID   uint32
		OK   bool
		Data []byte
	}
)

// Box is a part of the picture, from 0 to 65535 of its width and height.
type Box struct{ X0, Y0, X1, Y1 uint16 }

// Version of the pipe.
const Version = 3
