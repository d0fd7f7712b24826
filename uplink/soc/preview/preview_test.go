package preview

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

func TestMain(m *testing.M) { edgetest.Main(m) }

// newMaker's ffmpeg is a script, so that each way in which a child can go wrong is one line.
func newMaker(t *testing.T, script string, change func(o *Options)) *Maker {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "ffmpeg")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	o := Options{Dir: filepath.Join(dir, "previews"), Room: func() (uint64, error) { return 10 << 30, nil }, Clock: edge.NewSystemClock(),
		Log: slog.New(slog.DiscardHandler), FFmpeg: program}
	if change != nil {
		change(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func clip(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.mp4")
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (m *Maker) files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(m.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func id(n int) edge.ClipID { return edge.ClipID(fmt.Sprintf("%032x", n)) }

func TestWhatComesOfAChild(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		change func(o *Options)
		want   error
	}{
		"fails":            {"echo no moov >&2; exit 1", nil, ErrUnplayable},
		"makes nothing":    {"cat >/dev/null", nil, ErrUnplayable},
		"never ends":       {"exec sleep 600", func(o *Options) { o.Timeout = 100 * time.Millisecond }, ErrTimeout},
		"ignores its time": {"trap '' TERM INT HUP; while :; do :; done", func(o *Options) { o.Timeout = 100 * time.Millisecond }, ErrTimeout},
		"is not there":     {"", func(o *Options) { o.FFmpeg = "no-such-program" }, ErrMissing},
		"has no room":      {"cat", func(o *Options) { o.Room = func() (uint64, error) { return outputLeast - 1, nil } }, ErrFull},
		"writes too much":  {"exec cat /dev/zero", func(o *Options) { o.Room = func() (uint64, error) { return outputLeast, nil } }, ErrUnplayable},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMaker(t, c.script, c.change)
			if _, err := m.Of(t.Context(), id(1), clip(t, "film"), 4); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if left := m.files(t); len(left) > 0 {
				t.Errorf("%v stay", left)
			}
		})
	}
}

func TestPreviewIsMadeOnceOfWhatThereIs(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	m := newMaker(t, "echo >>"+count+"; cat", nil)
	m.writable = []string{filepath.Dir(count)}
	path := clip(t, "film and more")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			f, err := m.Of(t.Context(), id(1), path, 4)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			b := make([]byte, 100)
			if n, _ := f.Read(b); string(b[:n]) != "film" {
				t.Errorf("got %q", b[:n])
			}
		})
	}
	wg.Wait()
	if b, err := os.ReadFile(count); err != nil || len(b) != 1 {
		t.Errorf("made %d times, %v", len(b), err)
	}
	f, err := m.Of(t.Context(), id(1), path, 8) // it has grown
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := m.files(t); len(got) != 1 || !strings.HasSuffix(got[0], "-8.mp4") {
		t.Errorf("there are %v, want the newest alone", got)
	}
	m.Forget(id(1))
	if got := m.files(t); len(got) != 0 {
		t.Errorf("there are %v", got)
	}
}

func TestWhoAskedGoesAndAnotherMakesIt(t *testing.T) {
	began := filepath.Join(t.TempDir(), "began")
	m := newMaker(t, "if [ -e "+began+" ]; then cat; else touch "+began+"; exec sleep 600; fi", nil)
	m.writable = []string{filepath.Dir(began)}
	path := clip(t, "film")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := m.Of(ctx, id(1), path, 4); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	for {
		if _, err := os.Stat(began); err == nil {
			break
		}
		<-time.After(time.Millisecond)
	}
	wg.Go(func() {
		f, err := m.Of(t.Context(), id(1), path, 4)
		if err != nil {
			t.Error(err)
			return
		}
		f.Close()
	})
	cancel()
	wg.Wait()
}

func TestPreviewsAreBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	slow := newMaker(t, "exec sleep 600", nil)
	path := clip(t, "film")
	var wg sync.WaitGroup
	for n := range atOnce + waitMost {
		wg.Go(func() {
			if _, err := slow.Of(ctx, id(n), path, 4); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	for len(slow.queue) < cap(slow.queue) {
		<-time.After(time.Millisecond)
	}
	if _, err := slow.Of(t.Context(), id(99), path, 4); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want %v", err, ErrBusy)
	}
	cancel()
	wg.Wait()

	m := newMaker(t, "cat", func(o *Options) { o.LimitBytes = outputMost*atOnce + 10 })
	for n := range 5 {
		f, err := m.Of(t.Context(), id(n), path, 4)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		when := time.Unix(int64(n), 0)
		if err := os.Chtimes(f.Name(), when, when); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.files(t); len(got) != 3 || !strings.HasPrefix(got[2], string(id(4))) {
		t.Errorf("there are %v, want the three newest", got)
	}
}

// What a child finds that a clip has taken over. A kernel that does not allow it has the log say so.
func TestChildIsConfined(t *testing.T) {
	secret := clip(t, "secret")
	var log bytes.Buffer
	m := newMaker(t, "readlink /proc/self/ns/net; cat "+secret+"; echo x >>"+secret+"; rm "+secret+"; kill -0 "+strconv.Itoa(os.Getpid())+" && echo seen; env; cat",
		func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	f, err := m.Of(t.Context(), id(1), clip(t, "film"), 4)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "does not close the disk") {
		if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
			t.Errorf("the file is %q, %v", b, err)
		}
		if strings.Contains(string(b), "secret") {
			t.Errorf("it reads what it may not: %q", b)
		}
	}
	if !strings.Contains(log.String(), "no namespaces") {
		net, err := os.Readlink("/proc/self/ns/net")
		if err != nil || !strings.HasPrefix(string(b), "net:[") || strings.Contains(string(b), net) || strings.Contains(string(b), "seen") {
			t.Errorf("it has our network, or sees us: %q, %v", b, err)
		}
	}
	if s := string(b); strings.Contains(s, "HOME=") || !strings.HasSuffix(s, "film") {
		t.Errorf("it finds %q", b)
	}
}
