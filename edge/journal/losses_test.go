package journal

import (
	"testing"

	"sitewatch/edge"
)

func TestLossesStandUntilTheirRestore(t *testing.T) {
	j := open(t, testOptions(t.TempDir()))
	camera := func(k edge.Kind, id edge.CameraID) edge.Event {
		return edge.Event{Kind: k, Cameras: []edge.CameraID{id}}
	}
	for _, ev := range []edge.Event{
		{Kind: edge.KindPanelLost, Panel: "intruder"},
		{Kind: edge.KindPanelLost, Panel: "fire"},
		{Kind: edge.KindPanelLost.Restored(), Panel: "fire"},
		camera(edge.KindCameraLost, "door"),
		camera(edge.KindCameraLost, "till"),
		camera(edge.KindCameraLost.Restored(), "till"),
		camera(edge.KindCameraCovered, "till"),
		camera(edge.KindCameraMoved, "till"),
		camera(edge.KindCameraMoved.Restored(), "till"),
		{Kind: edge.KindPathLost, Panel: "intruder", Code: "YC"}, // the panel's own signalling
		{Kind: edge.KindPathLost, Path: "broadband"},
		{Kind: edge.KindPathLost, Path: "mobile"},
		{Kind: edge.KindPathLost},
		{Kind: edge.KindPathLost.Restored(), Path: "mobile"},
		{Kind: edge.KindFire, Panel: "fire"},
		{Kind: edge.KindLineFault, Panel: "fire"},
		{Kind: edge.KindLineFault, Panel: "intruder", Zone: "1011"}, // a circuit's cable
		{Kind: edge.KindLineFault, Panel: "intruder", Code: "LX"},
	} {
		if _, err := j.Append(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	got, err := j.Losses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[Loss]bool{{edge.KindPanelLost, "intruder"}: true, {edge.KindCameraLost, "door"}: true, {edge.KindCameraCovered, "till"}: true,
		{edge.KindLineFault, "fire"}: true, {edge.KindPathLost, "broadband"}: true, {edge.KindPathLost, ""}: true}
	if len(got) != len(want) {
		t.Errorf("losses are %v, want %v", got, want)
	}
	for l := range want {
		if !got[l] {
			t.Errorf("%v is not among the losses %v", l, got)
		}
	}
}
