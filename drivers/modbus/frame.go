package modbus

import (
	"encoding/binary"
	"errors"
)

// FC is a function code. Only those that read exist here.
type FC byte

const (
	ReadCoils          FC = 1
	ReadDiscreteInputs FC = 2
	ReadHolding        FC = 3
	ReadInput          FC = 4

	exceptional FC = 0x80 // added to the function code of an answer that refuses
)

func (fc FC) bits() bool      { return fc == ReadCoils || fc == ReadDiscreteInputs }
func (fc FC) registers() bool { return fc == ReadHolding || fc == ReadInput }

// Limits of the Application Protocol §6.1 to §6.4, and of the frames around it.
const (
	maxBits      = 2000
	maxRegisters = 125
	requestLen   = 8   // ADDR FC START(2) COUNT(2) CRC(2)
	maxFrame     = 256 // RTU; Serial Line §2.5.1
	mbapLen      = 7   // TID(2) PROTOCOL(2) LENGTH(2) UNIT
)

// Errors of Decode. They say what to do next, so they carry no text for people.
var (
	ErrShort    = errors.New("modbus: the frame is not complete")
	ErrFunction = errors.New("modbus: no answer to a read")
	ErrCRC      = errors.New("modbus: wrong CRC")
)

// crcTable is of the polynomial A001 (8005 reflected), start FFFF; Serial Line §6.2.2.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i)
		for range 8 {
			if c&1 != 0 {
				c = c>>1 ^ 0xA001
			} else {
				c >>= 1
			}
		}
		t[i] = c
	}
	return t
}()

// CRC returns the checksum of b; on the wire its low byte comes first.
func CRC(b []byte) uint16 {
	c := uint16(0xFFFF)
	for _, x := range b {
		c = c>>8 ^ crcTable[byte(c)^x]
	}
	return c
}

// Request asks one slave for a run of coils, inputs or registers.
type Request struct {
	Addr         byte
	FC           FC
	Start, Count uint16
}

// size is how many bytes of data a good answer has.
func (r Request) size() int {
	if r.FC.bits() {
		return (int(r.Count) + 7) / 8
	}
	return 2 * int(r.Count)
}

func (r Request) appendPDU(b []byte) []byte {
	if !r.FC.bits() && !r.FC.registers() {
		panic("modbus: a request that is no read")
	}
	b = append(b, byte(r.FC))
	b = binary.BigEndian.AppendUint16(b, r.Start)
	return binary.BigEndian.AppendUint16(b, r.Count)
}

// AppendRTU appends the frame for a serial line.
func (r Request) AppendRTU(b []byte) []byte {
	start := len(b)
	b = r.appendPDU(append(b, r.Addr))
	return binary.LittleEndian.AppendUint16(b, CRC(b[start:]))
}

// AppendTCP appends the frame of Modbus TCP with the transaction's number.
func (r Request) AppendTCP(b []byte, tid uint16) []byte {
	b = binary.BigEndian.AppendUint16(b, tid)
	b = append(b, 0, 0, 0, 6, r.Addr)
	return r.appendPDU(b)
}

// Frame is one answer. Data aliases what it was decoded from.
type Frame struct {
	Addr      byte
	FC        FC // without the bit of a refusal
	Exception Exception
	Data      []byte // empty in a refusal
}

// Exception is why a slave refuses; 0: it does not.
type Exception byte

const (
	IllegalFunction Exception = 1
	IllegalAddress  Exception = 2
	IllegalValue    Exception = 3
	DeviceFailure   Exception = 4
	Acknowledge     Exception = 5
	Busy            Exception = 6
	NoPath          Exception = 0x0A
	TargetSilent    Exception = 0x0B
)

// answerLen returns how long the PDU at the start of b is: an answer to a read, or a refusal of one.
func answerLen(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, ErrShort
	}
	fc := FC(b[0]) &^ exceptional
	switch {
	case !fc.bits() && !fc.registers():
		return 0, ErrFunction
	case len(b) < 2:
		return 0, ErrShort
	case FC(b[0])&exceptional != 0:
		if b[1] == 0 {
			return 0, ErrFunction
		}
		return 2, nil
	case b[1] == 0 || b[1] > 250 || fc.registers() && b[1]%2 != 0:
		return 0, ErrFunction
	}
	return 2 + int(b[1]), nil
}

// frameOf returns the answer of addr with the complete PDU b.
func frameOf(addr byte, b []byte) Frame {
	f := Frame{Addr: addr, FC: FC(b[0]) &^ exceptional}
	if FC(b[0])&exceptional != 0 {
		f.Exception = Exception(b[1])
	} else {
		f.Data = b[2:]
	}
	return f
}

// Decode reads the RTU answer at the start of b. n is how many bytes it took; with ErrFunction and ErrCRC it is the 1 byte to
// shift by before trying again, with ErrShort 0: more bytes may complete the frame.
func Decode(b []byte) (f Frame, n int, err error) {
	if len(b) < 2 {
		return Frame{}, 0, ErrShort
	}
	size, err := answerLen(b[1:])
	if errors.Is(err, ErrShort) {
		return Frame{}, 0, ErrShort
	}
	if err != nil {
		return Frame{}, 1, err
	}
	n = 1 + size + 2
	if len(b) < n {
		return Frame{}, 0, ErrShort
	}
	if binary.LittleEndian.Uint16(b[n-2:]) != CRC(b[:n-2]) {
		return Frame{}, 1, ErrCRC
	}
	return frameOf(b[0], b[1:n-2]), n, nil
}

// DecodeTCP reads the answer of Modbus TCP at the start of b. After ErrFunction with n 0 the stream cannot be followed any more;
// with n > 0 the frame is sound but no answer to a read.
func DecodeTCP(b []byte) (f Frame, tid uint16, n int, err error) {
	if len(b) < mbapLen+1 {
		return Frame{}, 0, 0, ErrShort
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if b[2] != 0 || b[3] != 0 || length < 2 || length > maxFrame-2 {
		return Frame{}, 0, 0, ErrFunction
	}
	tid, n = binary.BigEndian.Uint16(b), mbapLen-1+length
	if len(b) < n {
		return Frame{}, 0, 0, ErrShort
	}
	if size, err := answerLen(b[mbapLen:n]); err != nil || size != n-mbapLen {
		return Frame{}, tid, n, ErrFunction
	}
	return frameOf(b[mbapLen-1], b[mbapLen:n]), tid, n, nil
}

// AppendRTU appends the answer as a slave on a serial line sends it.
func (f Frame) AppendRTU(b []byte) []byte {
	start := len(b)
	b = f.appendPDU(append(b, f.Addr))
	return binary.LittleEndian.AppendUint16(b, CRC(b[start:]))
}

func (f Frame) appendPDU(b []byte) []byte {
	if f.Exception != 0 {
		return append(b, byte(f.FC|exceptional), byte(f.Exception))
	}
	b = append(b, byte(f.FC), byte(len(f.Data)))
	return append(b, f.Data...)
}

// answers says whether f is the answer to r: a refusal, or data of the size that was asked for.
func (r Request) answers(f Frame) bool {
	return f.Addr == r.Addr && f.FC == r.FC && (f.Exception != 0 || len(f.Data) == r.size())
}
