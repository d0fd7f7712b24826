package galaxy

import "errors"

// A block is HDR FC DATA(0..63) PAR. PAR is 0xFF XOR all before it, so the XOR of a whole block is 0xFF.
const (
	maxData  = 63
	maxBlock = maxData + 3

	lengthBits = 0x3F // of HDR: number of data bytes
	wantsAck   = 0x40 // of HDR: the sender wants an acknowledgement
	reverse    = 0x80 // of HDR: reverse channel enabled
)

// FC is a function code.
type FC byte

const (
	FCAccount   FC = '#' // account id
	FCEvent     FC = 'N' // new event
	FCOldEvent  FC = 'O' // from the panel's buffer
	FCText      FC = 'A' // text of the event before
	FCEnd       FC = '0' // end of data
	FCConfig    FC = '@' // answer to a login
	FCLogin     FC = '?' // to the panel
	FCControl   FC = 'C'
	FCExtended  FC = 'X'
	FCAck       FC = '8'
	FCReject    FC = '9'
	FCAltAck    FC = 0x08
	FCAltReject FC = 0x09
	FCStandby   FC = '6' // ack and standby
	FCHangUp    FC = '7' // ack and disconnect
	FCWait      FC = '1'
	FCAbort     FC = '2'
)

// known is the table of function codes: those above and the rare ones that are logged and acknowledged.
var known = func() (t [256]bool) {
	for _, c := range []byte("#NOA0@?CX896712EP&LVvI\x08\x09") {
		t[c] = true
	}
	return t
}()

// Errors of Decode. They say what to do next, so they carry no text for people.
var (
	ErrShort    = errors.New("galaxy: the block is not complete")
	ErrFunction = errors.New("galaxy: no such function code")
	ErrParity   = errors.New("galaxy: wrong parity")
	ErrTooLong  = errors.New("galaxy: more than 63 data bytes")
)

// Frame is one block. Data aliases what it was decoded from.
type Frame struct {
	Header byte // length bits are ignored when encoding
	FC     FC
	Data   []byte
}

// WantsAck says whether the sender wants an acknowledgement.
func (f Frame) WantsAck() bool { return f.Header&wantsAck != 0 }

// Decode reads the block at the start of b. n is how many bytes it took; with ErrFunction and ErrParity it is the 1 byte
// to shift by before trying again, with ErrShort 0: more bytes may complete the block.
func Decode(b []byte) (f Frame, n int, err error) {
	if len(b) < 2 {
		return Frame{}, 0, ErrShort
	}
	if !known[b[1]] {
		return Frame{}, 1, ErrFunction
	}
	n = int(b[0]&lengthBits) + 3
	if len(b) < n {
		return Frame{}, 0, ErrShort
	}
	x := byte(0)
	for _, c := range b[:n] {
		x ^= c
	}
	if x != 0xFF {
		return Frame{}, 1, ErrParity
	}
	return Frame{Header: b[0], FC: FC(b[1]), Data: b[2 : n-1]}, n, nil
}

// AppendBinary appends the block to b.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	if len(f.Data) > maxData {
		return b, ErrTooLong
	}
	start := len(b)
	b = append(b, f.Header&^lengthBits|byte(len(f.Data)), byte(f.FC))
	b = append(b, f.Data...)
	x := byte(0xFF)
	for _, c := range b[start:] {
		x ^= c
	}
	return append(b, x), nil
}
