package local

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestLinePicture(t *testing.T) {
	h := make([]Minute, 60)
	h[10], h[59] = Minute{Good: 200, Bad: 1}, Minute{Bad: math.MaxUint32}
	svg := string(lineSVG(h))
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
	if strings.Count(svg, "<rect") != 3 || !strings.Contains(svg, "49 min ago: 200 good, 1 bad") || !strings.Contains(svg, "0 min ago: 0 good, 4294967295 bad") {
		t.Errorf("got %s", svg)
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, `y="-`) {
		t.Errorf("a bar is out of the picture: %s", svg)
	}
	if empty := string(lineSVG(make([]Minute, 60))); strings.Contains(empty, "rect") {
		t.Errorf("of nothing: %s", empty)
	}
	if p := (Panel{History: h[:59]}).BadPercent(); math.Abs(p-100.0/201) > 1e-9 {
		t.Errorf("%v %% bad, want 1 of 201", p)
	}
	if p := (Panel{}).BadPercent(); p != 0 {
		t.Errorf("%v %% bad of nothing", p)
	}
}
