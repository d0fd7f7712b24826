package osdp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

// Codes of a NAK.
const (
	nakCheck    = 1
	nakLength   = 2
	nakCommand  = 3
	nakSequence = 4
	nakSecurity = 5
	nakEncrypt  = 6
)

func nakCode(f Frame) byte {
	if len(f.Data) == 0 {
		return 0
	}
	return f.Data[0]
}

// Reasons why a device is not in service; they end with what to do.
const (
	whyClear    = "it answers without the secure channel that was agreed: it was restarted, or somebody else speaks for it"
	whyMAC      = "its answers fail authentication: a disturbed line, or somebody else speaks for it"
	whyFactory  = "it still has the factory key (SCBK-D), which everybody knows: set install_key to a time soon, so that it is given its own"
	whyKey      = "its key is not the one of scbk_file: bring the right key, or reset the device and open the install window"
	whyRefuses  = "it refuses the secure channel with NAK %02X: reset its key and open the install window, or it knows no encryption"
	whyDemands  = "it demands a secure channel: give it a scbk_file and leave secure: off out"
	whyKeySet   = "it does not take its key (NAK %02X): it has one already, or its key cannot be set over the line"
	whyAnswer   = "it answers command %02X with %02X, which is no answer to it"
	whySequence = "it has lost count of the sequence numbers"
)

// A device's trouble is logged so often, and so often when it is another than before; in between it is counted.
const (
	logEvery = time.Minute
	logOther = 5 * time.Second
)

// trouble begins the device anew and remembers why.
func (s *session) trouble(d *device, why string) {
	now := s.now()
	d.reason = why
	d.troubles++
	if since := now - d.loggedAt; d.logged == "" || since >= logEvery || d.logged != why && since >= logOther {
		s.o.Log.Warn("OSDP device is not in service", "address", d.address, "err", why, "times", d.troubles)
		d.logged, d.loggedAt, d.troubles = why, now, 0
	}
	d.restart(now)
}

// handle takes the answer to the command under way, whose sending began then.
func (s *session) handle(ctx context.Context, d *device, r found, at edge.Stamp, began time.Duration) error {
	f := r.frame
	if f.Code == repBusy && f.blockType() == 0 {
		d.due = s.now() + busyWait // says nothing about the device's points, so it may come in clear
		return nil
	}
	if d.channel != nil {
		var err error
		if f, err = d.channel.unwrap(f, r.raw); err != nil {
			s.o.Meter.Reject()
			if errors.Is(err, errClear) {
				s.trouble(d, whyClear)
			} else {
				s.trouble(d, whyMAC)
			}
			return nil
		}
	} else if t := f.blockType(); t != 0 && t != scbCCrypt && t != scbRMAC {
		s.trouble(d, fmt.Sprintf(whyAnswer, d.command, f.Code))
		return nil
	}
	s.o.Meter.Frame(at)
	if f.Code == repNak {
		s.nak(d, nakCode(f))
		return nil
	}
	switch d.stage {
	case starting:
		if d.key == nil && (f.Code == repLocal || f.Code == repInput) {
			if ok, err := s.report(ctx, d, f, r.raw, at); err != nil || !ok {
				return err
			}
		}
		d.next(identity, s.now())
	case identity:
		s.identify(d, f)
		d.next(abilities, s.now())
	case abilities:
		s.open(d)
	case challenge:
		s.challenged(d, f)
	case proof:
		s.proved(d, f)
	case keySet:
		if f.Code != repAck {
			s.trouble(d, fmt.Sprintf(whyAnswer, d.command, f.Code))
			return nil
		}
		s.o.Log.Info("OSDP device has been given its own key", "address", d.address)
		d.onDefault, d.keyed = false, true
		d.begin(s.now())
	default:
		d.good = at.Mono
		ok, err := s.report(ctx, d, f, r.raw, at)
		if err != nil || !ok {
			return err
		}
		s.on(d, f, began)
	}
	return nil
}

// report stores what the answer says of the device's points. Without the store the device is asked again with the same number,
// so that it repeats its answer: only another number tells it that we have this one.
func (s *session) report(ctx context.Context, d *device, f Frame, raw []byte, at edge.Stamp) (ok bool, err error) {
	base := edge.Signal{At: at, Opened: s.opened, Raw: append([]byte{}, raw...)}
	var sigs []edge.Signal
	if d.lost != inactive {
		back := base
		back.Kind, back.State, back.Zone = edge.KindDeviceLost.Restored(), true, d.part("device")
		sigs = append(sigs, back)
	}
	r := reading{f.Code, f.Data}
	sigs = d.points.changes(sigs, &d.deviceConfig, r, base)
	if len(sigs) > 0 {
		if ok, err := s.signal(ctx, sigs...); err != nil || !ok {
			d.due, d.tried = s.now()+holdWait, 0
			return false, err
		}
	}
	d.points.stored(r)
	if d.lost != inactive {
		s.o.Log.Info("OSDP device in service", "address", d.address, "secure", d.channel != nil)
	}
	d.lost, d.reason = inactive, ""
	return true, nil
}

