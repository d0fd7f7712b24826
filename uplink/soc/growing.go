package soc

import (
	"os"
	"path/filepath"
	"slices"

	"sitewatch/edge"
)

// partOf is where the bytes of an offered file go. What came of a clip while it was being cut serves the complete one, too: the
// box is told its digest and offers the clip anew if its own file begins differently. Otherwise the digest is in the part's
// name, so that what is left of another file under the same id is never continued.
func (s *store) partOf(o offered) string {
	grown := o.final + growExt
	if o.growing {
		return grown
	}
	if fi, err := os.Stat(grown); err == nil {
		if !o.anew {
			return grown
		}
		if os.Remove(grown) == nil {
			s.count(o.site, -fi.Size())
		}
	}
	return digestPart(o.final, o.want)
}

// Arriving is the file in which a clip is that is on its way, "" when nothing has come of it. site and id must be valid.
func Arriving(dir string, site edge.SiteID, id edge.ClipID) string {
	final := ClipPath(dir, site, id, edge.PartClip)
	if _, err := os.Stat(final + growExt); err == nil {
		return final + growExt
	}
	parts, err := filepath.Glob(final + ".*" + partExt)
	if err != nil || len(parts) == 0 {
		return ""
	}
	return parts[0]
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

// parkMost is how many growing clips a stream may have open beside the offered one.
const parkMost = 8

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
	} else if u.parked = append(u.parked, in); len(u.parked) > parkMost {
		u.parked[0].close()
		u.parked = slices.Delete(u.parked, 0, 1)
	}
	if u.have == u.told {
		return nil
	}
	return u.progress(u.have)
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
