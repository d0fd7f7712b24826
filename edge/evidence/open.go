package evidence

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
)

// Bounds of what is looked at. A folder of ours is far below each.
const (
	maxFiles     = 100_000
	maxDirectory = 16 << 20 // of a zip's list of its files
	maxRatio     = 200      // a packed file's size to what is in it, above 1 MiB
	maxBytes     = 4 << 40  // of all files together
	maxName      = 255      // bytes of a name in a zip
	maxDepth     = 8        // folders inside of each other
	maxFolders   = 50_000   // of a zip
)

// ErrHostile means that a zip is made to do harm, or broken: nothing in it is looked at.
var ErrHostile = errors.New("the zip is not one that can be looked at")

// Open opens a folder, or a zip of one, for Verify. A link in a folder leads nowhere outside of it.
func Open(ctx context.Context, name string) (fs.FS, io.Closer, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if st.IsDir() {
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, nil, err
		}
		return root.FS(), root, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	fsys, err := Zip(ctx, f, st.Size())
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return fsys, f, nil
}

// Zip looks at a zip of a folder. ErrHostile when its list of files is too long, names a file twice, outside of it or deep inside, or
// when a file, or all of them, would unpack to far more than those of ours can: files that lie over each other would, too.
func Zip(ctx context.Context, r io.ReaderAt, size int64) (fs.FS, error) {
	m := &metered{r: r, left: maxDirectory}
	z, err := zip.NewReader(m, size)
	if err != nil {
		return nil, fmt.Errorf("%w: it is cut off, changed, or no zip at all: %w", ErrHostile, err)
	}
	m.left = math.MaxInt64
	if len(z.File) > maxFiles {
		return nil, fmt.Errorf("%w: it has %d files", ErrHostile, len(z.File))
	}
	seen, folders := make(map[string]bool, len(z.File)), map[string]bool{}
	top, one := "", true
	var total uint64
	for _, f := range z.File {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(f.Name, "/")
		switch {
		case len(name) > maxName || strings.Count(name, "/") > maxDepth: // each folder above it costs the reader
			return nil, fmt.Errorf("%w: %.80q is too long a name, or too deep", ErrHostile, f.Name)
		case !fs.ValidPath(name) || name == "." || strings.Contains(name, `\`):
			return nil, fmt.Errorf("%w: %.80q is no name inside of it", ErrHostile, f.Name)
		case seen[name]:
			return nil, fmt.Errorf("%w: %.80q is there twice", ErrHostile, f.Name)
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return nil, fmt.Errorf("%w: %.80q is packed in a way that is not known here", ErrHostile, f.Name)
		case f.UncompressedSize64 > 1<<20 && f.UncompressedSize64/maxRatio > f.CompressedSize64:
			return nil, fmt.Errorf("%w: %.80q unpacks to %d bytes from %d", ErrHostile, f.Name, f.UncompressedSize64, f.CompressedSize64)
		}
		seen[name] = true
		for dir := path.Dir(name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			if folders[dir] = true; len(folders) > maxFolders {
				return nil, fmt.Errorf("%w: it has more than %d folders", ErrHostile, maxFolders)
			}
		}
		if total += f.UncompressedSize64; f.UncompressedSize64 > maxBytes || total > maxBytes {
			return nil, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrHostile, int64(maxBytes))
		}
		first, _, deep := strings.Cut(name, "/")
		if first == "__MACOSX" && (strings.HasPrefix(path.Base(name), "._") || f.Mode().IsDir()) { // which macOS puts beside a folder that it packs
			continue
		}
		if top == "" {
			top = first
		}
		one = one && first == top && (deep || f.Mode().IsDir())
	}
	if total > 1<<20 && total/maxRatio > uint64(size) {
		return nil, fmt.Errorf("%w: its %d bytes unpack to %d", ErrHostile, size, total)
	}
	end := size - endBytes - int64(len(z.Comment))
	if _, ok := marked(r, size, end, endMark, false); !ok {
		return nil, fmt.Errorf("%w: there is something else behind its end", ErrHostile)
	}
	if err := sequential(ctx, r, size, end, z.File); err != nil {
		return nil, err
	}
	if one && top != "" && seen[top+"/"+headerFile] { // a zip of the folder, and not of what is in it
		return fs.Sub(z, top)
	}
	return z, nil
}

// metered lets so many bytes be read and no more.
type metered struct {
	r    io.ReaderAt
	left int64
}

func (m *metered) ReadAt(b []byte, off int64) (int, error) {
	if m.left -= int64(len(b)); m.left < 0 {
		return 0, errors.New("its list of files is too long")
	}
	return m.r.ReadAt(b, off)
}
