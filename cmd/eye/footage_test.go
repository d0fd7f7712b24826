package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/motion"
	"sitewatch/video/rtsptest"
)

const footageDir = "../../../shared/footage"

// interval of movement, in seconds of the film.
type interval struct{ from, to, reported float64 }

// watch runs the eye's decoder and model over the keyframes of a film.
func watch(t *testing.T, path string) (found []interval) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=r_frame_rate", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatalf("ffprobe (apt-get install ffmpeg): %v", err)
	}
	num, den, _ := strings.Cut(strings.TrimSpace(string(out)), "/")
	n, _ := strconv.ParseFloat(num, 64)
	d, _ := strconv.ParseFloat(den, 64)
	e := &eye{cameras: map[edge.CameraID]*watched{}}
	defer e.close()
	count := 0
	var last video.Ticks90k
	err = rtsptest.Encode(t.Context(), nil, []string{"-i", path, "-c:v", "copy"}, func(nalus [][]byte) error {
		pts := video.Ticks90k(float64(count) * 90000 * d / n)
		count++
		last = pts
		u, sps, pps, err := video.NewH264Unit(nalus, pts, edge.Stamp{})
		if err != nil || !u.Keyframe {
			return err
		}
		if sps != nil && e.cameras["film"] == nil {
			p, err := video.NewH264Params(sps, pps)
			if err != nil {
				return err
			}
			if err := e.open(&motion.OpenCamera{Camera: "film", Params: p}); err != nil {
				return err
			}
		}
		w := e.cameras["film"]
		pic, err := w.dec.decode(u.Data)
		if err != nil {
			return err
		}
		pic.luma(w.grid, gridWidth)
		switch r := w.model.Step(pts, w.grid); r.State {
		case motion.Start:
			found = append(found, interval{r.PTS.Duration().Seconds(), r.PTS.Duration().Seconds(), pts.Duration().Seconds()})
		case motion.Keep, motion.End:
			found[len(found)-1].to = r.PTS.Duration().Seconds()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count == 0 || last == 0 {
		t.Fatalf("%s has no pictures", path)
	}
	return found
}

// truth is a span in which somebody was there, or which does not count.
type truth struct {
	from, to float64
	target   bool
}

func groundTruth(t *testing.T) map[string][]truth {
	t.Helper()
	f, err := os.Open(filepath.Join(footageDir, "ground_truth.csv"))
	if err != nil {
		t.Skipf("the footage with ground truth is not here (%v): movement is tested on drawn pictures only", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	spans := map[string][]truth{}
	for _, r := range rows[1:] {
		from, _ := strconv.ParseFloat(r[1], 64)
		to, _ := strconv.ParseFloat(r[2], 64)
		if target := r[4] == "True"; target || r[3] == "ignore" {
			spans[r[0]] = append(spans[r[0]], truth{from, to, target})
		}
	}
	return spans
}

func TestMovementOnFootage(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes 20 minutes of film")
	}
	spans := groundTruth(t)
	reports := map[string][][3]float64{}
	for _, c := range []struct {
		film     string
		maxFalse int
	}{{"office_long", 0}, {"office_lighting", 2}, {"office_night_sim", 2}, {"carpark", 1}, {"carpark_long", 2}, {"campus_busy", 0},
		{"foliage", 20}, {"foliage_hand", 20}, {"room_a", 0}} {
		name := c.film + ".mp4"
		targets, hits, falseAlarms := 0, 0, 0
		found := watch(t, filepath.Join(footageDir, name))
		reports[name] = [][3]float64{}
		over := func(i interval, s truth) bool { return i.from <= s.to+0.3 && i.to >= s.from-0.3 }
		for _, s := range spans[name] {
			if s.target {
				targets++
				if slices.ContainsFunc(found, func(i interval) bool { return over(i, s) }) {
					hits++
				}
			}
		}
		for _, i := range found {
			reports[name] = append(reports[name], [3]float64{i.from, i.to, i.reported})
			if !slices.ContainsFunc(spans[name], func(s truth) bool { return over(i, s) }) {
				falseAlarms++
			}
		}
		t.Logf("%-16s found %d of %d, %d false alarms, %d intervals", c.film, hits, targets, falseAlarms, len(found))
		if strings.HasPrefix(c.film, "office") && hits < targets {
			t.Errorf("%s: found %d of %d", c.film, hits, targets)
		}
		if falseAlarms > c.maxFalse {
			t.Errorf("%s: %d false alarms, want at most %d: %v", c.film, falseAlarms, c.maxFalse, found)
		}
	}
	if path := os.Getenv("EYE_REPORTS"); path != "" { // for the scorer that belongs to the footage
		b, err := json.Marshal(reports)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
