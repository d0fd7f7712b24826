package galaxy

import "bytes"

// mask puts zeros in the place of the remote code of each login in b, with the parity that belongs to them.
func mask(b []byte) []byte {
	b = bytes.Clone(b)
	for at := 0; at < len(b); {
		f, n, err := Decode(b[at:])
		if err != nil {
			at++
			continue
		}
		if f.FC == FCLogin {
			for i, c := range f.Data {
				if digit(c) {
					f.Data[i] = '0' // aliases b
				}
			}
			f.AppendBinary(b[at:at]) // of the same length, in its place
		}
		at += n
	}
	return b
}
