package motion

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
	"sitewatch/video"
)

const truthCSV = `clip,start_s,end_s,label,target,x0,y0,x1,y1,note
a.mp4,9.5,10.0,ignore,,0,0,1,1,shadow
a.mp4,10.0,20.0,person,True,0,0,1,1,
a.mp4,40,50,person,True,0,0,1,1,
a.mp4,60,70,lighting,False,0,0,1,1,
busy.mp4,0,30,person,True,0,0,1,1,
`

func TestScore(t *testing.T) {
	truth, err := ReadTruth(strings.NewReader(truthCSV))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		clip  string
		found [][3]float64
		want  Score
	}{
		"nothing":           {"a.mp4", nil, Score{Targets: 2, QuietSeconds: 79.5}},
		"both":              {"a.mp4", [][3]float64{{10, 20, 10.5}, {41, 49, 42}}, Score{Targets: 2, Found: 2, Delays: []float64{0.5, 2}, QuietSeconds: 79.5}},
		"in the shadow":     {"a.mp4", [][3]float64{{9.6, 20, 9.7}}, Score{Targets: 2, Found: 1, Delays: []float64{0}, QuietSeconds: 79.5}},
		"a light":           {"a.mp4", [][3]float64{{62, 64, 63}}, Score{Targets: 2, False: 1, QuietSeconds: 79.5, OnSeconds: 2}},
		"open before":       {"a.mp4", [][3]float64{{30, 45, 31}}, Score{Targets: 2, Found: 1, Carried: 1, QuietSeconds: 79.5, OnSeconds: 10}},
		"a ghost":           {"a.mp4", [][3]float64{{10, 30, 10}}, Score{Targets: 2, Found: 1, Delays: []float64{0}, QuietSeconds: 79.5, OnSeconds: 10}},
		"busy from the on":  {"busy.mp4", [][3]float64{{3, 4, 5}}, Score{Targets: 1, Found: 1, QuietSeconds: 70}},
		"a clip unheard of": {"b.mp4", [][3]float64{{3, 4, 5}}, Score{False: 1, QuietSeconds: 100, OnSeconds: 1}},
	} {
		if d := cmp.Diff(c.want, ScoreOf(truth[c.clip], c.found, 100)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	var sum Score
	sum.Add(Score{Delays: []float64{2}})
	sum.Add(Score{Delays: []float64{1, 4, 3}})
	if median, worst, ok := sum.Delay(); median != 2.5 || worst != 4 || !ok {
		t.Errorf("got median %v, worst %v, want 2.5 and 4", median, worst)
	}
	for name, text := range map[string]string{
		"of a spreadsheet": "\xEF\xBB\xBF" + strings.ReplaceAll(truthCSV, "\n", "\r\n"),
		"JSON": `[{"clip": "a.mp4", "fps": 10, "events": [{"start_s": 9.5, "end_s": 10, "label": "ignore", "target": null, "box": [0, 0, 1, 1]},
			{"start_s": 10, "end_s": 20.0, "label": "person", "target": true}, {"start_s": 40, "end_s": 50, "label": "person", "target": true},
			{"start_s": 60, "end_s": 70, "label": "lighting", "target": false}]},
			{"clip": "busy.mp4", "events": [{"start_s": 0, "end_s": 30, "label": "person", "target": true}]}]`,
	} {
		if got, err := ReadTruth(strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(truth, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if got, err := ReadTruth(strings.NewReader(`[{"clip": "quiet.mp4", "events": []}]`)); err != nil || len(got) != 1 {
		t.Errorf("a clip in which nothing happens: got %v, %v, want it known", got, err)
	}
	for name, text := range map[string]string{"JSON of something else": `[{"clip": "a.mp4", "events": [{"from": 1}]}]`, "JSON cut short": `[{"clip"`, "empty": "", "another table": "a,b\n1,2\n", "no number": strings.Replace(truthCSV, "9.5", "soon", 1)} {
		if _, err := ReadTruth(strings.NewReader(text)); err == nil {
			t.Errorf("%s: took it for ground truth", name)
		}
	}
}

func TestTrial(t *testing.T) {
	units, p := film(t)
	each := func(take func(video.AccessUnit, video.Params) error) error {
		for _, u := range units {
			if err := take(u, p); err != nil {
				return err
			}
		}
		return nil
	}
	for _, grade := range []Grade{Alert, Watching} {
		got, err := RunTrial(t.Context(), TrialOptions{Command: eyePath, Grade: grade, Still: true}, each)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(got.Intervals); n != 1 || got.Intervals[0].From != 8*video.Second || got.Intervals[0].To != 11*video.Second || got.Intervals[0].Reported < got.Intervals[0].From {
			t.Errorf("grade %d: got %+v, want one interval from 8 to 11 s", grade, got.Intervals)
		}
		if got.CPU <= 0 || got.Still == nil || len(got.Boxes) == 0 {
			t.Errorf("grade %d: got %v of CPU, a still of %d bytes, %d boxes", grade, got.CPU, len(got.Still), len(got.Boxes))
		}
	}
	if _, err := RunTrial(t.Context(), TrialOptions{Command: "/bin/false"}, each); err == nil {
		t.Error("an eye that dies at once was no error")
	}
	_, err := RunTrial(t.Context(), TrialOptions{Command: eyePath}, func(func(video.AccessUnit, video.Params) error) error { return edge.WithHint(video.ErrBadParams, "x") })
	if err == nil || !strings.Contains(err.Error(), "parameter") {
		t.Errorf("got %v, want the recording's own trouble", err)
	}
}
