package motion

import (
	"bytes"
	"context"
	"errors"
	flags "flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	footage "sitewatch/video/film"
)

var (
	seeds = flags.Int("seeds", 100, "how many spoilt films the eyes of TestTorturedEyes see")
	first = flags.Uint64("first", 0, "the first of those seeds")
	films = flags.String("films", "none", "a folder of MP4 files to spoil instead of what ffmpeg draws")
)

// codings are how cameras code: what is spoilt of each takes another way through the decoder. Small pictures make many seeds cheap.
var codings = [][]string{
	{"-c:v", "libx264", "-g", "12", "-bf", "0", "-crf", "28"},
	{"-c:v", "libx265", "-crf", "30", "-x265-params", "log-level=none:keyint=12:bframes=0:pools=none"},
	{"-c:v", "libx264", "-g", "12", "-bf", "3", "-crf", "28", "-x264-params", "slices=3:b-pyramid=strict:weightp=2"},
	{"-c:v", "libx265", "-crf", "30", "-x265-params", "log-level=none:keyint=12:min-keyint=12:bframes=3:open-gop=0:slices=2:pools=none"},
	{"-c:v", "libx264", "-profile:v", "baseline", "-g", "12", "-crf", "28"},
	{"-c:v", "libx265", "-crf", "30", "-x265-params", "log-level=none:keyint=12:open-gop=0:wpp=1:rect=1:amp=1:tskip=1:weightb=1:pools=none"},
	{"-c:v", "libx264", "-g", "12", "-bf", "2", "-crf", "28", "-x264-params", "interlaced=1"},
	{"-c:v", "libx265", "-x265-params", "log-level=none:keyint=12:bframes=2:open-gop=1:lossless=1:pools=none"},
	{"-c:v", "libx264", "-g", "1", "-crf", "30"},
}

// cut is one GOP, and what of the next follows it.
type cut struct {
	units  []video.AccessUnit
	params video.Params
}