// on goes on to what is due next of a device in service.
func (s *session) on(d *device, f Frame, began time.Duration) {
	now := s.now()
	switch d.stage {
	case local:
		d.next(inputs, now)
	case inputs:
		d.next(polling, now)
		d.read, d.wait = now, firstWait
	default:
		due := began + pollEvery
		switch f.Code {
		case repAck:
		case repLocal, repInput:
			due = now // it may have more to say
		default:
			d.reports++ // what is in it is not ours to read
			s.o.Log.Debug("OSDP report that is no alarm", "address", d.address, "reply", fmt.Sprintf("%02X", f.Code), "count", d.reports)
			due = now
		}
		d.next(polling, max(due, now))
	}
	s.full(d)
}

// full turns a poll into the reading of the full state when that is due, and passes over what the device does not know.
func (s *session) full(d *device) {
	if d.stage == polling && s.now()-d.read >= readEvery {
		d.stage, d.read = local, s.now()
	}
	if d.stage == local && d.noLocal {
		d.stage = inputs
	}
	if d.stage == inputs && d.noInputs {
		d.stage = polling
	}
}

func (s *session) identify(d *device, f Frame) {
	if f.Code != repID || len(f.Data) < 12 {
		return
	}
	b := f.Data
	ident := fmt.Sprintf("vendor %X, model %d.%d, serial %02X%02X%02X%02X, firmware %d.%d.%d", b[:3], b[3], b[4], b[8], b[7], b[6], b[5], b[9], b[10], b[11])
	if ident != d.ident {
		d.ident = ident
		s.o.Log.Info("OSDP device says what it is", "address", d.address, "device", ident)
	}
}

// nak does what a refusal asks for.
func (s *session) nak(d *device, code byte) {
	switch {
	case code == nakCheck || code == nakLength:
		s.o.Meter.Reject()
		d.failed(s.now())
	case code == nakSequence:
		s.trouble(d, whySequence)
	case d.stage == starting && d.key != nil:
		d.next(identity, s.now())
	case d.stage == identity:
		d.next(abilities, s.now())
	case d.stage == abilities:
		s.open(d)
	case d.stage == challenge || d.stage == proof:
		s.refused(d, fmt.Sprintf(whyRefuses, code))
	case d.stage == keySet:
		d.onDefault = false
		s.trouble(d, fmt.Sprintf(whyKeySet, code))
	case code == nakEncrypt || code == nakSecurity:
		s.trouble(d, whyDemands)
	case d.stage == local:
		d.good, d.noLocal = s.now(), code == nakCommand
		s.passOver(d, inputs)
	case d.stage == inputs:
		d.good, d.noInputs = s.now(), code == nakCommand
		if d.noInputs && len(d.inputs) > 0 {
			s.o.Log.Warn("OSDP device has no inputs, but zones are named for them", "address", d.address)
		}
		s.passOver(d, polling)
	default:
		s.trouble(d, fmt.Sprintf("it refuses command %02X with NAK %02X", d.command, code))
	}
}

// passOver goes on behind a reading that the device does not know.
func (s *session) passOver(d *device, to stage) {
	now := s.now()
	if to == polling {
		d.read, d.wait = now, firstWait
	}
	d.next(to, now)
	s.full(d)
}

// open begins the secure channel, or goes into service without one.
func (s *session) open(d *device) {
	if d.key == nil {
		d.next(local, s.now())
		s.full(d)
		return
	}
	if !s.installing(d) {
		d.onDefault = false
	}
	d.next(challenge, s.now())
}

// installing says whether the device may be given its key now. A clock that nobody has set opens no window.
func (s *session) installing(d *device) bool {
	now := s.o.Clock.Now()
	return !d.keyed && now.ClockState() != edge.ClockUnset && now.Wall.Before(d.install)
}

// refused tries the other key inside the install window; outside of it there is no other.
func (s *session) refused(d *device, why string) {
	if s.installing(d) && !d.onDefault {
		d.onDefault = true
		d.begin(s.now())
		return
	}
	d.onDefault = false
	s.trouble(d, why)
}

// challenged proves that the device has the key.
func (s *session) challenged(d *device, f Frame) {
	if f.Code != repCCrypt || f.blockType() != scbCCrypt || len(f.Data) != 32 {
		s.refused(d, fmt.Sprintf(whyAnswer, d.command, f.Code))
		return
	}
	rndB, cryptogram := [8]byte(f.Data[8:16]), f.Data[16:]
	c := newChannel(d.scbk(), d.random, rndB)
	if !equal(c.client[:], cryptogram) {
		if f.key() == keyDefault || equal(newChannel(defaultKey, d.random, rndB).client[:], cryptogram) {
			s.refused(d, whyFactory)
		} else {
			s.refused(d, whyKey)
		}
		return
	}
	d.pending = c
	d.next(proof, s.now())
}

// proved checks that the device has accepted our proof; then the channel is up.
func (s *session) proved(d *device, f Frame) {
	if f.Code != repRMAC || f.blockType() != scbRMAC || f.key() != 1 || !equal(f.Data, d.pending.initial()) {
		s.refused(d, whyKey)
		return
	}
	d.channel, d.pending = d.pending, nil
	if d.onDefault {
		d.next(keySet, s.now())
		return
	}
	d.keyed = true
	d.good = s.now()
	d.next(local, s.now())
	s.full(d)
}
