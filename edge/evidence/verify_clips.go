package evidence

import (
	"bufio"
	"fmt"
	"path"
	"slices"

	"sitewatch/edge"
)

func (v *verifier) clips() error {
	for _, id := range v.under(clipDir) {
		if err := v.clip(edge.ClipID(id)); err != nil {
			return err
		}
	}
	return nil
}

// clip checks the files of one: by its manifest, and by what an event says that a checkpoint covers.
func (v *verifier) clip(id edge.ClipID) error {
	dir := path.Join(clipDir, string(id))
	var m edge.Manifest
	_, body := v.files[path.Join(dir, manifest+bodyExt)]
	_, sig := v.files[path.Join(dir, manifest+sigExt)]
	if body || sig {
		err := v.statement(path.Join(dir, manifest), func(body []byte) (edge.HexBytes, edge.SiteID, error) {
			var err error
			m, err = edge.DecodeManifest(body)
			return m.Certificate, m.Site, err
		})
		if err != nil {
			return err
		}
		if m.Clip != id {
			return &Break{File: path.Join(dir, manifest+bodyExt), Want: "the manifest of clip " + string(id), Have: "that of clip " + string(m.Clip)}
		}
	}
	if m.Clip != "" && !slices.ContainsFunc(v.here[m.Journal], func(g edge.Gap) bool { return g.From <= m.Seq && m.Seq <= g.To }) {
		add(&v.r.Remarks, "event %d of journal %.40s, which asked for clip %s, is not in the folder", m.Seq, m.Journal, id)
	}
	f, told := v.facts[id]
	film := Filmed{Clip: id, Camera: m.Camera, From: m.From, To: m.To, Clock: m.Clock}
	if m.Clip == "" {
		film.Camera, film.From, film.To = f.Camera, f.From, f.To
	}
	if h, ok := v.heads[id]; ok && m.Clip != "" {
		if said := (Filmed{Clip: id, Camera: h.Camera, From: h.From, To: h.To}); said.text() != film.text() {
			return &Break{File: headerFile, Want: fmt.Sprintf("clip %s of %s, which the box has signed", id, film.text()), Have: said.text()}
		}
	}
	part := false // of the clip only a part has come
	for _, p := range []struct {
		name         string
		signed, told edge.HexBytes
		most         int64
		count        *int
	}{
		{clipFile, m.SHA256, f.SHA256, maxClip, &v.r.Clips},
		{stillFile, m.StillSHA256, f.StillSHA256, maxStill, &v.r.Stills},
	} {
		name := path.Join(dir, p.name)
		if len(p.signed) > 0 && len(p.told) > 0 && p.signed.String() != p.told.String() {
			return &Break{File: path.Join(dir, manifest+bodyExt), Seq: f.seq, Want: fmt.Sprintf("the digest %s of %s, which the event names", p.told, p.name), Have: p.signed.String()}
		}
		if _, there := v.files[name]; !there {
			continue
		}
		sum, err := v.digest(name, p.most)
		if err != nil {
			return err
		}
		got := edge.HexBytes(sum[:]).String()
		switch {
		case len(p.signed) > 0 && p.signed.String() != got:
			return &Break{File: name, Want: "a file with the SHA-256 " + p.signed.String() + ", which the box has signed in " + path.Join(dir, manifest+bodyExt), Have: "one with " + got}
		case told && len(p.told) > 0 && p.told.String() != got:
			return &Break{File: name, Seq: f.seq, Want: "a file with the SHA-256 " + p.told.String() + ", which the event names", Have: "one with " + got}
		case len(p.signed) > 0 || len(p.told) > 0 && f.proved:
			if *p.count++; p.name == clipFile && len(v.r.Filmed) < maxList {
				v.r.Filmed = append(v.r.Filmed, film)
			}
		case p.name == stillFile && m.Clip == "" && !v.has(path.Join(dir, clipFile)):
			part = true
			add(&v.r.Open, "%s: a box signs it with its clip, which was not complete; the SOC alone stands for it, by its seal", name)
		default:
			v.r.Pictures = true
			add(&v.r.Open, "%s: no manifest names it, and no event that a checkpoint covers", name)
		}
	}
	if name := path.Join(dir, arrivedFile); v.has(name) {
		if _, err := v.digest(name, maxClip); err != nil {
			return err
		}
		part = true
		add(&v.r.Open, "%s: what had come of a clip that was not complete; the SOC alone stands for it, by its seal", name)
	}
	if part {
		v.r.Arrived++
	}
	if m.Lost > 0 || len(m.Holes) > 0 || m.Reason != "" {
		add(&v.r.Remarks, "clip %s: %d packets and %d stretches of pictures are missing by the box's own word%s", id, m.Lost, len(m.Holes), because(m.Reason))
	}
	return nil
}

// text is camera and span, to the millisecond: the SOC counts in these.
func (f Filmed) text() string {
	return fmt.Sprintf("camera %s from %s to %s", f.Camera, stamp(f.From), stamp(f.To))
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// custody checks that the log is a chain from its first line on.
func (v *verifier) custody() error {
	v.used[custodyFile] = true
	if !v.has(custodyFile) {
		return &Break{File: custodyFile, Want: "the custody log", Have: "none"}
	}
	f, err := v.fsys.Open(custodyFile)
	if err != nil {
		return v.unreadable(custodyFile, err)
	}
	defer f.Close()
	lines := &lineReader{r: bufio.NewReaderSize(f, maxLine), file: custodyFile, ctx: v.ctx}
	var last *Line
	for {
		l, err := lines.next()
		if err != nil || l == nil {
			return err
		}
		at := fmt.Sprintf("%s, entry %d", custodyFile, l.N)
		switch {
		case last == nil && l.N != 1:
			return &Break{File: at, Want: "entry 1, the first of the site", Have: fmt.Sprintf("entry %d: those before it were taken out", l.N)}
		case last == nil && l.Prev != [32]byte{}:
			return &Break{File: at, Want: "32 zero bytes before the first entry", Have: fmt.Sprintf("%x", l.Prev)}
		case last != nil && l.N != last.N+1:
			return &Break{File: at, Want: fmt.Sprintf("entry %d", last.N+1), Have: fmt.Sprintf("entry %d", l.N)}
		case last != nil && l.Prev != last.Hash():
			return &Break{File: at, Want: fmt.Sprintf("%x, the hash of the entry before it", last.Hash()), Have: fmt.Sprintf("%x: this one, or the one before it, was changed", l.Prev)}
		}
		v.r.Custody++
		last = l
	}
}
