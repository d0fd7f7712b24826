package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitewatch/edge"
)

// watcher looks at the SOC through its API, as any other client would.
type watcher struct {
	api           string // http://host:port/api/v1
	before, after time.Duration
	clock         edge.Clock
	up            edge.Stamp // when the programs were up
	newest        int64      // index of the newest event that was there before: what an earlier demo left is not shown again
}

func newWatcher(api string, before, after time.Duration, newest int64) *watcher {
	clock := edge.NewSystemClock()
	return &watcher{api: api, before: before, after: after, clock: clock, up: clock.Now(), newest: newest}
}

// newestIndex is the index of the newest event at the SOC, 0 for none.
func newestIndex(ctx context.Context, api string) (int64, error) {
	events, _, err := (&watcher{api: api}).state(ctx)
	if err != nil || len(events) == 0 {
		return 0, err
	}
	return events[len(events)-1].Index, nil
}

// seconds is how long the programs have been up.
func (w *watcher) seconds() float64 { return (w.clock.Now().Mono - w.up.Mono).Seconds() }

type seenEvent struct {
	Index    int64    `json:"index"`
	Journal  string   `json:"journal"`
	Seq      int64    `json:"seq"`
	Lane     string   `json:"lane"`
	Kind     string   `json:"kind"`
	ZoneName string   `json:"zone_name"`
	Text     string   `json:"text"`
	Why      string   `json:"why"`
	Occurred string   `json:"occurred_at"`
	Clips    []string `json:"clips"`
	Late     bool     `json:"late"`
}

