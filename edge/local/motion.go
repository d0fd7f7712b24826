package local

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sitewatch/edge"
)

// Motion is movement that a camera saw.
type Motion struct {
	Camera edge.CameraID   `json:"camera"`
	From   time.Time       `json:"from"`
	To     time.Time       `json:"to"`
	Clock  edge.ClockState `json:"clock"`
	Cells  string          `json:"cells"` // hex of 64 bits: bit 8*row+column of 8 rows and 8 columns, from the left above
	Rule   string          `json:"rule"`
	Sent   bool            `json:"sent"` // there is an event of it
	Why    string          `json:"why"`
}

type (
	plainMotion Motion // without the methods
	motionJSON  struct {
		plainMotion
		From stamp `json:"from"` // hides that of Motion
		To   stamp `json:"to"`
	}
)

// MarshalJSON writes m with its times as stamps.
func (m Motion) MarshalJSON() ([]byte, error) {
	return json.Marshal(motionJSON{plainMotion(m), stamp(m.From), stamp(m.To)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Motion) UnmarshalJSON(b []byte) error {
	v := motionJSON{plainMotion(*m), stamp(m.From), stamp(m.To)}
	err := json.Unmarshal(b, &v)
	*m = Motion(v.plainMotion)
	m.From, m.To = time.Time(v.From), time.Time(v.To)
	return err
}

// MotionQuery is what /api/v1/motion was asked for; zero fields do not narrow it.
type MotionQuery struct {
	Camera   edge.CameraID
	From, To time.Time
	Cells    uint64
	Limit    int
}

const maxMotions = 1000

func parseMotionQuery(v url.Values) (q MotionQuery, err error) {
	for key := range v {
		if !strings.Contains(" camera from to cell limit ", " "+key+" ") {
			return q, fmt.Errorf("%q is no parameter: use camera, from, to, cell and limit", key)
		}
	}
	q.Camera, q.Limit = edge.CameraID(v.Get("camera")), 100
	for key, dst := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if s := v.Get(key); s != "" {
			if *dst, err = time.Parse(time.RFC3339, s); err != nil {
				return q, fmt.Errorf("%s is no time like 2026-11-25T03:00:00Z", key)
			}
		}
	}
	for _, s := range v["cell"] {
		row, column, ok := strings.Cut(s, ",")
		r, err1 := strconv.ParseUint(row, 10, 8)
		c, err2 := strconv.ParseUint(column, 10, 8)
		if !ok || err1 != nil || err2 != nil || r > 7 || c > 7 {
			return q, fmt.Errorf("cell is no row and column of 0 to 7, such as 2,5")
		}
		q.Cells |= 1 << (8*r + c)
	}
	if s := v.Get("limit"); s != "" {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > maxMotions {
			return q, fmt.Errorf("limit is not 1 to %d", maxMotions)
		}
	}
	return q, nil
}

// motion searches what cameras saw move, newest first.
func (s *Server) motion(w http.ResponseWriter, r *http.Request) {
	q, err := parseMotionQuery(r.URL.Query())
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	items, err := s.o.Motions(ctx, q)
	if err != nil {
		reply(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
		return
	}
	if items == nil {
		items = []Motion{}
	}
	reply(w, http.StatusOK, map[string]any{"items": items})
}
