package soc

import (
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sitewatch/edge"
)

// partOf is where the bytes of an offered file go. What came of a clip while it was being cut serves the complete one, too: the
// box is told its digest and offers the clip anew if its own file begins differently. Otherwise the digest is in the part's
// name, so that what is left of another file under the same id is never continued. another: what came while the clip was being cut
// is not of this film, or has more of it than a box that goes on cutting.
func partOf(o offered) (part string, another bool, err error) {
	grown := o.final + growExt
	have, err := length(grown)
	switch {
	case err != nil:
		return "", false, err
	case o.growing:
		return grown, o.anew || have > o.size, nil
	case have < 0:
		return digestPart(o.final, o.want), false, nil
	case !o.anew && have <= o.size:
		return grown, false, nil
	case !o.anew: // the box was killed, and has less than it had sent
		if same, err := startsAs(grown, o.size, o.want); err != nil || same {
			return grown, false, err
		}
	}
	return digestPart(o.final, o.want), true, nil
}

// length is that of a file, -1 when there is none.
func length(path string) (int64, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// startsAs says whether the first n bytes of a file have that digest.
func startsAs(path string, n int64, want [32]byte) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, n); err != nil {
		return false, err
	}
	return [32]byte(h.Sum(nil)) == want, nil
}

// setAside keeps a part of which no more will come: until the clip is stored it may be the best that there is of it. Of two the
// longer one stays, so that nobody who has a box's key, nor a box that is destroyed while it sends its clip again, leaves less than
// there was.
func (s *store) setAside(site edge.SiteID, final, part string) error {
	s.mu.Lock()
	defer s.mu.Unlock() // what is there, and what is counted, stay the same
	n, err := length(part)
	if err != nil || n < 0 {
		return err
	}
	old, err := length(final + oldExt)
	if err != nil {
		return err
	}
	if n == 0 || n <= old {
		err = os.Remove(part)
	} else {
		err = os.Rename(part, final+oldExt)
	}
	if err != nil {
		return err
	}
	change := max(old, n) - max(old, 0)
	if strings.HasSuffix(part, growExt) {
		change -= n
	}
	s.kept[site] += change
	s.fresh[site] += change
	if n > 0 {
		s.aside(site, final, max(old, n), min(max(old, 0), n))
	}
	return nil
}

// dropAside removes what was set aside of a clip that is stored.
func (s *store) dropAside(site edge.SiteID, final string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, err := length(final + oldExt); err == nil && n >= 0 && os.Remove(final+oldExt) == nil {
		s.kept[site] -= n
		s.fresh[site] -= n
	}
}

// Arriving is the file in which a clip is that is on its way, the longest of several, "" when nothing has come of it. site and id
// must be valid.
func Arriving(dir string, site edge.SiteID, id edge.ClipID) string {
	final := ClipPath(dir, site, id, edge.PartClip)
	grown, err := length(final + growExt)
	if err != nil {
		return ""
	}
	if old, err := length(final + oldExt); err == nil && old < 0 && grown >= 0 {
		return final + growExt // as nearly always; the folder may be large
	}
	parts, err := filepath.Glob(final + ".*" + partExt)
	if err != nil {
		return ""
	}
	path, most := "", int64(-1)
	for _, p := range parts {
		if n, err := length(p); err == nil && n >= max(most, 0) {
			path, most = p, n
		}
	}
	return path
}

// Films is how many films of a clip that is on its way lie here: more than one when a box, or who has its key, has begun it anew.
func Films(dir string, site edge.SiteID, id edge.ClipID) int {
	parts, err := filepath.Glob(ClipPath(dir, site, id, edge.PartClip) + ".*" + partExt)
	if err != nil {
		return 0
	}
	return len(parts)
}

// goOn takes an offer of a file that the stream has left open. False: it must begin as any other.
func (in *incoming) goOn(o offered) (ok bool, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.f == nil || o.anew || o.size < in.offset {
		return false, nil
	}
	in.growing, in.size, in.want = o.growing, o.size, o.want
	in.left.Store(in.rest())
	if o.growing {
		return true, nil
	}
	_, err = in.st.reserve(in)
	return err == nil, err
}

// digest is that of what has come.
func (in *incoming) digest() (offset int64, sum []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.offset, in.sum.Sum(nil)
}

const (
	parkMost = 32 // growing clips that a stream may have open beside the offered one: one alarm may have the clips of 24 cameras
	siteMost = 48 // files that a site may have open, on all of its streams, before its growing clips are closed
)

// leave ends the open offer. What has been taken of it is told first, so that the box knows what is under way. A clip that grows
// stays at hand.
func (u *receiving) leave() error {
	u.whole = false
	in := u.in
	if in == nil {
		return nil
	}
	u.in = nil
	if !in.grown {
		in.close()
	} else {
		u.parked = append(u.parked, in)
	}
	for len(u.parked) > parkMost || len(u.parked) > 0 && u.store.opened(u.site) > siteMost {
		u.parked[0].close()
		u.parked = slices.Delete(u.parked, 0, 1)
	}
	if u.have == u.told {
		return nil
	}
	return u.progress(u.have)
}

// opened is how many files a site has open.
func (s *store) opened(site edge.SiteID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[site]
}

// unpark is the growing clip of that name if the stream has left it open.
func (u *receiving) unpark(final string) *incoming {
	i := slices.IndexFunc(u.parked, func(in *incoming) bool { return in.final == final })
	if i < 0 {
		return nil
	}
	in := u.parked[i]
	u.parked = slices.Delete(u.parked, i, i+1)
	return in
}

// Room is how many bytes the disk has for clips and what is made of them.
func (s *Server) Room() (uint64, error) { return s.store.room() }
