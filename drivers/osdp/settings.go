package osdp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"sitewatch/drivers/panel"
	"sitewatch/edge"
)

const (
	maxAddress = 0x7E // 7F is for everybody
	maxInputs  = 255  // a device tells their number in one byte
	maxKeyFile = 4096

	defaultTimeout = 200 * time.Millisecond // a device must begin its answer in that time
	minTimeout     = 20 * time.Millisecond
	maxTimeout     = 5 * time.Second
)

// config is what the settings say.
type config struct {
	timeout time.Duration
	devices []deviceConfig
}

// deviceConfig is one device of the bus.
type deviceConfig struct {
	address  byte
	key      *Key                // nil: without secure channel
	install  time.Time           // until then a device with the factory key is given its own
	checksum bool                // 8-bit checksum instead of CRC, for old devices
	inputs   map[int]edge.ZoneID // from 1
}

// zone is the zone of an input.
func (c *deviceConfig) zone(input int) edge.ZoneID {
	if z, ok := c.inputs[input]; ok {
		return z
	}
	return c.part(strconv.Itoa(input))
}

// part names what a device has beside mapped inputs: "1-tamper".
func (c *deviceConfig) part(name string) edge.ZoneID {
	return edge.ZoneID(strconv.Itoa(int(c.address)) + "-" + name)
}

// readSettings reads the settings; it notes all that is wrong with them, and gives what can be used.
func readSettings(s *panel.Settings) config {
	c := config{timeout: s.Duration("timeout", defaultTimeout)}
	if c.timeout < minTimeout || c.timeout > maxTimeout {
		s.Problem("timeout", fmt.Sprintf("%v is not between %v and %v", c.timeout, minTimeout, maxTimeout), "leave it out: 200ms is what the protocol allows a device")
		c.timeout = defaultTimeout
	}
	install := readInstall(s, time.Time{})
	parts := s.List("devices")
	if len(parts) == 0 {
		s.Problem("devices", "no device is named", `list them: [{address: 1, scbk_file: /etc/sitewatch/osdp-1.key, inputs: {"1": "301"}}]`)
	}
	var of []*panel.Settings // of each device
	for _, p := range parts {
		d, ok := readDevice(p, install)
		if slices.ContainsFunc(c.devices, func(o deviceConfig) bool { return o.address == d.address }) && ok {
			p.Problem("address", fmt.Sprintf("another device has address %d too", d.address), "give each device of the line an address of its own")
			ok = false
		}
		if ok {
			c.devices, of = append(c.devices, d), append(of, p)
		}
	}
	checkZones(c.devices, of)
	return c
}

// checkZones finds zones that would stand for two inputs.
func checkZones(devices []deviceConfig, of []*panel.Settings) {
	places := map[edge.ZoneID]string{}
	for i := range devices {
		d := &devices[i]
		for _, n := range slices.Sorted(maps.Keys(d.inputs)) {
			z, here := d.inputs[n], place(n, d)
			there, twice := places[z]
			for j := range devices {
				if in, ok := devices[j].unmapped(z); ok && !(in == n && i == j) {
					there, twice = place(in, &devices[j])+", which has no zone", true
				}
			}
			if twice {
				of[i].Problem("inputs", fmt.Sprintf("zone %q of %s is that of %s", z, here, there), "give each input a zone of its own")
			}
			places[z] = here
		}
	}
}

func place(input int, d *deviceConfig) string {
	return fmt.Sprintf("input %d of device %d", input, d.address)
}

// unmapped returns the input that is called z because no zone is named for it.
func (c *deviceConfig) unmapped(z edge.ZoneID) (input int, ok bool) {
	_, n, _ := strings.Cut(string(z), "-")
	input, err := strconv.Atoi(n)
	return input, err == nil && c.part(strconv.Itoa(input)) == z && c.inputs[input] == "" && input >= 1 && input <= maxInputs
}

