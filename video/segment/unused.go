package segment

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// unusedFor is for how long of running what was recorded stays when no camera is recorded any more: a mistake in the configuration must
	// not destroy evidence before somebody has seen it.
	unusedFor = 7 * 24 * time.Hour
	// unusedStep is how often it is written down how much of that has passed; a stop costs so much at most.
	unusedStep = time.Hour
	unusedFile = "unused.hours" // in Options.Dir: those that have passed; no camera is called so
)

// unused is how long no camera has been recorded. It counts the time that the program runs: no wall clock that is wrong deletes anything.
type unused struct {
	passed time.Duration // guarded by Store.mu
	since  time.Duration // Mono of the last step; Run's alone. 0: none yet
	tidy   bool          // the file is gone; Run's alone
}

// retired says that no camera is recorded any more.
func (s *Store) retired() bool { return len(s.opt.Cameras) == 0 }

// expired says that it is long enough ago: all that is there is too much, but for what is held. Store.mu is held.
func (s *Store) expired() bool { return s.retired() && s.unused.passed >= unusedFor }

// Leaving says that no camera is recorded any more, and how long what was recorded still stays, unless the disk or a quota needs the room.
func (s *Store) Leaving() (left time.Duration, ok bool) {
	if !s.retired() || s.Bytes() == 0 {
		return 0, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, unusedFor-s.unused.passed), true
}

// readUnused is how much has passed by the file. One that is damaged, or says what cannot be, counts as none.
func (s *Store) readUnused() time.Duration {
	b, err := os.ReadFile(filepath.Join(s.opt.Dir, unusedFile))
	if err != nil {
		return 0
	}
	hours, err := strconv.ParseUint(strings.TrimSuffix(string(b), "\n"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(hours)*time.Hour, unusedFor)
}

// countDown counts the time in which no camera is recorded, and forgets it when one is.
func (s *Store) countDown() {
	file := filepath.Join(s.opt.Dir, unusedFile)
	if _, leaving := s.Leaving(); !leaving {
		s.mu.Lock()
		s.unused.passed = 0
		s.mu.Unlock()
		if s.unused.tidy {
			return
		}
		s.unused.tidy = true
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.opt.Log.Warn("segment: how long nothing was recorded is not forgotten", "err", err)
		}
		return
	}
	now := s.opt.Clock.Now().Mono
	if s.unused.since == 0 {
		s.unused.since = now
	}
	if now-s.unused.since < unusedStep {
		return
	}
	s.unused.since += unusedStep
	s.mu.Lock()
	s.unused.passed = min(s.unused.passed+unusedStep, unusedFor)
	hours := int64(s.unused.passed / time.Hour)
	s.mu.Unlock()
	s.unused.tidy = false
	if err := putHours(file, hours, syncDir); err != nil {
		s.opt.Log.Warn("segment: how long nothing was recorded is not kept", "err", err)
	}
}

// putHours writes the file anew. A power cut leaves the one from before or this one.
func putHours(file string, hours int64, syncDir func(string) error) error {
	f, err := os.Create(file + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(strconv.AppendInt(nil, hours, 10))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}
