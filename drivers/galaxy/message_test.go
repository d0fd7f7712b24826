package galaxy

import (
	"testing"
	"time"

	"sitewatch/edge"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, data string
		want       []packet
		suspect    bool
	}{
		{"plain", "ti11:46/BA1011", []packet{{modifiers{time: "11:46"}, "BA", "1011"}}, false},
		{"all that matters", "da11-23-26/ti11:46:30/ri012/id007/BA4158", []packet{{modifiers{date: "11-23-26", time: "11:46:30", user: "007", group: "12"}, "BA", "4158"}}, false},
		{"group 001 is partition 1", "ri001/CG", []packet{{modifiers{group: "1"}, "CG", ""}}, false},
		{"group 000", "ri000/CG", []packet{{modifiers{group: "0"}, "CG", ""}}, false},
		{"modifiers that only the raw bytes keep", "pi010/ai0001/ph1/lv3/va1440/pt2/rg1/ss1/RP", []packet{{modifiers{value: "1440"}, "RP", ""}}, false},
		{"level 0", "BA03", []packet{{modifiers{}, "BA", "03"}}, false},
		{"short address", "BA1", []packet{{modifiers{}, "BA", "1"}}, false},
		{"address not decimal", "BAFFFF", []packet{{modifiers{}, "BA", "FFFF"}}, false},
		{"units", "TA1011*123456MM", []packet{{modifiers{}, "TA", "1011"}}, false},
		{"units without address", "YT*12V", []packet{{modifiers{}, "YT", ""}}, false},
		{"a modifier holds until the next", "ri001/BA1011/ri002/TA2011", []packet{{modifiers{group: "1"}, "BA", "1011"}, {modifiers{group: "2"}, "TA", "2011"}}, false},
		{"nothing", "", nil, true},
		{"only modifiers", "ti11:46/ri001", nil, true},
		{"address too long", "BA10111", []packet{{modifiers{}, "BA", "10111"}}, true},
		{"units too long", "BA1011*1234567M", []packet{{modifiers{}, "BA", "1011"}}, true},
		{"hour 24", "ti24:00/BA1011", []packet{{modifiers{time: "24:00"}, "BA", "1011"}}, true},
		{"month 13", "da13-01-26/FA1", []packet{{modifiers{date: "13-01-26"}, "FA", "1"}}, true},
		{"lost slash", "ti11:46BA1011", nil, true},
		{"modifier behind the event", "BA1011/ri001", []packet{{modifiers{}, "BA", "1011"}}, true},
		{"bytes above ASCII", "BA10\x8511", []packet{{modifiers{}, "BA", "10?11"}}, true},
		{"group is no number", "riX/BA1", []packet{{modifiers{group: "X"}, "BA", "1"}}, true},
	}
	for _, tt := range tests {
		got, suspect := parse([]byte(tt.data))
		if len(got) != len(tt.want) || (suspect != "") != tt.suspect {
			t.Errorf("%s: got %+v suspect %q, want %+v suspect %v", tt.name, got, suspect, tt.want, tt.suspect)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%s: packet %d is %+v, want %+v", tt.name, i, got[i], tt.want[i])
			}
		}
	}
}

func TestAddressMeans(t *testing.T) {
	at := edge.Stamp{Wall: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	for data, want := range map[string]edge.Signal{
		"OP0012":       {Kind: edge.KindUnset, User: "0012"},
		"id003/OP":     {Kind: edge.KindUnset, User: "003"},
		"CG002":        {Kind: edge.KindPartSet, Partition: "2"},
		"ri003/CG":     {Kind: edge.KindPartSet, Partition: "3"},
		"BA1011":       {Kind: edge.KindIntruder, Zone: "1011"},
		"HA1013":       {Kind: edge.KindHoldUp, Zone: "1013"},
		"id009/HA1013": {Kind: edge.KindDuress, Zone: "1013", User: "009"},
	} {
		got := eventSignals(Frame{FC: FCEvent, Data: []byte(data)}, nil, at, time.UTC)
		if len(got) != 1 || got[0].Kind != want.Kind || got[0].User != want.User || got[0].Partition != want.Partition || got[0].Zone != want.Zone {
			t.Errorf("%s: got %+v, want %+v", data, got, want)
		}
	}
}

func TestSaid(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	utc := func(s string) time.Time {
		v, err := time.Parse("2006-01-02 15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	tests := []struct {
		name, date, clock, arrival string
		old                        bool
		want                       string
		dated                      bool
	}{
		{"today", "", "11:46", "2026-11-23 11:46:40", false, "2026-11-23 11:46:00", false},
		{"with seconds", "", "11:46:12", "2026-11-23 11:46:40", false, "2026-11-23 11:46:12", false},
		{"summer time", "", "12:46", "2026-07-01 11:46:40", false, "2026-07-01 11:46:00", false},
		{"just before midnight, heard after", "", "23:59", "2026-11-24 00:00:03", false, "2026-11-23 23:59:00", false},
		{"panel's clock is fast over midnight", "", "00:00", "2026-11-23 23:59:55", false, "2026-11-24 00:00:00", false},
		{"panel's clock is an hour fast", "", "12:46", "2026-11-23 11:46:00", false, "2026-11-23 12:46:00", false},
		{"later today is yesterday", "", "20:00", "2026-11-23 11:46:00", false, "2026-11-22 20:00:00", false},
		{"from the buffer: an hour ahead is yesterday", "", "12:46", "2026-11-23 11:46:00", true, "2026-11-22 12:46:00", false},
		{"with date", "11-20-26", "11:46", "2026-11-23 11:46:40", false, "2026-11-20 11:46:00", true},
		{"the hour that comes twice, first time", "", "01:30", "2026-10-25 00:30:10", true, "2026-10-25 00:30:00", false},
		{"the hour that comes twice, second time", "", "01:30", "2026-10-25 01:30:10", true, "2026-10-25 01:30:00", false},
		{"no time", "11-20-26", "", "2026-11-23 11:46:40", false, "", false},
		{"no such time", "", "25:00", "2026-11-23 11:46:40", false, "", false},
		{"no such date", "02-30-26", "11:00", "2026-11-23 11:46:40", false, "", false},
	}
	for _, tt := range tests {
		got, dated := said(tt.date, tt.clock, utc(tt.arrival), london, tt.old)
		want := time.Time{}
		if tt.want != "" {
			want = utc(tt.want)
		}
		if !got.Equal(want) || dated != tt.dated {
			t.Errorf("%s: got %v %v, want %v %v", tt.name, got, dated, want, tt.dated)
		}
	}
}
