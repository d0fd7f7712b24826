package journal

import (
	"context"
	"os"
	"strings"
	"testing"

	"sitewatch/edge"
)

// TestReaderOfALongLogIsNotWaitedFor is 'gateway verify' on a large journal in a storm: the log cannot be cut back while it reads.
func TestReaderOfALongLogIsNotWaitedFor(t *testing.T) {
	ctx := t.Context()
	j, err := Open(ctx, testOptions(t.TempDir())) // without Run: the test is the writer
	must(t, err)
	defer j.Close()
	readers, err := openReaders(j.Path())
	must(t, err)
	defer readers.Close()
	reader, err := readers.BeginTx(ctx, nil)
	must(t, err)
	var n int
	must(t, reader.QueryRow(`select count(*) from events`).Scan(&n)) // from here on it has its snapshot
	size := func() int64 {
		st, err := os.Stat(j.Path() + "-wal")
		must(t, err)
		return st.Size()
	}
	for size() <= walMaxBytes {
		must(t, j.alone(ctx, func(ctx context.Context, t *tx) error {
			for range 64 {
				if _, err := t.emit(ctx, edge.Event{Kind: edge.KindMotion, Text: strings.Repeat("x", 40<<10)}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	timeout := func() (ms int) {
		must(t, j.store.row(ctx, `pragma busy_timeout`, nil, &ms))
		return ms
	}
	must(t, j.shrinkLog(ctx))
	if size() <= walMaxBytes || timeout() != busyMillis {
		t.Errorf("log of %d bytes, timeout %d ms; want the log still long and the timeout back", size(), timeout())
	}
	must(t, reader.Rollback())
	must(t, j.shrinkLog(ctx)) // too soon after the last try
	if size() <= walMaxBytes {
		t.Error("it was tried again at once")
	}
	j.shrunk = edge.Stamp{}
	must(t, j.shrinkLog(ctx))
	if size() != 0 {
		t.Errorf("log of %d bytes after the reader has gone, want none", size())
	}
}
