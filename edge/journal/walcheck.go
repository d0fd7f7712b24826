package journal

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// checkLog finds commits in the write-ahead log that SQLite would leave out because something before them does not fit its
// checksum. Behind the last good commit a power cut may leave the parts of one transaction, which nobody was promised; a
// second one is begun only after the first is on disk. https://www.sqlite.org/fileformat2.html#wal_file_format
func checkLog(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var h [walHeader]byte
	if _, err := f.ReadAt(h[:], 0); err != nil {
		return err
	}
	var order binary.ByteOrder = binary.LittleEndian
	magic := binary.BigEndian.Uint32(h[:])
	if magic&1 != 0 {
		order = binary.BigEndian
	}
	sum := logSum(order, [2]uint32{}, h[:24])
	if magic&^1 != 0x377f0682 || sum != [2]uint32{binary.BigEndian.Uint32(h[24:]), binary.BigEndian.Uint32(h[28:])} {
		st, err := f.Stat()
		if err != nil {
			return err
		}
		if h == [walHeader]byte{} || st.Size() < walHeader+frameHeader+pageBytes {
			return nil // it was being begun
		}
		return damaged("the header of its log does not fit")
	}
	good, left := true, 0
	frame := make([]byte, frameHeader+pageBytes)
	for at := int64(walHeader); ; at += int64(len(frame)) {
		if _, err := f.ReadAt(frame, at); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		first, second := string(frame[8:12]) == string(h[16:20]), string(frame[12:16]) == string(h[20:24])
		if !first && !second {
			return nil // of an earlier round: the rest is, too
		}
		good = good && first && second
		if good {
			sum = logSum(order, logSum(order, sum, frame[:8]), frame[frameHeader:])
			good = sum == [2]uint32{binary.BigEndian.Uint32(frame[16:]), binary.BigEndian.Uint32(frame[20:])}
		}
		if !good && binary.BigEndian.Uint32(frame[4:]) != 0 {
			if left++; left > 1 {
				return damaged("its log does not fit its checksum before the end")
			}
		}
	}
}

// logSum adds b to a running checksum.
func logSum(order binary.ByteOrder, s [2]uint32, b []byte) [2]uint32 {
	for i := 0; i+8 <= len(b); i += 8 {
		s[0] += order.Uint32(b[i:]) + s[1]
		s[1] += order.Uint32(b[i+4:]) + s[0]
	}
	return s
}
