package rs485

// unescaper undoes what the kernel does under PARMRK: FF FF is one FF, FF 00 x is an x that was damaged on the line
// (a break: x is 00). A sequence may be split over two reads.
type unescaper struct {
	state byte // 0 plain, 1 after FF, 2 after FF 00
}

// next moves bytes from src to dst until one of them ends or a damaged byte is moved, which is then the last of the n.
func (u *unescaper) next(dst, src []byte) (n, used int, bad bool) {
	for used < len(src) && n < len(dst) {
		c := src[used]
		switch u.state {
		case 0:
			used++
			if c == 0xFF {
				u.state = 1
				continue
			}
		case 1:
			used++
			if c == 0x00 {
				u.state = 2
				continue
			}
			u.state = 0
			if c != 0xFF {
				// The kernel never sends this; a line without PARMRK would. Both bytes are data.
				used--
				c = 0xFF
			}
		case 2:
			used++
			u.state = 0
			dst[n] = c
			return n + 1, used, true
		}
		dst[n] = c
		n++
	}
	return n, used, false
}
