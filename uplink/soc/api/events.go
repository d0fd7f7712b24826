package api

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
)

// event is an event as the API gives it: every field present.
type event struct {
	Index     ledger.Index     `json:"index"`
	Site      edge.SiteID      `json:"site"`
	Journal   edge.JournalID   `json:"journal"`
	Seq       edge.Seq         `json:"seq"`
	Lane      edge.Lane        `json:"lane"`
	Kind      edge.Kind        `json:"kind"`
	Code      string           `json:"code"`
	Panel     edge.PanelID     `json:"panel"`
	Partition edge.PartitionID `json:"partition"`
	Zone      edge.ZoneID      `json:"zone"`
	ZoneName  string           `json:"zone_name"`
	Text      string           `json:"text"`
	Why       string           `json:"why"`
	Cameras   []edge.CameraID  `json:"cameras"`
	Confirmed bool             `json:"confirmed"`
	// Corroborated is "video" when a camera of the zone has seen movement about then.
	Corroborated string          `json:"corroborated"`
	Held         string          `json:"held"` // why an alarm came in the routine lane
	Amends       edge.Seq        `json:"amends"`
	OccurredAt   stamp           `json:"occurred_at"`
	Clock        edge.ClockState `json:"clock"`
	RecordedAt   stamp           `json:"recorded_at"`
	ReceivedAt   stamp           `json:"received_at"`
	Late         bool            `json:"late"`
	Clips        []edge.ClipID   `json:"clips"`
	Raw          edge.HexBytes   `json:"raw"`
}

// stamp is a time in UTC with milliseconds; the zero time is "".
type stamp time.Time

func (s stamp) MarshalText() ([]byte, error) {
	if time.Time(s).IsZero() {
		return nil, nil
	}
	return []byte(time.Time(s).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

func present(e *ledger.Event) event {
	v := &e.Event
	out := event{
		Index: e.Index, Site: v.Site, Journal: v.Journal, Seq: v.Seq, Lane: v.Lane, Kind: v.Kind, Code: v.Code, Panel: v.Panel,
		Partition: v.Partition, Zone: v.Zone, ZoneName: v.ZoneName, Text: v.Text, Why: v.Why, Cameras: v.Cameras,
		Confirmed: v.Kind.Confirmed(), Corroborated: v.Corroborated, Held: v.Held, Amends: v.Amends, OccurredAt: stamp(v.Occurred), Clock: v.Clock,
		RecordedAt: stamp(v.Recorded.Wall), ReceivedAt: stamp(e.Received), Late: e.Late, Clips: []edge.ClipID{}, Raw: v.Raw,
	}
	if out.Cameras == nil {
		out.Cameras = []edge.CameraID{}
	}
	for _, c := range v.Clips {
		out.Clips = append(out.Clips, c.ID)
	}
	return out
}

func (a *API) events(w http.ResponseWriter, r *http.Request) {
	v, ok := query(w, r, "site", "kind", "lane", "after", "limit")
	if !ok {
		return
	}
	q := ledger.Query{Site: edge.SiteID(v.Get("site")), Kind: edge.Kind(v.Get("kind")), Max: 100}
	if v.Has("site") && !edge.ValidID(v.Get("site")) {
		fail(w, http.StatusBadRequest, "site is not the id of a site")
		return
	}
	if v.Has("kind") && !edge.KnownKind(q.Kind) {
		fail(w, http.StatusBadRequest, fmt.Sprintf("kind %.40q is not a kind of event, such as fire or fire-restored", q.Kind))
		return
	}
	if v.Has("lane") {
		lane, err := edge.ParseLane(v.Get("lane"))
		if err != nil {
			fail(w, http.StatusBadRequest, fmt.Sprintf("lane %.40q is not urgent, routine or bulk", v.Get("lane")))
			return
		}
		q.Lane = lane
	}
	if v.Has("after") {
		if q.After, ok = index(v.Get("after")); !ok {
			fail(w, http.StatusBadRequest, notIndex)
			return
		}
	}
	if v.Has("limit") {
		n, err := strconv.ParseUint(v.Get("limit"), 10, 16)
		if err != nil || n < 1 || n > 1000 {
			fail(w, http.StatusBadRequest, "limit is not a number from 1 to 1000")
			return
		}
		q.Max = int(n)
	}
	var out items
	// Who knows an index that does not exist has it from a ledger that was restored since: what comes now gets the numbers
	// that he takes for read. The list is empty, and says where the ledger ends.
	if q.After > 0 {
		head, _, err := a.o.Ledger.Head(r.Context())
		if err != nil {
			a.trouble(w, r, err)
			return
		}
		if q.After > head {
			out.Head = &head
		}
	}
	var evs []ledger.Event
	q.Max++                  // one more tells whether this is the end
	if q.Lane != edge.Bulk { // in which files travel, and no events
		var err error
		if evs, err = a.o.Ledger.Events(r.Context(), q); err != nil {
			a.trouble(w, r, err)
			return
		}
	}
	if len(evs) == q.Max {
		evs = evs[:q.Max-1]
		out.Next = &evs[len(evs)-1].Index
	}
	list := make([]event, 0, len(evs))
	for i := range evs {
		list = append(list, present(&evs[i]))
	}
	out.Items = list
	reply(w, http.StatusOK, out)
}
