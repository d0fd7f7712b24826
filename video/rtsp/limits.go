package rtsp

import (
	"errors"
	"fmt"
	"time"
)

// ErrLimit says that a camera sends more than is taken in. It is asked again, but seldom.
var ErrLimit = errors.New("rtsp: camera sends too much")

// What no camera of a shop sends, and what one that is broken or hostile may: it would cost the others their processor and memory.
const (
	maxPicturesPerSecond = 240
	pictureWindow        = 2 * time.Second
	maxBitsPerSecond     = 100_000_000
	bitWindow            = 5 * time.Second
)

// load measures what comes by its arrival. A burst after a stall of the network stays below the limits, as long as the connection
// would have lived through the stall.
type load struct {
	pictures window
	bits     window
}

// window counts over a fixed span of time, and then anew.
type window struct {
	from  time.Duration
	begun bool
	sum   int64
}

// add returns the sum of the running span with n in it.
func (w *window) add(n int64, mono, span time.Duration) int64 {
	if !w.begun || mono-w.from >= span {
		*w = window{from: mono, begun: true}
	}
	w.sum += n
	return w.sum
}

// packet takes n bytes and the pictures that they completed.
func (l *load) packet(n int, pictures int64, mono time.Duration) error {
	if l.bits.add(int64(n)*8, mono, bitWindow) > maxBitsPerSecond*int64(bitWindow/time.Second) {
		return fmt.Errorf("%w: more than %d Mbit/s", ErrLimit, maxBitsPerSecond/1_000_000)
	}
	if pictures > 0 && l.pictures.add(pictures, mono, pictureWindow) > maxPicturesPerSecond*int64(pictureWindow/time.Second) {
		return fmt.Errorf("%w: more than %d pictures a second", ErrLimit, maxPicturesPerSecond)
	}
	return nil
}
