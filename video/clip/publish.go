package clip

import (
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"

	"sitewatch/edge"
)

// publish gives a finished file its name: fsync, rename, fsync of the directory, so that after a power cut there is either
// the whole file under this name or none.
func publish(temp, final string) error {
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	f.Close()
	if err != nil {
		return err
	}
	edge.Crash("clip synced before rename")
	if err := os.Rename(temp, final); err != nil {
		return err
	}
	edge.Crash("clip renamed before directory sync")
	dir, err := os.Open(filepath.Dir(final))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// digest returns a file's size and SHA-256.
func digest(path string) (size int64, sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, sum, err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return 0, sum, err
	}
	return size, [sha256.Size]byte(h.Sum(nil)), nil
}
