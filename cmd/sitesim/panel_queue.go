package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sitewatch/drivers/galaxy"
)

// panelEvent is something that a fake panel has to say.
type panelEvent struct {
	ID        uint64    `json:"id"`
	Code      string    `json:"code"`
	Zone      string    `json:"zone,omitempty"`
	Partition string    `json:"partition,omitempty"`
	User      string    `json:"user,omitempty"`
	Text      string    `json:"text,omitempty"`
	At        time.Time `json:"at"`
	Old       bool      `json:"old,omitempty"` // it has waited in the buffer: sent as O
}

// block is the event's block as the panel sends it at that SIA level.
func (e panelEvent) block(old bool, level int) (galaxy.Frame, error) {
	var d strings.Builder
	if level > 0 {
		d.WriteString(e.At.Format("da01-02-06/ti15:04/"))
		if e.Partition != "" {
			fmt.Fprintf(&d, "ri%03s/", e.Partition)
		}
		if e.User != "" {
			fmt.Fprintf(&d, "id%03s/", e.User)
		}
	}
	d.WriteString(e.Code + e.Zone)
	f := galaxy.Frame{Header: 0x40, FC: galaxy.FCEvent, Data: []byte(d.String())}
	if old {
		f.FC = galaxy.FCOldEvent
	}
	if len(e.Code) != 2 || len(f.Data) > 63 {
		return f, fmt.Errorf("event %q: a code has two letters, a block at most 63 bytes", d.String())
	}
	return f, nil
}

// text is the event's text block: a column that begins with a space.
func (e panelEvent) text() galaxy.Frame {
	t := fmt.Sprintf(" %-16s", e.Text)
	return galaxy.Frame{Header: 0x40, FC: galaxy.FCText, Data: []byte(t[:min(len(t), 63)])}
}

// panelQueue is what a fake panel has not been acknowledged for, oldest first, on disk when it has a path.
type panelQueue struct {
	path   string
	Next   uint64       `json:"next"`
	Events []panelEvent `json:"events"`
}

// maxPanelQueue bounds the buffer, as a real module's is.
const maxPanelQueue = 1000

var errPanelFull = errors.New("the panel's buffer is full")

// loadPanelQueue reads the file; a missing one is an empty queue. What it holds was said before, so it is sent as O.
func loadPanelQueue(path string) (panelQueue, error) {
	q := panelQueue{path: path}
	if path == "" {
		return q, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return q, nil
	}
	if err != nil {
		return q, err
	}
	if err := json.Unmarshal(b, &q); err != nil {
		return q, fmt.Errorf("%s: %w", path, err)
	}
	q.age()
	return q, nil
}

func (q *panelQueue) first() (panelEvent, bool) {
	if len(q.Events) == 0 {
		return panelEvent{}, false
	}
	return q.Events[0], true
}

func (q *panelQueue) age() {
	for i := range q.Events {
		q.Events[i].Old = true
	}
}

func (q *panelQueue) add(e panelEvent) error {
	if len(q.Events) >= maxPanelQueue {
		return errPanelFull
	}
	q.Next++
	e.ID = q.Next
	q.Events = append(q.Events, e)
	if err := q.save(); err != nil {
		q.Events = q.Events[:len(q.Events)-1]
		return err
	}
	return nil
}

func (q *panelQueue) drop(id uint64) error {
	for i, e := range q.Events {
		if e.ID == id {
			q.Events = append(q.Events[:i], q.Events[i+1:]...)
			break
		}
	}
	return q.save()
}

// save replaces the file: temp, fsync, rename, fsync of the folder.
func (q *panelQueue) save() error {
	if q.path == "" {
		return nil
	}
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	tmp := q.path + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, q.path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(q.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
