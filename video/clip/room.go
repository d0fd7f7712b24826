package clip

import (
	"errors"
	"syscall"
)

const minFreeBytes = 64 << 20

// errFull says that what is left of the disk is not for pictures. A write that finds no room says the same.
const errFull = syscall.ENOSPC

// statfsFree asks the kernel what a program without privileges may use.
func statfsFree(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return int64(fs.Bavail) * fs.Bsize, nil
}

// room says whether n bytes more may be written. Clips that ask at the same moment share the answer and may together go
// below what is kept free by a fragment each, which is small against it.
func (c *Cutter) room(n int) error {
	free, err := c.opt.Free(c.opt.Dir)
	if err != nil {
		return err
	}
	if free-int64(n) < c.opt.MinFreeBytes {
		return errFull
	}
	return nil
}

// full books that a clip ends early because the disk is full, and says whether there is a clip then.
func (j *cutting) full(f *file, err error) bool {
	if !errors.Is(err, errFull) || f.fragments == 0 {
		return false
	}
	j.reasons = append(j.reasons, "cut short: the disk is full")
	f.drop()
	return true
}