// cutsOf reads a film; each of its GOPs is a cut of at most so many pictures.
func cutsOf(t testing.TB, path string, most int) (cuts []cut) {
	t.Helper()
	f, err := footage.Open(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer f.Close()
	if err := f.Each(func(u video.AccessUnit, p video.Params) error {
		if u.Keyframe {
			cuts = append(cuts, cut{params: p})
		}
		if c := cuts[len(cuts)-1]; len(c.units) < most {
			cuts[len(cuts)-1].units = append(c.units, u)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return cuts
}

// material is the cuts to spoil, by coding: small copies of the films, each in three codings, and the films as they are.
func material(t testing.TB) (sets [][]cut) {
	t.Helper()
	inputs := [][]string{{"-f", "lavfi", "-i", "testsrc2=size=192x108:rate=10:duration=2,noise=alls=20:allf=t"}}
	each := len(codings)
	paths, err := filepath.Glob(filepath.Join(*films, "*.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Log("no footage is given: what ffmpeg draws is spoilt")
	} else {
		inputs, each = nil, 3
		for _, p := range paths {
			inputs = append(inputs, []string{"-ss", "8", "-t", "4", "-i", p})
			sets = append(sets, cutsOf(t, p, 6))
		}
	}
	dir := t.TempDir()
	for i, in := range inputs {
		for k := range each {
			c := codings[(i*each+k)%len(codings)]
			path := filepath.Join(dir, fmt.Sprintf("%d-%d.mp4", i, k))
			args := append(append([]string{"-v", "error", "-threads", "1"}, in...), "-an", "-vf", "scale=192:108,format=yuv420p", "-threads", "1")
			if out, err := exec.Command("ffmpeg", append(append(args, c...), path)...).CombinedOutput(); err != nil {
				t.Fatalf("ffmpeg, %v: %v\n%s", c, err, out)
			}
			sets = append(sets, cutsOf(t, path, 12))
		}
	}
	return sets
}

// spoil damages a cut as seed says: its pictures, now and then its parameters, or their order.
func spoil(sets [][]cut, seed uint64) cut {
	rnd := rand.New(rand.NewPCG(seed, 0x5EED))
	one := func() cut { s := sets[rnd.IntN(len(sets))]; return s[rnd.IntN(len(s))] }
	c := one()
	c.units = append([]video.AccessUnit(nil), c.units...)
	switch rnd.IntN(16) {
	case 0: // the parameters of another film
		if p := one().params; p.Codec == c.params.Codec {
			c.params = p
		}
	case 1: // those of the film, with flipped bits, if anybody takes them for any
		p := c.params
		p.VPS, p.SPS, p.PPS = bytes.Clone(p.VPS), bytes.Clone(p.SPS), bytes.Clone(p.PPS)
		b := [][]byte{p.SPS, p.PPS}[rnd.IntN(2)]
		for range 1 + rnd.IntN(3) {
			b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		}
		var err error
		if p.Codec == video.H264 {
			p, err = video.NewH264Params(p.SPS, p.PPS)
		} else {
			p, err = video.NewH265Params(p.VPS, p.SPS, p.PPS)
		}
		if err == nil {
			c.params = p
		}
	case 2: // pictures come again, or in another order
		i, j := rnd.IntN(len(c.units)), rnd.IntN(len(c.units))
		c.units[i].Data, c.units[j].Data = c.units[j].Data, c.units[i].Data
	}
	for range 1 + rnd.IntN(5) {
		i := rnd.IntN(len(c.units))
		b := bytes.Clone(c.units[i].Data)
		flip := func(n int) {
			for range 1 + rnd.IntN(30) {
				b[rnd.IntN(n)] ^= 1 << rnd.IntN(8)
			}
		}
		switch rnd.IntN(8) {
		case 0:
			b = b[:1+rnd.IntN(len(b))]
		case 1: // half of it is from another picture
			o := one().units[0].Data
			at := rnd.IntN(min(len(b), len(o)))
			copy(b[at:], o[at:])
		case 2: // in the slice's header
			flip(min(len(b), 24))
		case 3: // more than one picture in a unit
			if o := one(); o.params.Codec == c.params.Codec {
				b = append(b, o.units[rnd.IntN(len(o.units))].Data...)
			}
		default:
			flip(len(b))
		}
		c.units[i].Data = b
	}
	return c
}

// deaths is what became of the eyes, as their Run and the log tell it.
type deaths struct {
	slog.Handler
	t     *testing.T
	clock edge.Clock

	mu     sync.Mutex
	killed int             // by the test
	died   []time.Duration // by Mono, of eyes that are not back
	back   []time.Duration // how long it took
	why    []string        // of those that the test has not killed
}

func (d *deaths) Enabled(context.Context, slog.Level) bool { return true }

func (d *deaths) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "eye is ready" {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.died) > 0 {
		d.back = append(d.back, d.clock.Now().Mono-d.died[0])
		d.died = d.died[1:]
	}
	return nil
}

// ended notes how an eye's Run ended.
func (d *deaths) ended(ctx context.Context, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	d.died = append(d.died, d.clock.Now().Mono)
	if d.killed > 0 && strings.Contains(err.Error(), "signal: killed") {
		d.killed--
	} else if d.why = append(d.why, err.Error()); len(d.why) <= 20 {
		d.t.Log(err)
	}
}

// kill kills one eye, as a picture might.
func (d *deaths) kill(n int) {
	files, _ := filepath.Glob("/proc/self/task/*/children")
	var pids []int
	for _, f := range files {
		b, _ := os.ReadFile(f)
		for _, w := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(w); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	if len(pids) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if syscall.Kill(pids[n%len(pids)], syscall.SIGKILL) == nil {
		d.killed++
	}
}

// The eyes of a site see spoilt films, each camera one after another, as the gateway gives them: whatever it is, the gateway goes on, and an
// eye that dies comes back and sees the cameras again. Now and then one is killed, so that this happens at all.
func TestTorturedEyes(t *testing.T) {
	sets := material(t)
	clock := edge.NewSystemClock()
	d := &deaths{Handler: slog.DiscardHandler, t: t, clock: clock}
	ids := make([]edge.CameraID, 12)
	for i := range ids {
		ids[i] = edge.CameraID(fmt.Sprint("camera-", i))
	}
	bugs := t.TempDir()
	if dir := os.Getenv("BUGS"); dir != "" { // where pictures that end an eye are kept
		bugs = dir
	}
	p := NewPool(Options{Command: eyePath, Clock: clock, Log: slog.New(d), Reporter: &reported{}, Bugs: bugs}, ids)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, e := range p.Eyes() {
		wg.Go(func() { // as the supervisor does
			for ctx.Err() == nil {
				d.ended(ctx, e.Run(ctx))
				select {
				case <-time.After(LongestPause):
				case <-ctx.Done():
				}
			}
		})
	}
	defer wg.Wait()
	defer cancel()
	await := func(what string, cond func() bool) { // far longer than a busy machine needs
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); !cond(); <-time.After(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	await("an eye", func() bool { return p.Status().Up })
	for i, id := range ids {
		p.Setup(id, Grade(1+i%2), false, ModelOptions{Sensitivity: 1})
	}
	pts := video.Ticks90k(0)
	pictures, stills, left := 0, 0, 0
	began := clock.Now().Mono
	every := max(*seeds/40, 50)
	for n := range *seeds {
		seed := *first + uint64(n)
		c := spoil(sets, seed)
		id := ids[n%len(ids)]
		for i := 0; p.Camera(id, clock.Now()).Quarantined > 0 && i < len(ids); i++ {
			id = ids[(n+i)%len(ids)]
		}
		e := p.of[id]
		await("an eye to take what waits", func() bool { return e.Status().Up && e.pending() < queueUnits/4 && e.waiting() < queueBytes/4 })
		for _, u := range c.units {
			pts += video.Second / 10
			u.PTS, u.Arrival, u.Lost = pts, clock.Now(), 0
			p.Push(id, u, c.params)
			pictures++
		}
		if seed%16 == 3 {
			p.Hint(id, clock.Now())
		}
		if seed%64 == 5 {
			_, err := p.Still(ctx, c.params, c.units[0])
			if stills++; errors.Is(err, ErrNoEye) {
				left++
			}
		}
		if n%every == every/2 {
			d.kill(n / every)
		}
		if n%max(*seeds/20, 1000) == 999 {
			t.Logf("%d seeds, %d pictures, %d left out, after %v", n+1, pictures, p.Status().Dropped, (clock.Now().Mono - began).Round(time.Second))
		}
	}
	for _, e := range p.Eyes() {
		await("the eyes to take all", func() bool { return e.Status().Up && e.pending() == 0 })
	}
	// All that the eyes were given they see: an eye that lives, and nobody is in quarantine.
	good := sets[0][0]
	for _, id := range ids {
		was := p.Camera(id, clock.Now())
		if was.Quarantined > 0 {
			continue
		}
		await(fmt.Sprint(id, " to be seen again"), func() bool {
			if p.of[id].pending() > 0 {
				return false
			}
			for _, u := range good.units {
				pts += 2 * video.Second
				u.PTS, u.Arrival = pts, clock.Now()
				p.Push(id, u, good.params)
			}
			return p.Camera(id, clock.Now()).Decoded != was.Decoded
		})
	}
	cancel()
	wg.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	longest := time.Duration(0)
	for _, b := range d.back {
		longest = max(longest, b)
	}
	t.Logf("%d seeds from %d: %d pictures, %d of them left out, %d stills (%d had no eye), in %v; %d eyes died and were back, after %v at most; %d of them of pictures",
		*seeds, *first, pictures, p.Status().Dropped, stills, left, (clock.Now().Mono - began).Round(time.Second), len(d.back), longest.Round(time.Millisecond), len(d.why))
	if len(d.back) == 0 || len(d.died) > 0 {
		t.Errorf("%d eyes are back, %d are not", len(d.back), len(d.died))
	}
}

// pending is how many pictures wait for the eye.
func (e *Eye) pending() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.units
}
