package motion

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sitewatch/edge"
)

const (
	usualExt = ".usual"
	tempExt  = ".tmp"

	// usualEvery is how long a camera's file is left alone once it is written: what an eye says is at least sceneLast apart each way, but one that
	// lies could have the disk sync all the time, and what a panel says waits for the same disk.
	usualEvery = 10 * time.Second
)

// keepUsual keeps what a camera usually sees as a file while it does not, for the eye of the next start: one file of at most 33 KB for each
// camera. It waits for the disk, and is called by one goroutine at a time.
func (e *Eye) keepUsual(r report) error {
	if e.opt.Usual == "" || r.scene == nil {
		return nil
	}
	path := filepath.Join(e.opt.Usual, string(r.camera)+usualExt)
	now := e.opt.Clock.Now().Mono
	last, written := e.usualAt[r.camera]
	if r.usual == nil || written && now-last < usualEvery {
		if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	e.usualAt[r.camera] = now
	if err := os.MkdirAll(e.opt.Usual, 0o700); err != nil {
		return err
	}
	if err := writeSynced(path+tempExt, AppendMessage(nil, r.usual)); err != nil {
		return errors.Join(err, os.Remove(path+tempExt))
	}
	if err := os.Rename(path+tempExt, path); err != nil {
		return err
	}
	d, err := os.Open(e.opt.Usual)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// Recall reads what the eyes of an earlier run have kept, before any of these runs. stands says whether a trouble has been told of and is not over:
// what else is kept is removed.
func (p *Pool) Recall(stands func(edge.CameraID, Trouble) bool) error {
	dir := p.eyes[0].opt.Usual
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("what cameras usually see: %w", err)
	}
	for _, f := range entries {
		path := filepath.Join(dir, f.Name())
		r, rerr := readRecall(path)
		if rerr == nil && p.of[r.Camera] != nil && f.Name() == string(r.Camera)+usualExt && stands(r.Camera, r.Trouble) {
			p.of[r.Camera].recall(r)
		} else {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

func readRecall(path string) (*Recall, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := ReadMessage(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	r, ok := m.(*Recall)
	if !ok {
		return nil, fmt.Errorf("%w: %T is kept", ErrPipe, m)
	}
	return r, nil
}

// recall goes on with what an earlier eye has said.
func (e *Eye) recall(r *Recall) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.camera(r.Camera)
	w.sees = map[Trouble]bool{r.Trouble: true}
	w.usual = r
}
