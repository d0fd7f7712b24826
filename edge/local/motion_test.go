package local

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMotionSearch(t *testing.T) {
	var got MotionQuery
	s := &Server{o: Options{Motions: func(_ context.Context, q MotionQuery) ([]Motion, error) {
		got = q
		return nil, nil
	}}}
	ask := func(query string) (int, string) {
		w := httptest.NewRecorder()
		s.motion(w, httptest.NewRequest("GET", "/api/v1/motion?"+query, nil))
		return w.Code, w.Body.String()
	}
	code, body := ask("camera=door&from=2026-11-25T03:00:00Z&to=2026-11-25T04:00:00Z&cell=0,0&cell=7,7&limit=5")
	var list struct{ Items []Motion }
	if err := json.Unmarshal([]byte(body), &list); err != nil || code != 200 || list.Items == nil {
		t.Errorf("got %d %s, want an empty list", code, body)
	}
	at := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	if d := cmp.Diff(MotionQuery{Camera: "door", From: at, To: at.Add(time.Hour), Cells: 1 | 1<<63, Limit: 5}, got); d != "" {
		t.Errorf("query (-want +got):\n%s", d)
	}
	s.o.Motions = func(context.Context, MotionQuery) ([]Motion, error) {
		return []Motion{{Camera: "door", From: at.Add(1234567), To: at.Add(time.Second)}}, nil
	}
	if _, body = ask(""); !strings.Contains(body, `"from": "2026-11-25T03:00:00.001Z"`) || !strings.Contains(body, `"to": "2026-11-25T03:00:01.000Z"`) || strings.Contains(body, "234567") {
		t.Errorf("got %s, want times with milliseconds", body)
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Items) != 1 || list.Items[0].Camera != "door" || !list.Items[0].To.Equal(at.Add(time.Second)) {
		t.Errorf("read back: got %+v, %v", list, err)
	}
	for _, bad := range []string{"cell=8,0", "cell=1", "from=yesterday", "limit=0", "limit=1001", "colour=red"} {
		if code, body := ask(bad); code != 400 || !strings.Contains(body, `"error"`) {
			t.Errorf("%s: got %d %s, want 400 and why", bad, code, body)
		}
	}
}
