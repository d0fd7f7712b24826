package segment

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// File is a segment that is being written.
type File interface {
	// Append writes the pieces one behind the other, all of them unless there is an error.
	Append(pieces [][]byte) error
	Sync() error // fdatasync
	Close() error
}

// osFile is a File of the operating system. The descriptor is used as it is: os.File would try to poll it.
type osFile struct{ fd int }

func createFile(path string) (File, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_APPEND|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{fd}, nil
}

// atOnce is how many pieces one call of the kernel takes; it refuses more than 1024.
const atOnce = 512

// Append writes with as few calls as possible and copies nothing.
func (f osFile) Append(pieces [][]byte) error {
	for len(pieces) > 0 {
		n, err := unix.Writev(f.fd, pieces[:min(len(pieces), atOnce)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		for n > 0 {
			if n < len(pieces[0]) {
				pieces[0] = pieces[0][n:]
				break
			}
			n -= len(pieces[0])
			pieces = pieces[1:]
		}
	}
	// The kernel begins to write at once, and gives the blocks their places: then the first sync after this one's and the other cameras' writes
	// commits them all, and the journal, on the same disk, waits for one commit instead of one per camera. What fails here fails in Sync.
	_ = unix.SyncFileRange(f.fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	return nil
}

// Sync brings the data to the disk, and of the inode what is needed to read it.
func (f osFile) Sync() error { return unix.Fdatasync(f.fd) }

// Close gives the descriptor back.
func (f osFile) Close() error { return unix.Close(f.fd) }

func syncDir(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsync(fd)
}

// statfsFree asks the kernel what a program without privileges may use, and how large the disk is.
func statfsFree(dir string) (free, total int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, err
	}
	return int64(fs.Bavail) * fs.Bsize, int64(fs.Blocks) * fs.Bsize, nil
}

const (
	sealedExt  = ".seg"
	writingExt = ".part"
	nameTime   = "20060102T150405.000Z"
)

// stem is a file's name without its ending.
func stem(number uint64, wall time.Time) string {
	return fmt.Sprintf("%012d-%s", number, wall.UTC().Format(nameTime))
}

// parseName is the reverse, with the ending.
func parseName(name string) (number uint64, wall time.Time, sealed, ok bool) {
	base, sealed := strings.CutSuffix(name, sealedExt)
	if !sealed {
		if base, ok = strings.CutSuffix(name, writingExt); !ok {
			return 0, wall, false, false
		}
	}
	n, at, ok := strings.Cut(base, "-")
	if !ok || len(n) < 12 {
		return 0, wall, false, false
	}
	number, err := strconv.ParseUint(n, 10, 63)
	if err != nil {
		return 0, wall, false, false
	}
	if wall, err = time.Parse(nameTime, at); err != nil {
		return 0, wall, false, false
	}
	return number, wall, sealed, stem(number, wall) == base
}
