package onvif

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// node is one element of an answer. Names are compared without their namespace: devices disagree about prefixes and versions,
// and no two elements that are read here differ by namespace alone. All methods may be called on nil, which has nothing.
type node struct {
	name  xml.Name
	attrs []xml.Attr
	text  string
	kids  []*node
}

var errTooMuch = errors.New("onvif: answer has too many elements or is too deep")

// parseXML reads the first element of b and what is in it; what comes after it is left, as cameras append all sorts of things.
func parseXML(b []byte) (*node, error) {
	if i := bytes.IndexByte(b, '<'); i > 0 && i < 64 {
		b = b[i:] // a byte order mark, empty lines
	}
	if len(b) > maxAnswerBytes {
		return nil, errTooMuch
	}
	d := xml.NewDecoder(bytes.NewReader(bytes.ToValidUTF8(b, []byte("?"))))
	d.Strict = false // addresses with a bare & are common
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var stack []*node
	var root *node
	for elements := 0; ; {
		t, err := d.Token()
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("onvif: answer is no XML: %w", err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if elements++; elements > maxElements || len(stack) >= maxDepth {
				return nil, errTooMuch
			}
			n := &node{name: t.Name, attrs: t.Attr[:min(len(t.Attr), maxAttributes)]}
			if len(stack) == 0 {
				root = n
			} else {
				up := stack[len(stack)-1]
				up.kids = append(up.kids, n)
			}
			stack = append(stack, n)
		case xml.EndElement:
			if len(stack) == 0 {
				return nil, errors.New("onvif: answer is no XML: an end without a beginning")
			}
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				return root, nil
			}
		case xml.CharData:
			if len(stack) == 0 {
				continue
			}
			if n := stack[len(stack)-1]; n.text == "" {
				n.text = strings.TrimSpace(string(t))
			}
		case xml.Directive:
			return nil, errors.New("onvif: answer has a DOCTYPE, which SOAP forbids")
		}
	}
}

// find goes down by the names of the path, each time to the first of that name.
func (n *node) find(path ...string) *node {
	for _, name := range path {
		var next *node
		if n != nil {
			for _, k := range n.kids {
				if k.name.Local == name {
					next = k
					break
				}
			}
		}
		n = next
	}
	return n
}

// get is the text at the end of the path, "" when it is not there.
func (n *node) get(path ...string) string {
	if n = n.find(path...); n == nil {
		return ""
	}
	return n.text
}

// number is a whole number from 0 up to most, 0 when there is none.
func (n *node) number(most int, path ...string) int {
	f, err := strconv.ParseFloat(n.get(path...), 64) // some write 25.0
	if err != nil || !(f >= 0 && f <= float64(most)) {
		return 0
	}
	return int(f)
}

func (n *node) attr(name string) string {
	if n != nil {
		for _, a := range n.attrs {
			if a.Name.Local == name {
				return strings.TrimSpace(a.Value)
			}
		}
	}
	return ""
}

// all are the elements of that name directly below.
func (n *node) all(name string) (out []*node) {
	if n != nil {
		for _, k := range n.kids {
			if k.name.Local == name {
				out = append(out, k)
			}
		}
	}
	return out
}

// every are the elements of that name anywhere below.
func (n *node) every(name string) (out []*node) {
	if n != nil {
		for _, k := range n.kids {
			if k.name.Local == name {
				out = append(out, k)
			}
			out = append(out, k.every(name)...)
		}
	}
	return out
}

// escape makes text safe between tags and in attributes.
func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
