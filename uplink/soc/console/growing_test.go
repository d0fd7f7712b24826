package console_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"sitewatch/edge"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/ledger"
)

// fragments are where the fragments of a film end, the header first.
func fragments(film []byte) (ends []int) {
	for at := 0; ; {
		i := bytes.Index(film[at:], []byte("moof"))
		if i < 0 {
			return append(ends, len(film))
		}
		ends = append(ends, at+i-4)
		at += i + 4
	}
}

// arrive puts what has come of a clip where the receiver has it.
func (d *desk) arrive(site edge.SiteID, id edge.ClipID, seq edge.Seq, data []byte) {
	d.t.Helper()
	if _, err := d.led.ClipOffered(d.t.Context(), ledger.ClipOffer{Site: site, ID: id, Part: edge.PartClip, Camera: "door", Journal: d.id, Seq: seq}); err != nil {
		d.t.Fatal(err)
	}
	path := soc.ClipPath(d.clips, site, id, edge.PartClip) + ".grow.part"
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		d.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err == nil {
		_, err = f.Write(data)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	f.Close()
}

func (d *desk) alarm(camera edge.CameraID) (edge.ClipID, edge.Seq) {
	c := ref(camera)
	return c.ID, d.event(edge.Event{Site: "0417", Kind: edge.KindIntruder, Zone: "1011", ZoneName: "Stock room", Cameras: []edge.CameraID{camera}, Clips: []edge.ClipRef{c}}, 0)
}

// The operator sees the clip while the box still cuts it, and goes on seeing it until its end.
func TestClipPlaysWhileItGrows(t *testing.T) {
	film, _ := film(t)
	ctx := browser(t)
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	id, seq := d.alarm("door")
	if err := chromedp.Do(ctx, chromedp.Navigate(d.url+"/"), until(`document.querySelector("#urgent .card .waiting")?.textContent === "Clip wanted"`)); err != nil {
		t.Fatal(err)
	}
	ends := fragments(film)
	if len(ends) < 4 {
		t.Fatalf("the film has %d fragments", len(ends)-1)
	}
	d.arrive("0417", id, seq, film[:ends[1]+1000]) // a fragment and a piece of the next
	if err := chromedp.Do(ctx, until(`document.querySelector("#urgent .card .waiting").textContent.startsWith("Clip is being cut")`),
		until(`!document.querySelector("#urgent .card .play").hidden`),
		chromedp.Click(chromedp.CSS("#urgent .card .play")),
		until(`document.querySelector("#urgent .card video")?.currentTime > 0.3`),
		until(`document.querySelector("#urgent .card .mark").textContent === "Live"`)); err != nil {
		t.Fatalf("what has come does not play: %v", err)
	}
	d.arrive("0417", id, seq, film[ends[1]+1000:ends[2]])
	if err := chromedp.Do(ctx, until(`document.querySelector("#urgent .card video").currentTime > 1.3`)); err != nil {
		t.Fatalf("what comes later does not play: %v", err)
	}
	if err := os.Remove(soc.ClipPath(d.clips, "0417", id, edge.PartClip) + ".grow.part"); err != nil {
		t.Fatal(err)
	}
	d.file("0417", id, edge.PartClip, film)
	if err := chromedp.Do(ctx, until(`document.querySelector("#urgent .card video").ended`),
		until(`document.querySelector("#urgent .card video").duration > 3.8`),
		until(`document.querySelector("#urgent .card .mark").hidden`)); err != nil {
		t.Fatalf("it does not play to its end: %v", err)
	}
}

// Headless Chromium plays no H.265: it is shown what ffmpeg makes of it, and the original can be had.
func TestClipOfAnotherCodecIsShownAsPreview(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed: apt-get install ffmpeg")
	}
	path := filepath.Join(t.TempDir(), "clip.mp4")
	if b, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15:duration=2", "-c:v", "libx265", "-x265-params", "log-level=none:pools=1",
		"-preset", "ultrafast", "-tag:v", "hvc1", "-movflags", "frag_keyframe+empty_moov+default_base_moof", path).CombinedOutput(); err != nil {
		t.Skipf("this ffmpeg makes no H.265: %s", b)
	}
	film, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := browser(t)
	d := newDesk(t)
	d.site("0417", "Demo High Street", true)
	id, _ := d.alarm("door")
	d.file("0417", id, edge.PartClip, film)
	if err := chromedp.Do(ctx, chromedp.Navigate(d.url+"/"), until(`!document.querySelector("#urgent .card .play").hidden`),
		chromedp.Click(chromedp.CSS("#urgent .card .play")),
		until(`document.querySelector("#urgent .card video")?.currentTime > 0.3`),
		until(`document.querySelector("#urgent .card .mark").textContent.startsWith("Preview, made by the SOC")`),
		until(`document.querySelector("#urgent .card .mark a").getAttribute("href").endsWith("`+string(id)+`.mp4")`)); err != nil {
		t.Fatalf("the preview does not play: %v", err)
	}
	if got, err := os.ReadFile(soc.ClipPath(d.clips, "0417", id, edge.PartClip)); err != nil || !bytes.Equal(got, film) {
		t.Errorf("the clip is not what it was (%v)", err)
	}
}
