package preview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/edge"
)

const tempExt = ".tmp"

// make makes one preview when its turn comes.
func (m *Maker) make(ctx context.Context, id edge.ClipID, clip string, size int64, path string) error {
	if _, err := exec.LookPath(m.o.FFmpeg); err != nil {
		return ErrMissing
	}
	select {
	case m.queue <- struct{}{}:
		defer func() { <-m.queue }()
	default:
		return ErrBusy
	}
	select {
	case m.turns <- struct{}{}:
		defer func() { <-m.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	most, err := m.roomFor()
	if err != nil {
		return err
	}
	in, err := os.Open(clip)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(m.o.Dir, string(id)+"-*"+tempExt)
	if err != nil {
		return fmt.Errorf("preview: %w", err)
	}
	defer out.Close()
	if err := m.run(ctx, io.NewSectionReader(in, 0, size), out, most); err != nil {
		os.Remove(out.Name())
		return err
	}
	m.Forget(id) // of what there was of it before
	if err := os.Rename(out.Name(), path); err != nil {
		os.Remove(out.Name())
		return fmt.Errorf("preview: %w", err)
	}
	return nil
}

// roomFor makes room and says how large a preview may become.
func (m *Maker) roomFor() (int64, error) {
	room, err := m.o.Room()
	if err != nil {
		return 0, fmt.Errorf("preview: %w", err)
	}
	most := int64(min(outputMost, room))
	if most < outputLeast {
		return 0, ErrFull
	}
	entries, err := os.ReadDir(m.o.Dir)
	if err != nil {
		return 0, fmt.Errorf("preview: %w", err)
	}
	var files []os.FileInfo
	total := most * atOnce
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && strings.HasSuffix(fi.Name(), ".mp4") {
			files, total = append(files, fi), total+fi.Size()
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, fi := range files {
		if total <= m.o.LimitBytes {
			break
		}
		if os.Remove(filepath.Join(m.o.Dir, fi.Name())) == nil {
			total -= fi.Size()
		}
	}
	return most, nil
}

// run has ffmpeg read a clip from one pipe and write a preview to the file, and nothing else.
func (m *Maker) run(ctx context.Context, in io.Reader, out *os.File, most int64) error {
	all := ctx
	ctx, cancel := context.WithTimeout(ctx, m.o.Timeout)
	defer cancel()
	said := &capped{}
	cmd, err := m.start(func() *exec.Cmd { return m.command(ctx, in, out, said, most) })
	if err != nil {
		return fmt.Errorf("preview: %w", err)
	}
	// It has hardly begun, and cannot be another process: it has not been waited for.
	limit(cmd.Process.Pid, most, m.o.Timeout.Seconds())
	err = cmd.Wait()
	switch {
	case all.Err() != nil:
		return all.Err()
	case ctx.Err() != nil:
		return ErrTimeout
	case errors.As(err, new(*exec.ExitError)):
		m.o.Log.Warn("no preview could be made of a clip", "err", err, "said", strings.TrimSpace(string(said.b)))
		return ErrUnplayable
	case err != nil:
		return fmt.Errorf("preview: %w", err)
	}
	if fi, err := out.Stat(); err != nil || fi.Size() == 0 {
		return ErrUnplayable
	}
	return nil
}

// command is ffmpeg with what it is given. B-pictures would put all pictures later by two of them, and not the sound: 8 s of nothing from a
// camera of one picture in 4 s.
func (m *Maker) command(ctx context.Context, in io.Reader, out *os.File, said *capped, most int64) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.o.FFmpeg, "-nostdin", "-hide_banner", "-v", "error",
		"-protocol_whitelist", "pipe", "-threads", "1", "-f", "mp4", "-i", "pipe:0", "-map", "0:v:0", "-map", "0:a:0?", "-map_metadata", "-1",
		"-filter_threads", "1", "-vf", "scale='min(1280,iw)':-2", "-pix_fmt", "yuv420p",
		"-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-bf", "0", "-threads", "1", "-c:a", "aac", "-b:a", "64k",
		"-movflags", "frag_keyframe+empty_moov+default_base_moof", "-fs", fmt.Sprint(most), "-f", "mp4", "pipe:1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, said
	cmd.Env, cmd.Dir = []string{"LC_ALL=C"}, "/"
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what it may have started ends with it, and a Ctrl-C is for us
	return cmd
}

// limit bounds what the child may take: processor, memory, files. What cannot be set is left, and the time ends it all the same.
func limit(pid int, most int64, seconds float64) {
	for what, n := range map[int]uint64{
		unix.RLIMIT_CPU: uint64(seconds) + 1, unix.RLIMIT_AS: 2 << 30, unix.RLIMIT_FSIZE: uint64(most) + 1<<20,
		unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: 64,
	} {
		_ = unix.Prlimit(pid, what, &unix.Rlimit{Cur: n, Max: n}, nil)
	}
	_ = unix.Setpriority(unix.PRIO_PROCESS, pid, 19) // boxes go first
}

// capped keeps the beginning of what is written.
type capped struct{ b []byte }

// Write takes everything.
func (c *capped) Write(b []byte) (int, error) {
	c.b = append(c.b, b[:min(len(b), 1024-len(c.b))]...)
	return len(b), nil
}
