package wire

import "sitewatch/edge"

// LaneOf maps an event lane of the wire; ok is false for bulk, where no event travels, and for unknown numbers.
func LaneOf(l Lane) (lane edge.Lane, ok bool) {
	switch l {
	case Lane_LANE_URGENT:
		return edge.Urgent, true
	case Lane_LANE_ROUTINE:
		return edge.Routine, true
	}
	return 0, false
}

// WireLane is the reverse of LaneOf; edge's numbers are those of the wire.
func WireLane(l edge.Lane) Lane { return Lane(l) }

// PartOf maps a file part of the wire; ok is false for unknown numbers.
func PartOf(p Part) (part edge.FilePart, ok bool) {
	switch p {
	case Part_PART_STILL:
		return edge.PartStill, true
	case Part_PART_CLIP:
		return edge.PartClip, true
	}
	return 0, false
}
