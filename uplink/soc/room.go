package soc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

const (
	askEvery  = 1 << 20            // bytes of a file after which the disk is asked again whether there is room
	tidyEvery = 24 * time.Hour     // how often the folder is gone through
	partMost  = 7 * 24 * time.Hour // how old a part may be of which nothing has come since
	partExt   = ".part"
	growExt   = ".grow" + partExt     // of a clip that came while it was being cut
	oldExt    = ".grow.old" + partExt // of a clip of which another film came before it was complete: the longest of those
	growAhead = 32 << 20              // bytes that a clip which is being cut is thought to lack
	badExt    = ".bad"
)

var errShare = errors.New("the SOC has no room for more clips of this site at the moment: it has half of all that there is")

// usage is how many bytes of files each site has.
type usage map[edge.SiteID]int64

func (u usage) total() (n int64) {
	for _, b := range u {
		n += b
	}
	return n
}

func (s *store) statfs() (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &fs); err != nil {
		return 0, fmt.Errorf("statfs: %w", err)
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// room is how many bytes there are above the reserve.
func (s *store) room() (uint64, error) {
	have, err := s.avail()
	if err != nil || have <= s.free {
		return 0, err
	}
	return have - s.free, nil
}

// reserve makes in the open file of its name, when there is room for what is still to come of it and of all other open files.
// It returns the one that was it before.
func (s *store) reserve(in *incoming) (old *incoming, err error) {
	room, err := s.room()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old = s.open[in.final]
	promised, own := in.left.Load(), in.left.Load()
	for _, o := range s.open {
		if o == old {
			continue
		}
		promised += o.left.Load()
		if o.site == in.site {
			own += o.left.Load()
		}
	}
	if uint64(promised) > room {
		return nil, errFull
	}
	if s.kept[in.site]+own > s.most(room) {
		return nil, errShare
	}
	if old == nil {
		s.files[in.site]++
	}
	s.open[in.final] = in
	return old, nil
}

// most is how much one site may have: a box that is broken, or worse, may not take the room from all others. One file of the
// largest size is always its own. mu is held.
func (s *store) most(room uint64) int64 {
	return max(wire.MaxClipBytes, (s.kept.total()+int64(room))/2)
}

// over says whether a site has more than it may.
func (s *store) over(site edge.SiteID, room uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[site] > s.most(room)
}

// count adds to what a site has.
func (s *store) count(site edge.SiteID, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[site] += n
	s.fresh[site] += n
}

// runTidy goes through the folder at once and then daily, until ctx ends.
func (s *Server) runTidy(ctx context.Context) {
	t := time.NewTicker(tidyEvery)
	defer t.Stop()
	for {
		if n, err := s.store.tidy(ctx, s.o.Ledger, s.o.Clock.Now().Wall); err != nil && ctx.Err() == nil {
			s.o.Log.Warn("the folder of clips cannot be gone through; it is tried again in a day", "err", err)
		} else if n > 0 {
			s.o.Log.Info("removed what was left of files that will not come", "count", n)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// tidy counts what each site has, and removes parts that nobody will go on with. It keeps one name in memory at a time.
func (s *store) tidy(ctx context.Context, clips ledger.Ledger, now time.Time) (removed int, err error) {
	s.mu.Lock()
	s.fresh = usage{}
	s.mu.Unlock()
	found := usage{}
	if err := each(ctx, s.dir, func(d fs.DirEntry) error {
		site := edge.SiteID(d.Name())
		if !d.IsDir() || !edge.ValidID(d.Name()) {
			return nil
		}
		return each(ctx, filepath.Join(s.dir, d.Name()), func(d fs.DirEntry) error {
			fi, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil // finished or removed meanwhile
			}
			if err != nil {
				return err
			}
			grown := strings.HasSuffix(d.Name(), growExt) || strings.HasSuffix(d.Name(), oldExt)
			if grown || !strings.HasSuffix(d.Name(), partExt) && fi.ModTime().Before(now) { // otherwise it is in fresh
				found[site] += fi.Size()
			}
			if !strings.HasSuffix(d.Name(), partExt) {
				return nil
			}
			gone, err := s.abandoned(ctx, clips, d.Name(), now.Sub(fi.ModTime()))
			if err != nil || !gone {
				return err
			}
			done, err := s.removePart(filepath.Join(s.dir, string(site), d.Name()))
			if done {
				removed++
				if grown {
					found[site] -= fi.Size()
				}
			}
			return err
		})
	}); err != nil {
		return removed, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for site, n := range s.fresh {
		found[site] += n
	}
	s.kept = found
	return removed, nil
}

// abandoned says that no box will go on with a part: nothing has come of it for long, or the ledger says that the clip is lost
// or, when it is of the clip itself, ready. What came of a clip while it was being cut may be all that there will ever be: it goes
// when the clip is ready, or long lost.
func (s *store) abandoned(ctx context.Context, clips ledger.Ledger, name string, age time.Duration) (bool, error) {
	id, rest, _ := strings.Cut(name, ".")
	if !wire.ValidID(id) {
		return false, nil // not ours
	}
	grown := strings.HasSuffix(name, growExt) || strings.HasSuffix(name, oldExt)
	if age > partMost && !grown {
		return true, nil
	}
	c, err := clips.Clip(ctx, edge.ClipID(id))
	if errors.Is(err, ledger.ErrNotFound) {
		return false, nil // its row was lost with a backup; the box may come again
	}
	if err != nil {
		return false, err
	}
	return c.State == ledger.ClipLost && (!grown || age > partMost) || c.State == ledger.ClipReady && strings.HasPrefix(rest, "mp4."), nil
}

// removePart removes a part that is not open.
func (s *store) removePart(path string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock() // so that it cannot be opened meanwhile
	for _, in := range s.open {
		if in.part == path {
			return false, nil
		}
	}
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// each calls f for the entries of a folder, however many there are.
func each(ctx context.Context, dir string, f func(fs.DirEntry) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		some, err := d.ReadDir(256)
		for _, e := range some {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := f(e); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
