package drivers

import (
	"slices"
	"testing"

	"sitewatch/drivers/panel"
)

func TestAll(t *testing.T) {
	r := All()
	if got := r.Names(); !slices.Contains(got, "galaxy-sia") {
		t.Errorf("drivers %v, want galaxy-sia among them", got)
	}
	d, _ := r.Driver("galaxy-sia")
	for _, p := range panel.Check(d, "/dev/ttyUSB0", map[string]any{"baud": 9600, "format": "8N1", "rs485": "auto", "ack_form": "plain"}) {
		t.Errorf("the settings of the manual: %+v", p)
	}
	if len(panel.Check(d, "/dev/ttyUSB0", map[string]any{"ack_form": "loud"})) != 1 {
		t.Error("ack_form loud is no problem")
	}
}
