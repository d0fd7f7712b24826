package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"sitewatch/drivers/modbus"
)

// modbusPeer is some Modbus slaves on one line, or behind one Modbus TCP gateway. They can be read and no more, as that is
// all that the box ever asks.
type modbusPeer struct {
	tcp bool

	mu     sync.Mutex
	slaves map[byte]*modbusSlave
}

type modbusSlave struct {
	mute      bool
	inputs    map[uint16]bool   // by number from 0
	registers map[uint16]uint16 // holding and input registers alike
}

const modbusInputs = 128 // of a slave; more is refused as no such address

// newModbusPeer makes slaves of these addresses, all inputs off and all registers 0.
func newModbusPeer(tcp bool, addresses ...byte) *modbusPeer {
	p := &modbusPeer{tcp: tcp, slaves: map[byte]*modbusSlave{}}
	for _, a := range addresses {
		p.slaves[a] = &modbusSlave{inputs: map[uint16]bool{}, registers: map[uint16]uint16{}}
	}
	return p
}

// Run answers requests until ctx ends or the line fails. It closes line.
func (p *modbusPeer) Run(ctx context.Context, line io.ReadWriteCloser) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		<-ctx.Done() // Close is what ends a Read
		line.Close()
		return nil
	})
	g.Go(func() error {
		var got []byte
		buf := make([]byte, 256)
		for {
			n, err := line.Read(buf)
			if err != nil {
				return err
			}
			for got = append(got, buf[:n]...); ; {
				reply, used := p.answer(got)
				if used == 0 {
					break
				}
				got = got[:copy(got, got[used:])]
				if len(reply) == 0 {
					continue
				}
				if _, err := line.Write(reply); err != nil {
					return err
				}
			}
		}
	})
	return g.Wait()
}

// answer takes the request at the start of b: how many bytes it used, 0 when more must come, and what a slave says to it. What
// is no request is skipped byte by byte.
func (p *modbusPeer) answer(b []byte) (reply []byte, used int) {
	if p.tcp {
		if len(b) < 12 {
			return nil, 0
		}
		pdu := p.pdu(b[6], b[7:12])
		if pdu == nil {
			return nil, 12
		}
		reply = append(reply, b[:4]...)
		reply = binary.BigEndian.AppendUint16(reply, uint16(1+len(pdu)))
		return append(append(reply, b[6]), pdu...), 12
	}
	if len(b) < 8 {
		return nil, 0
	}
	if binary.LittleEndian.Uint16(b[6:]) != modbus.CRC(b[:6]) {
		return nil, 1
	}
	pdu := p.pdu(b[0], b[1:6])
	if pdu == nil {
		return nil, 8
	}
	reply = append([]byte{b[0]}, pdu...)
	return binary.LittleEndian.AppendUint16(reply, modbus.CRC(reply)), 8
}

// pdu is the answer of one slave; nil: it says nothing.
func (p *modbusPeer) pdu(addr byte, req []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.slaves[addr]
	if s == nil || s.mute {
		return nil
	}
	fc, start, count := req[0], int(binary.BigEndian.Uint16(req[1:])), int(binary.BigEndian.Uint16(req[3:]))
	refuse := func(e modbus.Exception) []byte { return []byte{fc | 0x80, byte(e)} }
	switch modbus.FC(fc) {
	case modbus.ReadCoils, modbus.ReadDiscreteInputs:
		switch {
		case count == 0 || count > 2000:
			return refuse(modbus.IllegalValue)
		case start+count > modbusInputs:
			return refuse(modbus.IllegalAddress)
		}
		out := make([]byte, 2+(count+7)/8)
		out[0], out[1] = fc, byte(len(out)-2)
		for i := range count {
			if s.inputs[uint16(start+i)] {
				out[2+i/8] |= 1 << (i % 8)
			}
		}
		return out
	case modbus.ReadHolding, modbus.ReadInput:
		switch {
		case count == 0 || count > 125:
			return refuse(modbus.IllegalValue)
		case start+count > 1<<16:
			return refuse(modbus.IllegalAddress)
		}
		out := []byte{fc, byte(2 * count)}
		for i := range count {
			out = binary.BigEndian.AppendUint16(out, s.registers[uint16(start+i)])
		}
		return out
	}
	return refuse(modbus.IllegalFunction)
}

var errModbusWords = errors.New("say: input ADDRESS NUMBER on|off (numbers from 1, as printed on a module), " +
	"register ADDRESS NUMBER VALUE (numbers from 0, as on the wire), mute ADDRESS on|off")

// Do changes what the slaves will answer.
func (p *modbusPeer) Do(words []string) error {
	if len(words) < 3 {
		return errModbusWords
	}
	addr, err := strconv.ParseUint(words[1], 10, 8)
	if err != nil {
		return fmt.Errorf("%q is no address: %w", words[1], errModbusWords)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.slaves[byte(addr)]
	if s == nil {
		return fmt.Errorf("there is no slave %d here", addr)
	}
	last := words[len(words)-1]
	on := last == "on"
	isSwitch := on || last == "off"
	switch {
	case words[0] == "mute" && len(words) == 3 && isSwitch:
		s.mute = on
		return nil
	case words[0] == "input" && len(words) == 4 && isSwitch:
		n, err := strconv.ParseUint(words[2], 10, 16)
		if err != nil || n < 1 || n > modbusInputs {
			return fmt.Errorf("an input is 1 to %d, not %q", modbusInputs, words[2])
		}
		s.inputs[uint16(n-1)] = on
		return nil
	case words[0] == "register" && len(words) == 4:
		n, err := strconv.ParseUint(words[2], 10, 16)
		v, err2 := strconv.ParseUint(last, 0, 16)
		if err != nil || err2 != nil {
			return fmt.Errorf("a register and its value are 0 to 65535, not %q and %q", words[2], last)
		}
		s.registers[uint16(n)] = uint16(v)
		return nil
	}
	return errModbusWords
}
