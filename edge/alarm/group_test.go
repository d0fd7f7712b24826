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
	s.say("intruder", read("unset", "unset", "unset")...)
	s.say("intruder", read("unset", "unset", "unset")...)
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
	// A set without a group is of those that are known: the third was never more than a place in the panel's answer.
	before = count()
	s.tell("intruder", "CL user 003")
	s.say("intruder", read("set", "set", "unset")...)
	if n := count() - before; n != 1 {
		t.Errorf("set, and read as set: %d events, want one", n)
	}
	s.say("intruder", read("set", "set", "set")...)
	s.say("intruder", read("set", "set", "unset")...)
	if evs := s.events(); len(evs) != before+2 || evs[before+1].Kind != edge.KindUnset || evs[before+1].Partition != "3" {
		t.Errorf("a third group that was set and is not: %+v", evs[before+1:])
	}
}
