package rs485

import (
	"fmt"

	"github.com/tarm/serial"
)

// Format is how a character is sent: data bits, parity, stop bits, as in "8N1" or "7E2".
type Format string

// Check says what is wrong with f.
func (f Format) Check() error {
	if len(f) != 3 || f[0] < '5' || f[0] > '8' || (f[1] != 'N' && f[1] != 'E' && f[1] != 'O') || (f[2] != '1' && f[2] != '2') {
		return fmt.Errorf("format %q is not data bits, parity and stop bits such as 8N1, 8E1, 7E1 or 7E2", string(f))
	}
	return nil
}

// parts is for a format that Check found good; any other is 8N1.
func (f Format) parts() (size byte, p serial.Parity, s serial.StopBits) {
	if f.Check() != nil {
		return 8, serial.ParityNone, serial.Stop1
	}
	return f[0] - '0', serial.Parity(f[1]), serial.StopBits(f[2] - '0')
}

// bauds are the speeds that a panel line may have.
var bauds = [...]int{300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200}

// CheckBaud says what is wrong with a speed.
func CheckBaud(baud int) error {
	for _, b := range bauds {
		if b == baud {
			return nil
		}
	}
	return fmt.Errorf("baud %d is not one of %v", baud, bauds)
}
