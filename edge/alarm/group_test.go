package alarm

import (
	"testing"

	"sitewatch/edge"
)

// TestGroupsAsRead: a panel that is asked how its groups are says what changed while nobody listened, once, and group by group.
func TestGroupsAsRead(t *testing.T) {
	read := func(words ...string) (sigs []edge.Signal) {
		for i, w := range words {
			sigs = append(sigs, edge.Signal{State: true, Kind: edge.Kind(w), Partition: edge.PartitionID(rune('1' + i))})
		}
		return sigs
	}
	s := newBigShop(t)
	count := func() int { return len(s.events()) }
	before := count()
	s.say("intruder", read("unset", "unset")...)
	s.say("intruder", read("unset", "unset")...)
	if n := count() - before; n != 0 {
		t.Errorf("how the groups were found made %d events", n)
	}
	s = s.restart()
	s.say("intruder", read("set", "unset")...)
	s.say("intruder", read("set", "part-set")...)
	s.say("intruder", read("set", "part-set")...)
	var got []string
	for _, ev := range s.events()[before:] {
		got = append(got, string(ev.Kind)+" "+string(ev.Partition))
	}
	if len(got) != 2 || got[0] != "set 1" || got[1] != "part-set 2" {
		t.Errorf("got %q, want the two changes", got)
	}
}
