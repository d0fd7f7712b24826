package modbus

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

// FuzzSession: a slave may send whatever it likes, in whatever pieces and at whatever moments. Nothing panics or is left behind,
// nothing grows, and what waits for the sink is bounded.
func FuzzSession(f *testing.F) {
	edgetest.Fuzz(f)
	f.Add(byte(0), byte(3), []byte("\x01\x02\x01\x05\x61\x8B"))
	f.Add(byte(1), byte(200), []byte("\x01\x02\x01\x00\xA1\x88\x01\x02\x01\x05\x61\x8B\x01\x82\x06\xC0\xA2"))
	f.Add(byte(2), byte(9), []byte("\x00\x01\x00\x00\x00\x04\x01\x02\x01\x05\x00\x02\x00\x00\x00\x03\x01\x82\x02"))
	f.Add(byte(4), byte(255), []byte("\x03\x04\x08\x00\x78\x00\x00\x00\x01\x00\x03\xC6\x73"))
	f.Fuzz(func(t *testing.T, how, size byte, b []byte) {
		if len(b) > 4096 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			kind := []panel.PortKind{panel.Serial, panel.TCPDial, panel.ModbusTCP}[how%3]
			r := newRig(t, kind, `{"echo":"auto","slaves":[{"address":1,"profile":"waveshare-8di","pairs":{"1":"2"},"debounce":"100ms"},{"address":3,"profile":"alarmline2"}]}`)
			if how&4 != 0 {
				r.sink.fail(errFull)
			}
			go io.Copy(io.Discard, r.line)
			for i := 0; len(b) > 0; i++ {
				n := min(len(b), 1+int(size)%31)
				if _, err := r.line.Write(b[:n]); err != nil {
					break
				}
				b = b[n:]
				time.Sleep(time.Duration(int(size)*(i%4)) * time.Millisecond)
			}
			time.Sleep(time.Second)
			if err := r.close(); err == nil {
				t.Error("Run returned nil: it must say why it ended")
			}
			if n := len(r.sink.sigs); n > 64*1024 {
				t.Errorf("%d signals", n)
			}
		})
	})
}

// FuzzProfile: whatever numbers a profile has, it is refused or can be used.
func FuzzProfile(f *testing.F) {
	f.Add(2, 0, 8, 0, 1, 0, uint16(0), uint16(0), byte(0))
	f.Add(3, 48001, 100, 1, 1, -1, uint16(0x08FF), uint16(0x0810), byte(0))
	f.Add(4, 0, 4, 0, 0, 3, uint16(0xFFFF), uint16(1), byte(2))
	f.Add(4, 65535, 2, 1, 0, 15, uint16(0), uint16(1), byte(3))
	f.Fuzz(func(t *testing.T, fc, start, count, base, number, bit int, mask, is uint16, decode byte) {
		b := Block{FC: FC(fc), Start: start, Count: count, Base: base, Number: number,
			Decode: []Decoding{Bits, Enum, Compare, Analogue}[decode%4], States: []Meaning{{Match: Match{Mask: &mask, Is: &is}, Kind: "fire"}}}
		if number == 0 {
			b.Points = []Point{{Point: "a", At: &start, Kind: "fire"}, {Point: "b", At: &bit, Bit: &bit, Kind: "gas"}}
		}
		p := Profile{Name: "p", Contacts: decode&4 != 0, Blocks: []Block{b}}
		if len(p.check()) > 0 {
			return
		}
		c := compiler{p: panel.NewSettings(nil), prof: &p, zones: map[edge.ZoneID]string{}, addr: 1, start: -1, count: -1, debounce: -1,
			bands: []band{{from: 1, to: 2, state: bandAlarm}}}
		for _, bl := range c.slave().blocks {
			data := make([]byte, bl.req.size())
			for i := range data {
				data[i] = byte(mask>>8) ^ byte(i)
			}
			for _, pt := range bl.points {
				pt.source.read(data, make([]tri, len(pt.conds)))
			}
			bl.req.AppendRTU(nil)
		}
	})
}
