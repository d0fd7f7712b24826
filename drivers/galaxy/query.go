package galaxy

import (
	"fmt"
	"strconv"
	"strings"

	"sitewatch/edge"
)

// query is something that the panel may be asked at level 4. Its fields are its own: nobody outside this file can make one, so that
// no other command can be sent. The panel's commands that change something (set, unset, omit, outputs, flush) differ from these
// by what follows an asterisk; no query has one (P11).
type query struct {
	fc   FC
	data string
}

// askGroups asks which groups are set, askAlarms which are in alarm, askReady which could be set.
func askGroups() query { return query{FCControl, "SA"} }
func askAlarms() query { return query{FCControl, "SA91"} }
func askReady() query  { return query{FCControl, "SA92"} }

// askGroup asks whether one group of 1 to 32 is set.
func askGroup(n int) (query, bool) {
	return query{FCControl, "SA" + strconv.Itoa(n)}, n >= 1 && n <= maxGroups
}

// askZone asks for the state of a zone.
func askZone(zone string) (query, bool) {
	return query{FCControl, "ZS" + zone}, zoneOK(zone)
}

// bitmaps are what can be asked of all zones: ready, alarm, open, tamper, resistance, omitted, masked, fault, each in two halves.
var bitmaps = [...]int{1, 2, 101, 102, 201, 202, 301, 302, 401, 402, 501, 502, 601, 602, 701, 702}

// askBitmap asks for one of bitmaps.
func askBitmap(n int) (query, bool) {
	for _, b := range bitmaps {
		if b == n {
			return query{FCExtended, "ZS" + strconv.Itoa(n)}, true
		}
	}
	return query{}, false
}

// login is the block that must go before each query.
func login(code string) Frame {
	return Frame{Header: wantsAck, FC: FCLogin, Data: []byte(code)}
}

func (q query) frame() Frame { return Frame{Header: wantsAck, FC: q.fc, Data: []byte(q.data)} }

const maxGroups = 32

// zoneOK: line, RIO, zone; 9 is the control unit's own line with DIP switch 8 on.
func zoneOK(z string) bool {
	return len(z) == 4 && digits(z) && ((z[0] >= '1' && z[0] <= '4') || z[0] == '9') && z[3] >= '1' && z[3] <= '8'
}

// codeOK: a remote code is a number of a few digits.
func codeOK(c string) bool { return digits(c) && len(c) >= 4 && len(c) <= 8 }

// level reads "AL4B1", the answer to a login.
func level(data []byte) (n int, ok bool) {
	if len(data) < 3 || data[0] != 'A' || data[1] != 'L' || !digit(data[2]) {
		return 0, false
	}
	return int(data[2] - '0'), true
}

// groupKinds are what SA says of a group.
var groupKinds = [...]edge.Kind{edge.KindUnset, edge.KindSet, edge.KindPartSet}

// groupsSaid reads the answer to askGroups and askGroup: "SA*0120..." with a digit for each group, "SA3*1" for one.
func groupsSaid(data []byte) (sigs []edge.Signal, ok bool) {
	which, states, ok := strings.Cut(string(data), "*")
	if !ok || !strings.HasPrefix(which, "SA") || !digits(states) || len(states) > maxGroups {
		return nil, false
	}
	first := 1
	if n := which[2:]; n != "" {
		g, err := strconv.Atoi(n)
		if err != nil || g < 1 || g > maxGroups || len(states) != 1 {
			return nil, false // 91 and 92 say something else
		}
		first = g
	}
	for i, c := range []byte(states) {
		if int(c-'0') >= len(groupKinds) {
			return nil, false
		}
		sigs = append(sigs, edge.Signal{State: true, Kind: groupKinds[c-'0'], Partition: edge.PartitionID(strconv.Itoa(first + i))})
	}
	return sigs, true
}

// zoneStates are what ZS says of a zone, in its order.
var zoneStates = [...]string{"tamper, short circuit", "low resistance", "closed", "high resistance", "open", "tamper, open circuit", "masked", "tamper, cover", "fault"}

// zoneSaid reads the answer to askZone: "ZS1011*4". Open and closed are no alarm: whether the zone counts, the panel decides.
func zoneSaid(data []byte) (sigs []edge.Signal, ok bool) {
	which, state, ok := strings.Cut(string(data), "*")
	if !ok || !strings.HasPrefix(which, "ZS") || !zoneOK(which[2:]) || len(state) != 1 || !digit(state[0]) || int(state[0]-'0') >= len(zoneStates) {
		return nil, false
	}
	n := state[0] - '0'
	for _, p := range []struct {
		kind   edge.Kind
		active bool
	}{{edge.KindTamper, n == 0 || n == 5 || n == 7}, {"zone-masked", n == 6}, {"zone-fault", n == 1 || n == 3 || n == 8}} {
		if !p.active {
			p.kind = p.kind.Restored()
		}
		sigs = append(sigs, edge.Signal{State: true, Kind: p.kind, Zone: edge.ZoneID(which[2:]), Text: fmt.Sprintf("asked: %s", zoneStates[n])})
	}
	return sigs, true
}
