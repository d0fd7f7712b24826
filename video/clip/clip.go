// Package clip cuts the pictures around an alarm out of a camera's ring into a sealed MP4, and takes a still of the
// alarm moment.
//
// The Cutter works off what the journal wants. A clip begins at the IDR at or before the asked beginning, is written as
// fragments of at most a second while the pictures come, and appears by fsync, rename and fsync of the directory; only then
// the journal hears of it. What a kill leaves behind is taken up again: a file that was renamed is adopted, a half one is cut
// back to its last whole fragment and sealed, one that has nothing is begun anew or reported lost. After a boot nothing is
// begun anew: the pictures were in memory. Of a recorded camera they were not: what the ring no longer has is read from its segments, without
// a hole where the two meet, and what a restart or a boot interrupted is cut again and whole. Every wanted clip ends as ready or lost,
// and says why it is shorter than asked; what is missing of it is in its fact.
//
// Pictures are H.264 or H.265, copied bit by bit. Sound goes beside them when the camera's is taken at all: AAC and Opus as they are,
// G.711 and L16 as LPCM of 16 bits ("ipcm", ISO/IEC 23003-5), which ffmpeg 5.1 and Chromium play. It never begins before the first
// picture, and what is wrong with it costs none.
//
// A repeat of the alarm moves the end of its clip on: before a clip ends it asks the journal. Clips of the same minutes are files of their own
// that share the pictures in memory; of a segment the kernel's page cache has what another clip has just read.
//
// The file of a clip is written once, from its beginning to its end, and Options.Growing is told of every whole fragment: so it can
// be sent while it grows. The fragment that ends it is written as soon as the first picture after the end is there.
//
// A clip holds no pictures of its own but those of the fragment that it is writing: it reads the ring by position. If the
// disk is slower than the ring is long, pictures are missing and the clip's reason says so; the camera and the journal
// never wait for it (P5). Of the disk it leaves alone what the journal may need.
package clip

import (
	"context"
	"log/slog"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
	"sitewatch/video/segment"
)

// Jobs is the journal's side: which clips are wanted, and where they are told of.
type Jobs interface {
	WantedClips(ctx context.Context) ([]edge.ClipJob, error)
	ClipsChanged() <-chan struct{}
	ClipCutting(ctx context.Context, id edge.ClipID) error
	StillReady(ctx context.Context, f edge.ClipFile) error
	ClipReady(ctx context.Context, fact edge.ClipFact, f edge.ClipFile) error
	ClipLost(ctx context.Context, id edge.ClipID, reason string) error
	// ClipClosing returns where the clip is to end by now. When that is not later than to, it never will be.
	ClipClosing(ctx context.Context, id edge.ClipID, to time.Time) (time.Time, error)
}

// Stiller makes a JPEG of a keyframe. It is motion.Eye; a clip without still is fine.
type Stiller interface {
	Still(ctx context.Context, p video.Params, u video.AccessUnit) ([]byte, error)
}

// Camera is where the pictures of one camera come from.
type Camera struct {
	Ring    *ring.Ring
	Trouble func() string // why there are no pictures, "" while they come; nil: unknown
	// Offset is how far the camera's own clock is ahead of the box's; ok is false when it tells no time. nil: it is not known.
	Offset func() (ahead time.Duration, ok bool)
}

// Options describe a Cutter.
type Options struct {
	Store   *segment.Store // what cameras have sent before; nil: no camera is recorded
	Dir     string         // where clips are; it must exist
	Cameras map[edge.CameraID]Camera
	Jobs    Jobs
	Eye     Stiller // nil: no stills
	Clock   edge.Clock
	Log     *slog.Logger
	Cutting func(edge.ClipRef) // told after ClipCutting, from many goroutines; it does not block. nil: nobody
	// Growing is told of every whole fragment that was added to a clip's file, from many goroutines; it does not block. nil: nobody.
	Growing func(Growth)
	// AtOnce is how many clips are cut at a time, 32 when zero. The rest wait in the order of their alarms and hold no
	// memory while they do. One that waits for longer than the ring is deep begins with what the ring still has, and its
	// reason says so: holding the pictures for all of them instead would grow with the number of alarms (P7), and the
	// clips that are being cut of the same cameras show the same minute.
	AtOnce int
	// MinFreeBytes of the disk are left alone, 64 MiB when zero: the journal is on the same disk, and an alarm that cannot
	// be journalled is worse than one without pictures (P5).
	MinFreeBytes int64
	Free         func(dir string) (int64, error) // bytes free on the disk of dir; nil: ask the kernel
}

// Growth is a clip that is being cut: Path has SizeBytes of whole fragments by now. They are written and not synced. The file only
// ever grows until its name becomes that of the clip, with the bytes that were told of as its beginning: who has it open reads on.
// After a power cut the file may be shorter again, and what follows may be other: the digest of the finished clip decides.
type Growth struct {
	Ref       edge.ClipRef
	Seq       edge.Seq // of the event that asked
	Path      string
	SizeBytes int64
}

const (
	// grace is how long after its end a clip waits for pictures that are late, or for a camera that is away.
	grace = 5 * time.Second
	// fragmentTicks and fragmentBytes end a fragment: what a kill can cost, and what a clip holds in memory.
	fragmentTicks = video.Second
	fragmentBytes = 4 << 20
	// maxClipBytes bounds a file: half a minute of 70 Mbit/s, which no camera that is what it says sends.
	maxClipBytes = 256 << 20
	// slack is how much later than asked a clip may begin without that being worth a reason: an IDR every few seconds is
	// common, and the first picture after the beginning is then as good as any.
	slack = 500 * time.Millisecond
)

// maxSpan is the longest clip that anybody can configure, and how far from its alarm one may end.
const maxSpan = 10 * time.Minute

// span is what a job asks for. Stamps without a boot are of the wall clock alone.
type span struct{ at, from, to edge.Stamp }

// spanOf measures by Mono, for an alarm's job (edge/TIME.md). From and To are of the wall clock at arrival and
// At is of the commit a moment later; when the alarm is outside of what they span, the wall clock was stepped in between.
// How long the clip should be is certain even then, and the alarm is put into its middle. A clip that somebody asks for has
// no alarm: those minutes of the wall clock are meant, and no others; its still is of its beginning.
func spanOf(job edge.ClipJob, now edge.Stamp) span {
	length := min(max(job.To.Sub(job.From), 0), maxSpan)
	if job.Kind == edge.KindCommandDone {
		from := edge.Stamp{Wall: job.From}
		return span{at: from, from: from, to: moved(from, length)}
	}
	at := job.At
	if ahead, same := at.Since(now); same && ahead > 0 {
		at = now
	}
	before := job.At.Wall.Sub(job.From)
	if before < 0 || before > length+maxSpan {
		before = length / 2
	}
	return span{at: at, from: moved(at, -before), to: moved(at, length-before)}
}

func moved(s edge.Stamp, d time.Duration) edge.Stamp {
	s.Wall, s.Mono = s.Wall.Add(d), s.Mono+d
	return s
}

// since is how long after o the stamp s is: by Mono where both are of one boot, else the wall clock is all that there is.
func since(s, o edge.Stamp) time.Duration {
	if d, same := s.Since(o); same {
		return d
	}
	return s.Wall.Sub(o.Wall)
}

// monoOf is where s lies on the monotonic clock of now.
func monoOf(s, now edge.Stamp) time.Duration { return now.Mono + since(s, now) }