type seenClip struct {
	ID     string `json:"id"`
	Camera string `json:"camera"`
	From   string `json:"from"`
	To     string `json:"to"`
	State  string `json:"state"`
	Reason string `json:"reason"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// smokeWithin bounds the smoke test: the scenario takes about half a minute.
const smokeWithin = 3 * time.Minute

// smokeKinds are what a scenario must bring to the SOC, each in the urgent lane.
var smokeKinds = []string{"intruder", "hold-up", "fire"}

// runSmoke waits until the SOC has the alarms and every clip that they ask for, then checks each clip by its digest and by ffprobe.
func (w *watcher) runSmoke(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, smokeWithin, fmt.Errorf("not everything was at the SOC within %s", smokeWithin))
	defer cancel()
	printed := map[string]bool{}
	for {
		events, clips, err := w.state(ctx)
		if err != nil {
			return err
		}
		for _, e := range events {
			if k := fmt.Sprint("event ", e.Index); !printed[k] {
				printed[k] = true
				fmt.Printf("%6.1f s  %-7s  %-22s %s\n", w.seconds(), e.Lane, e.Kind, cmp.Or(e.Why, e.Text))
			}
		}
		for _, c := range clips {
			if k := c.ID + c.State; !printed[k] && (c.State == "ready" || c.State == "lost") {
				printed[k] = true
				fmt.Printf("%6.1f s  bulk     clip %-17s camera %s, %d bytes %s\n", w.seconds(), c.State, c.Camera, c.Bytes, c.Reason)
			}
		}
		if smokeComplete(events, clips) {
			return w.check(ctx, events, clips)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// smokeComplete says whether every kind is there and no clip is still on its way.
func smokeComplete(events []seenEvent, clips []seenClip) bool {
	for _, k := range smokeKinds {
		if !slices.ContainsFunc(events, func(e seenEvent) bool { return e.Kind == k && len(e.Clips) > 0 }) {
			return false
		}
	}
	return !slices.ContainsFunc(clips, func(c seenClip) bool { return c.State != "ready" && c.State != "lost" })
}

func (w *watcher) state(ctx context.Context) (events []seenEvent, clips []seenClip, err error) {
	for after := w.newest; ; {
		var page struct {
			Items []seenEvent `json:"items"`
			Next  int64       `json:"next"`
		}
		if err := w.get(ctx, "/events?limit=1000&after="+strconv.FormatInt(after, 10), &page); err != nil {
			return nil, nil, err
		}
		events = append(events, page.Items...)
		if page.Next == 0 {
			break
		}
		after = page.Next
	}
	seen := map[string]bool{}
	for _, e := range events {
		for _, id := range e.Clips {
			if seen[id] {
				continue
			}
			seen[id] = true
			var c seenClip
			if err := w.get(ctx, "/clips/"+id, &c); err != nil {
				return nil, nil, err
			}
			clips = append(clips, c)
		}
	}
	return events, clips, nil
}

func (w *watcher) get(ctx context.Context, path string, v any) error {
	b, err := w.bytes(ctx, path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func (w *watcher) bytes(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, resp.Status, strings.TrimSpace(string(b)))
	}
	return b, err
}

// check proves what is there: nothing twice, alarms urgent, each clip playable, long enough and equal to its digest.
func (w *watcher) check(ctx context.Context, events []seenEvent, clips []seenClip) error {
	var errs []error
	ids := map[string]bool{}
	for _, e := range events {
		id := fmt.Sprintf("%s/%d", e.Journal, e.Seq)
		if ids[id] {
			errs = append(errs, fmt.Errorf("event %s is there twice", id))
		}
		ids[id] = true
		if slices.Contains(smokeKinds, e.Kind) && e.Lane != "urgent" {
			errs = append(errs, fmt.Errorf("%s is in lane %s, want urgent", e.Kind, e.Lane))
		}
	}
	dir, err := os.MkdirTemp("", "sitewatch-clips-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, c := range clips {
		if err := w.checkClip(ctx, dir, c); err != nil {
			errs = append(errs, fmt.Errorf("clip %s of camera %s: %w", c.ID, c.Camera, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Printf("smoke: %d events, none twice; %d clips with stills, each playable and equal to its digest\n", len(events), len(clips))
	return nil
}

func (w *watcher) checkClip(ctx context.Context, dir string, c seenClip) error {
	if c.State != "ready" {
		return fmt.Errorf("is %s: %s", c.State, c.Reason)
	}
	mp4, err := w.bytes(ctx, "/clips/"+c.ID+".mp4")
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(mp4); hex.EncodeToString(sum[:]) != c.SHA256 || int64(len(mp4)) != c.Bytes {
		return fmt.Errorf("%d bytes with digest %x, the event says %d and %s", len(mp4), sum, c.Bytes, c.SHA256)
	}
	jpg, err := w.bytes(ctx, "/clips/"+c.ID+".jpg")
	if err != nil {
		return err
	}
	file, still := filepath.Join(dir, c.ID+".mp4"), filepath.Join(dir, c.ID+".jpg")
	if err := errors.Join(os.WriteFile(file, mp4, 0o600), os.WriteFile(still, jpg, 0o600)); err != nil {
		return err
	}
	probe, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-count_packets", "-select_streams", "v:0",
		"-show_entries", "stream=codec_name,nb_read_packets:format=duration", "-of", "default=nw=1:nk=1", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ffprobe: %w: %s", err, probe)
	}
	f := strings.Fields(string(probe))
	if len(f) != 3 || f[0] != "h264" {
		return fmt.Errorf("ffprobe says %q, want h264, a number of pictures and a duration", f)
	}
	seconds, err := strconv.ParseFloat(f[2], 64)
	if err != nil {
		return fmt.Errorf("ffprobe's duration: %w", err)
	}
	// One second of grace: the first alarm may come before the ring is full.
	if want := (w.before + w.after - time.Second).Seconds(); seconds < want {
		return fmt.Errorf("lasts %.1f s, want at least %.1f s with its pre-alarm pictures", seconds, want)
	}
	if out, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-xerror", "-i", file, "-f", "null", "-").CombinedOutput(); err != nil || len(out) > 0 {
		return fmt.Errorf("does not decode cleanly: %v: %s", err, out)
	}
	size, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0", still).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(size), "mjpeg,") {
		return fmt.Errorf("the still is no JPEG: %v: %s", err, size)
	}
	fmt.Printf("          clip %s  %s  %s pictures  %.1f s  still %s\n", c.Camera, c.ID, f[1], seconds, strings.TrimSpace(string(size)))
	return nil
}

// runPrint prints alarms as they reach the SOC, and the first clip, until ctx ends.
func (w *watcher) runPrint(ctx context.Context) error {
	last, first := w.newest, false
	for {
		var page struct{ Items []seenEvent }
		if err := w.get(ctx, "/events?limit=1000&lane=urgent&after="+strconv.FormatInt(last, 10), &page); err != nil && ctx.Err() == nil {
			fmt.Println("the SOC does not answer:", err)
		}
		for _, e := range page.Items {
			last = e.Index
			fmt.Printf("%7.1f s  %-18s %s\n", w.seconds(), e.Kind, e.Why)
		}
		if !first {
			_, clips, err := w.state(ctx)
			if err == nil && slices.ContainsFunc(clips, func(c seenClip) bool { return c.State == "ready" }) {
				first = true
				fmt.Printf("%7.1f s  the first clip is at the SOC: open the console\n", w.seconds())
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
