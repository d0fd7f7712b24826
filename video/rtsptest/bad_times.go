package rtsptest

// times gives the n-th picture the RTP time that f makes of its own.
func times(f func(n int, ts uint32) uint32) func(*peer, int, []packet) []packet {
	return func(_ *peer, n int, ps []packet) []packet {
		for i := range ps {
			ps[i].ts = f(n, ps[i].ts)
		}
		return ps
	}
}

// reports has the camera send a sender report ahead of each tenth picture. ntp makes seconds since 1900, and parts of 1/2^32 s.
func reports(ntp func(n int) uint64) func(*peer, int, []packet) []packet {
	return func(p *peer, n int, ps []packet) []packet {
		if n%10 == 0 {
			ps = append([]packet{senderReport(p.channels[0]+1, ssrc, ntp(n), ps[0].ts)}, ps...)
		}
		return ps
	}
}

const (
	ntp1970 = 2208988800
	ntp2026 = ntp1970 + 1767225600
)

// ntpAt is n pictures of the rate per thousand after sec.
func ntpAt(sec uint64, n int, perMille uint64) uint64 {
	return sec<<32 + uint64(n)*(1<<32)/rate*perMille/1000
}

// badTimes are those whose clocks are wrong.
func badTimes() []Bad {
	return []Bad{
		{Name: "time-wraps", Does: "has an RTP time that wraps after ten pictures", From: "RFC 3550 §5.1, each 13 hours", Plays: true, firstTS: 1<<32 - 10*ticksApart},
		{Name: "time-jumps-back", Does: "sets its RTP time back by an hour every ten pictures", From: "RFC 3550 §5.1; Wyze Cam v3 with Thingino (gtxaspec/raptor 43)", Plays: true,
			mangle: times(func(n int, ts uint32) uint32 { return ts - uint32(n/10)*3600*90000 })},
		{Name: "time-jumps-ahead", Does: "sets its RTP time ahead by an hour every ten pictures", From: "RFC 3550 §5.1; cameras that time by a clock which is set", Plays: true,
			mangle: times(func(n int, ts uint32) uint32 { return ts + uint32(n/10)*3600*90000 })},
		{Name: "time-stands-still", Does: "gives every picture the same RTP time", From: "RFC 6184 §5.1", Plays: true,
			mangle: times(func(int, uint32) uint32 { return 90000 })},
		{Name: "time-at-random", Does: "gives every picture any RTP time", From: "RFC 3550 §5.1", Plays: true,
			mangle: times(func(n int, _ uint32) uint32 { return uint32(n) * 2654435761 })},
		{Name: "time-in-milliseconds", Does: "counts its RTP time in milliseconds instead of 1/90000 s", From: "RFC 6184 §8.2.1", Plays: true,
			mangle: times(func(n int, _ uint32) uint32 { return uint32(n) * 40 })},
		{Name: "clock-of-1970", Does: "says in its sender reports that it is 1970", From: "RFC 3550 §6.4.1; a camera without NTP", Plays: true,
			mangle: reports(func(n int) uint64 { return ntpAt(ntp1970, n, 1000) })},
		{Name: "clock-drifts", Does: "says in its sender reports that a second lasts 1.01 s", From: "RFC 3550 §6.4.1; cheap quartz, exaggerated", Plays: true,
			mangle: reports(func(n int) uint64 { return ntpAt(ntp2026, n, 1010) })},
		{Name: "clock-jumps", Does: "says another hour in each sender report", From: "RFC 3550 §6.4.1; daylight saving in NTP time", Plays: true,
			mangle: reports(func(n int) uint64 { return ntpAt(ntp2026+uint64(n/10%2)*3600, n, 1000) })},
	}
}
