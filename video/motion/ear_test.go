package motion

import (
	"bytes"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"sitewatch/video"
)

// An eye looks at nothing while it waits for its still to be taken, so that one fits in: nobody reads here until it is written.
func TestAStillFitsBetweenTwoBeats(t *testing.T) {
	r, w, err := newEar(t.Context(), video.NewPulse())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := unix.FcntlInt(w.Fd(), unix.F_GETPIPE_SZ, 0); err != nil || n < earBytes {
		t.Fatalf("the pipe holds %d bytes (%v), want %d", n, err, earBytes)
	}
	still := bytes.Repeat([]byte("a still "), 100_000)
	if _, err := w.Write(still); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, still) {
		t.Errorf("got %d bytes and %v, want the %d that were written", len(got), err, len(still))
	}
}
