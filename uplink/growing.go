package uplink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"slices"
	"sync"

	"sitewatch/edge"
)

// Cuts are the clips that are being cut, so that the SOC sees them before they are complete. The zero value is ready; any goroutine
// may use it.
type Cuts struct {
	mu     sync.Mutex
	clips  []edge.ClipFile // at most cutsMost, the one that was told of first before the others
	change chan struct{}   // closed at the next change, nil while nobody waits
}

// cutsMost is how many clips that grow are known; of more, those that were told of first go when they are complete.
const cutsMost = 64

// Grew says that f has SizeBytes by now, all of them in whole fragments. What is there only gets more, and the complete clip begins
// with it, or the file has gone. It does not block.
func (c *Cuts) Grew(f edge.ClipFile) {
	f.Part, f.SHA256 = edge.PartClip, [32]byte{}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(f.ID); i >= 0 {
		c.clips[i] = f
	} else {
		if len(c.clips) >= cutsMost {
			c.clips = slices.Delete(c.clips, 0, 1)
		}
		c.clips = append(c.clips, f)
	}
	if c.change != nil {
		close(c.change)
		c.change = nil
	}
}

func (c *Cuts) index(id edge.ClipID) int {
	return slices.IndexFunc(c.clips, func(f edge.ClipFile) bool { return f.ID == id })
}

// gone forgets a clip: it is complete, or its file is not what was told.
func (c *Cuts) gone(id edge.ClipID) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := c.index(id); i >= 0 {
		c.clips = slices.Delete(c.clips, i, i+1)
	}
}

func (c *Cuts) all() []edge.ClipFile {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.clips)
}

// changed is closed when a clip has grown; nil when none ever does.
func (c *Cuts) changed() <-chan struct{} {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.change == nil {
		c.change = make(chan struct{})
	}
	return c.change
}

// growing says whether f is a clip that is being cut.
func growing(f edge.ClipFile) bool { return f.SHA256 == [32]byte{} }

// growth is what a session knows of a clip that grows, or grew.
type growth struct {
	sent    int64 // so much of it was sent on this stream; -1: the SOC must say from where
	refused bool  // the SOC takes it when it is complete
}

// growthMost is how many clips a session remembers before it forgets those that do not grow any more.
const growthMost = cutsMost

func (u *upload) growth(id edge.ClipID) growth {
	if g, ok := u.grown[id]; ok {
		return g
	}
	return growth{sent: -1}
}

// grow changes what is known of a clip.
func (u *upload) grow(id edge.ClipID, change func(g *growth)) {
	g := u.growth(id)
	change(&g)
	if _, ok := u.grown[id]; !ok && len(u.grown) >= growthMost {
		now := u.o.Cuts.all()
		for old := range u.grown {
			if !slices.ContainsFunc(now, func(f edge.ClipFile) bool { return f.ID == old }) {
				delete(u.grown, old)
			}
		}
	}
	u.grown[id] = g
}

// waiting is a file that waits for the SOC: one that is complete, or a clip that grows.
func (c *Client) waiting(ctx context.Context) (edge.ClipFile, bool, error) {
	f, ok, err := c.o.Files.NextUpload(ctx)
	if ok || err != nil {
		return f, ok, err
	}
	if all := c.o.Cuts.all(); len(all) > 0 {
		return all[0], true, nil
	}
	return f, false, nil
}

// nextGrowing is the clip of the newest alarm of which there is more than the SOC has been sent; of one alarm the one that is
// open already goes on.
func (u *upload) nextGrowing(later []edge.ClipID, newest edge.Seq) (f edge.ClipFile, ok bool) {
	var open edge.ClipID
	if t := u.open(); t != nil {
		open = t.file.ID
	}
	for _, c := range u.o.Cuts.all() {
		g := u.growth(c.ID)
		if c.SizeBytes < g.sent { // it was cut anew
			g.sent = -1
			u.grow(c.ID, func(g *growth) { g.sent = -1 })
		}
		switch {
		case g.refused, c.SizeBytes <= g.sent, slices.Contains(later, c.ID):
		case len(later) >= laterMost && c.Seq <= newest:
		case !ok, c.Seq > f.Seq, c.Seq == f.Seq && c.ID == open:
			f, ok = c, true
		}
	}
	return f, ok
}

var (
	// errElsewhere ends a session: the SOC has not what it has been sent.
	errElsewhere = errors.New("the SOC goes on with a clip elsewhere than where it was left")
	errBegins    = errors.New("the SOC has another beginning of the clip")
)

// begins checks that the file begins with what the SOC says that it has.
func begins(path string, n int64, sum []byte) error {
	if len(sum) == 0 || n == 0 {
		return nil // it has nothing of a clip that grew
	}
	f, err := os.Open(path)
	if err != nil {
		return nil // that is found, and told, where the file is read
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, n); err != nil || !bytes.Equal(h.Sum(nil), sum) {
		return errBegins
	}
	return nil
}
