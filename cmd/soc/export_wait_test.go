package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"sitewatch/cmd/cli"
	"sitewatch/edge"
)

// TestWhyAnEventIsNotProvedIsSaid: a signature that is too far away is no missing one.
func TestWhyAnEventIsNotProvedIsSaid(t *testing.T) {
	for next, want := range map[edge.Seq]string{
		0:      "events 3 to 4 of journal j, which the box has not signed",
		30_000: "events 3 to 4 of journal j, which the box has signed with event 30000 alone, more than 20000 later: ask for a span that goes up to that event",
	} {
		if got := unproved("j", seqs{3, 4}, next); got != want {
			t.Errorf("checkpoint %d: got %q, want %q", next, got, want)
		}
	}
}

// onWord is written to until a word comes by.
type onWord struct {
	word string
	do   func()
	said bytes.Buffer
}

func (w *onWord) Write(b []byte) (int, error) {
	w.said.Write(b)
	if strings.Contains(string(b), w.word) {
		w.do()
	}
	return len(b), nil
}

// TestExportWaitsForTheBoxToSign: of what has just happened there is no checkpoint yet. Who waits gets it, who does not is told.
func TestExportWaitsForTheBoxToSign(t *testing.T) {
	path, addr := written(t)
	start(t, path, addr)
	s := openShop(t, path, t.TempDir())
	s.mute.Store(true)
	seq, clip := s.alarm("film")
	led := look(t, path)
	until(t, "the SOC has the alarm and its clip", func() bool {
		c, err := led.Clip(t.Context(), clip)
		return err == nil && c.FactSeq > seq && len(c.SHA256) > 0 && c.Still
	})
	ca, dir := filepath.Join(filepath.Dir(path), "data", "ca", "ca.pem"), t.TempDir()
	args := func(out string, more ...string) []string {
		return append(append([]string{"export", "--config", path, "--site", "0417", "--out", filepath.Join(dir, out)}, span()...), more...)
	}
	said := must(t, args("at once", "--wait", "0s")...)
	if !strings.Contains(said, "\nnot proved yet: events 1 to ") || !strings.Contains(said, "soc export --site 0417 --from ") {
		t.Errorf("unsigned, it says %q", said)
	}
	if status, proof, _ := program(t, "verify", filepath.Join(dir, "at once"), "--ca", ca); status != 1 || !strings.Contains(proof, "no checkpoint of the box covers them") {
		t.Errorf("unsigned: %d %q", status, proof)
	}
	var o bytes.Buffer
	e := &onWord{word: "waiting at most", do: func() { s.mute.Store(false) }}
	if status := cli.Run(t.Context(), "soc", "", &commands{}, args("later", "--wait", "10m"), &o, e); status != 0 || s.mute.Load() || strings.Contains(o.String(), "not proved") {
		t.Fatalf("it waits: %d %s%s", status, &o, &e.said)
	}
	proof := must(t, "verify", filepath.Join(dir, "later"), "--ca", ca)
	if strings.Contains(proof, "not proved") || !strings.Contains(proof, "proved: events 1 to") {
		t.Errorf("verify says %q", proof)
	}
	for _, wait := range []string{"-1s", "11m"} {
		if status, _, errs := program(t, args("never", "--wait="+wait)...); status != 2 || !strings.Contains(errs, "--wait") {
			t.Errorf("--wait %s: %d %q", wait, status, errs)
		}
	}
}

// What export says to type can be pasted, whatever the folder is called.
func TestCommandToPaste(t *testing.T) {
	for word, want := range map[string]string{
		"/cases/17":     "/cases/17",
		"/cases/käse":   "/cases/käse",
		"/my cases/17":  "'/my cases/17'",
		"it's $HOME":    `'it'\''s $HOME'`,
		"a;rm -r b.zip": "'a;rm -r b.zip'",
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
}