// readDevice reads one device; ok is false when its address is none.
func readDevice(p *panel.Settings, install time.Time) (d deviceConfig, ok bool) {
	d = deviceConfig{inputs: map[int]edge.ZoneID{}}
	switch a := p.Int("address", -1); {
	case !p.Has("address"):
		p.Problem("address", "the device has no address", "write the one that it is set to, 0 to 126")
	case a < 0 || a > maxAddress:
		p.Problem("address", fmt.Sprintf("%d is not an address", a), "write the one that it is set to, 0 to 126")
	default:
		d.address, ok = byte(a), true
	}
	d.install = readInstall(p, install)
	d.checksum = p.Choice("check", "crc", "checksum") == "checksum"
	readKey(p, &d)
	for k, z := range p.Map("inputs") {
		n, err := strconv.Atoi(k)
		if err != nil || n < 1 || n > maxInputs || strconv.Itoa(n) != k {
			p.Problem("inputs."+k, fmt.Sprintf("%q is not the number of an input", k), "inputs count from 1")
			continue
		}
		if z == "" {
			p.Problem("inputs."+k, "the zone is empty", "name the zone, or leave the input out")
			continue
		}
		d.inputs[n] = edge.ZoneID(z)
	}
	return d, ok
}

// readKey reads the device's key. A device that is to run in clear must say so: forgetting the key is no way to switch the
// encryption off (P10).
func readKey(p *panel.Settings, d *deviceConfig) {
	file, off := p.String("scbk_file", ""), p.Choice("secure", "on", "off") == "off"
	switch {
	case file == "" && !off:
		p.Problem("scbk_file", "the device has no key for its secure channel", "write one: head -c16 /dev/urandom | xxd -p > FILE; or secure: off if anybody on the line may speak for the device")
	case file != "" && off:
		p.Problem("secure", "secure is off and yet there is a scbk_file", "remove one of the two")
	case file != "":
		k, hint, err := readKeyFile(file)
		if err != nil {
			p.Problem("scbk_file", err.Error(), hint)
		}
		d.key = &k
	}
	if d.checksum && d.key != nil {
		p.Problem("check", "a secure channel needs the CRC", "leave check out")
	}
}

// readKeyFile reads 32 hex digits from a file that only its owner may read. Its errors name the file, never what is in it; hint
// is what to do about one.
func readKeyFile(name string) (k Key, hint string, err error) {
	const write = "make one with: head -c16 /dev/urandom | xxd -p > FILE; chmod 600 FILE"
	st, err := os.Stat(name)
	switch {
	case err != nil:
		return k, write, fmt.Errorf("key file: %w", err)
	case !st.Mode().IsRegular():
		return k, write, fmt.Errorf("key file %s is not a file", name)
	case st.Mode().Perm()&0o077 != 0:
		return k, "chmod 600 " + name + "; make a new key if others have read it", fmt.Errorf("key file %s has mode %04o: others may read the key", name, st.Mode().Perm())
	}
	f, err := os.Open(name)
	if err != nil {
		return k, "it must belong to the user that the gateway runs as", fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return k, write, fmt.Errorf("key file: %w", err)
	}
	b = bytes.Join(bytes.Fields(b), nil)
	if len(b) != 2*len(k) {
		return k, write, fmt.Errorf("key file %s has %d digits, not %d", name, len(b), 2*len(k))
	}
	if _, err := hex.Decode(k[:], b); err != nil {
		return Key{}, write, fmt.Errorf("key file %s holds something else than hex digits", name)
	}
	if k == defaultKey || k == (Key{}) {
		return k, write, fmt.Errorf("key file %s holds a key that everybody knows", name)
	}
	return k, "", nil
}

func readInstall(s *panel.Settings, def time.Time) time.Time {
	switch v := s.Any("install_key").(type) {
	case nil:
		return def
	case time.Time:
		return v
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t
		}
	}
	s.Problem("install_key", "that is not a date and time", `write until when the factory key is accepted, for example "2026-11-25T18:00:00Z"`)
	return def
}
