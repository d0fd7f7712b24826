package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"sitewatch/cmd/cli"
	"sitewatch/drivers"
	"sitewatch/drivers/panel"
	"sitewatch/drivers/rs485"
	"sitewatch/edge"
	"sitewatch/edge/config"
)

type captureCmd struct {
	configFlag
	Panel string        `help:"The panel whose line is recorded." required:"" placeholder:"ID"`
	Out   string        `help:"File for the transcript; standard output when left out." type:"path" placeholder:"FILE.wire"`
	For   time.Duration `help:"How long." default:"1m"`
}

// Run opens the panel's port itself, which the gateway must not have, and writes what goes over it as a transcript. What is not
// stored is not acknowledged: a panel says its events again and again, and once more to the gateway.
func (c *captureCmd) Run(ctx context.Context, o cli.Out) error {
	g, err := c.load()
	if err != nil {
		return err
	}
	p, d, err := panelOf(g, c.Panel)
	if err != nil {
		return err
	}
	r := recorder{mask: d.Mask}
	r.note(fmt.Sprintf("%s: %s at %s, recorded without a gateway: nothing was stored, so no event was acknowledged.", p.ID, d.Title, p.Port))
	r.settings(p.Settings)
	_, err = panel.Trial{For: c.For, Talk: true, Wire: r.wire, LineOptions: panel.LineOptions{Panel: p.ID, Driver: d, Port: p.Port, Settings: p.Settings,
		Clock: systemClock(), Log: slog.New(slog.DiscardHandler), Location: g.Site.Location}}.Try(ctx)
	if errors.Is(err, rs485.ErrBusy) {
		return edge.WithHint(fmt.Errorf("the port of panel %s is in use", p.ID), "stop the gateway while you record, and start it again: what the panel had to say it says then")
	}
	if err != nil && len(r.pending) == 0 && !r.any {
		return err
	}
	text, terr := r.text()
	if terr != nil {
		return terr
	}
	if c.Out == "" {
		_, terr = o.Write(text)
	} else {
		terr = os.WriteFile(c.Out, text, 0o600)
	}
	return errors.Join(err, terr)
}

// panelOf finds a panel of the configuration and its driver; with "" the only one.
func panelOf(g *config.Gateway, id string) (config.Panel, panel.Driver, error) {
	registry := drivers.All()
	var ids []string
	for _, p := range g.Panels {
		if string(p.ID) == id || (id == "" && len(g.Panels) == 1) {
			d, _ := registry.Driver(p.Driver) // load has refused an unknown one
			return p, d, nil
		}
		ids = append(ids, string(p.ID))
	}
	return config.Panel{}, panel.Driver{}, cli.ArgumentError{Err: fmt.Errorf("there is no panel %q: the configuration has %s", id, strings.Join(ids, ", "))}
}

// apart is how far apart two pieces are that belong to two messages: bytes of one follow each other.
const apart = 50 * time.Millisecond

// maxRecorded bounds a transcript to what ParseTranscript takes; what comes later is not recorded.
const maxRecorded = panel.MaxTranscriptBytes / 4

// recorder makes a transcript of what goes over a line. Pieces are put together to messages first, so that a secret is not split.
type recorder struct {
	mask    func([]byte) []byte
	tr      panel.Transcript
	pending []byte
	sent    bool
	any     bool
	begun   edge.Stamp // of pending
	last    edge.Stamp // of the last byte of pending
	before  edge.Stamp // of the message before
	size    int
}

func (r *recorder) note(text string) {
	r.tr.Steps = append(r.tr.Steps, panel.Step{Op: panel.Comment, Note: text})
}

// settings writes down what a replay needs; the line's own settings and files with secrets are not among that.
func (r *recorder) settings(m map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains([]string{"baud", "format", "rs485", "silence", "echo", "poll"}, key) || strings.HasSuffix(key, "_file") {
			continue
		}
		text, ok := m[key].(string)
		if !ok {
			b, err := json.Marshal(m[key])
			if err != nil || strings.Contains(string(b), "_file") {
				r.note("setting " + key + " names a file with a secret and is left out")
				continue
			}
			text = string(b)
		}
		r.tr.Steps = append(r.tr.Steps, panel.Step{Op: panel.Setting, Facts: []panel.Fact{{Key: key, Value: text}}})
	}
}

func (r *recorder) wire(at edge.Stamp, sent bool, b []byte) {
	if gap, ok := at.Since(r.last); len(r.pending) > 0 && (sent != r.sent || sent || !ok || gap > apart) {
		r.flush()
	}
	if len(r.pending) == 0 {
		r.begun, r.sent = at, sent
	}
	r.pending, r.last = append(r.pending, b...), at
	if len(r.pending) > 2048 {
		r.flush()
	}
}

func (r *recorder) flush() {
	b := r.pending
	r.pending = nil
	if len(b) == 0 || r.size > maxRecorded {
		return
	}
	r.size += 3*len(b) + 40
	if r.mask != nil {
		b = r.mask(b)
	}
	s := panel.Step{Op: panel.Receive, Bytes: b}
	if r.sent {
		s.Op = panel.Send
	}
	if wait, ok := r.begun.Since(r.before); ok && r.any {
		s.Wait = wait.Round(time.Millisecond)
	}
	r.before, r.any = r.last, true
	r.tr.Steps = append(r.tr.Steps, s)
	if r.size > maxRecorded {
		r.note("the transcript is full: what came later was not recorded")
	}
}

func (r *recorder) text() ([]byte, error) {
	r.flush()
	return r.tr.AppendText(nil)
}
