package soc

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// growingOffer is an offer of a clip that is being cut and has n bytes.
func growingOffer(id edge.ClipID, n int) *wire.Offer {
	return &wire.Offer{Clip: string(id), Part: wire.Part_PART_CLIP, Camera: "door", Journal: edge.NewID(), Seq: 1, Size: int64(n), Growing: true}
}

func film(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// resumes wants the offer to be resumed at an offset, with the digest of what is before it.
func (u *rawUpload) resumes(o *wire.Offer, data []byte) {
	u.t.Helper()
	r := u.offer(o).GetResume()
	if r == nil || r.GetOffset() != int64(len(data)) {
		u.t.Fatalf("got %v, want to resume at %d", r, len(data))
	}
	if sum := sha256.Sum256(data); len(data) > 0 && !bytes.Equal(r.GetSha256(), sum[:]) {
		u.t.Errorf("the digest is %x", r.GetSha256())
	}
}

// leaves wants data to be what the SOC shows of the clip, once it has taken what was sent.
func (u *rawUpload) leaves(data []byte) {
	u.t.Helper()
	until(u.t, fmt.Sprintf("the SOC shows %d bytes", len(data)), func() bool {
		b, _ := os.ReadFile(u.arriving())
		return bytes.Equal(b, data)
	})
}

func (c *centre) share(site edge.SiteID) int64 {
	c.s.store.mu.Lock()
	defer c.s.store.mu.Unlock()
	return c.s.store.kept[site]
}

func TestGrowingClipFromFirstFragmentToStored(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	data, id := film(90_000), edge.ClipID(edge.NewID())
	u := c.upload(cert)
	u.resumes(growingOffer(id, 0), nil)
	u.chunk(0, data[:30_000])
	u.resumes(growingOffer(id, 30_000), data[:30_000]) // the offer of the open file again
	u.chunk(30_000, data[30_000:60_000])
	// Another file, and on without a word.
	still := offerOf(id, []byte("JPEG"))
	still.Part = wire.Part_PART_STILL
	u.offer(still)
	u.chunk(0, []byte("JPEG"))
	if r := u.finish(); r.GetStored() == nil {
		t.Fatalf("got %v", r)
	}
	if cl, err := c.led.Clip(t.Context(), id); err != nil || cl.State != ledger.ClipUploading {
		t.Errorf("got %+v, %v", cl, err)
	}
	// A stream that ends, another that goes on, and the complete clip.
	u.s.CloseSend()
	u.ends(codes.Unknown)
	u = c.upload(cert)
	u.resumes(growingOffer(id, 60_000), data[:60_000])
	if n := c.share("1"); n != 60_004 {
		t.Errorf("the site has %d bytes, want 60004", n)
	}
	u.s.Send(&wire.UploadRequest{Message: &wire.UploadRequest_Offer{Offer: offerOf(id, data)}})
	u.chunk(60_000, data[60_000:])
	if r := u.finish().GetResume(); r.GetOffset() != 60_000 {
		t.Errorf("got %v", r)
	}
	if r := u.reply(); r.GetStored().GetClip() != string(id) {
		t.Errorf("got %v, want Stored", r)
	}
	if n := c.share("1"); n != 90_004 {
		t.Errorf("the site has %d bytes, want 90004", n)
	}
	path := ClipPath(filepath.Join(c.data, "clips"), "1", id, edge.PartClip)
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, data) {
		t.Errorf("the file differs (%v)", err)
	}
	if p := Arriving(filepath.Join(c.data, "clips"), "1", id); p != "" {
		t.Errorf("%s stays", p)
	}
	if r := u.offer(growingOffer(id, 5)).GetRefused(); r == nil {
		t.Error("a clip that is complete grows")
	}
}

func TestGrowingOffersAreChecked(t *testing.T) {
	c := newCentre(t)
	one, two := c.enrol("1"), c.enrol("2")
	data, id := film(50_000), edge.ClipID(edge.NewID())
	u := c.upload(one)
	for name, change := range map[string]func(o *wire.Offer){
		"still":    func(o *wire.Offer) { o.Part = wire.Part_PART_STILL },
		"negative": func(o *wire.Offer) { o.Size = -1 },
		"large":    func(o *wire.Offer) { o.Size = wire.MaxClipBytes + 1 },
		"path":     func(o *wire.Offer) { o.Clip = "../" + strings.Repeat("a", 29) },
	} {
		o := growingOffer(id, 1)
		change(o)
		if r := u.offer(o).GetRefused(); r == nil || r.GetAgain() {
			t.Errorf("%s: got %v", name, r)
		}
	}
	u.resumes(growingOffer(id, 50_000), nil)
	u.chunk(0, data)
	if r := c.upload(two).offer(growingOffer(id, 9)).GetRefused(); r == nil || r.GetAgain() {
		t.Errorf("of another site: %v", r)
	}
	v := c.upload(one)
	v.resumes(growingOffer(id, 1), nil)
	v.s.Send(&wire.UploadRequest{Message: &wire.UploadRequest_Finish{Finish: &wire.Finish{}}})
	v.ends(codes.InvalidArgument) // a clip that grows has no end
	u.chunk(50_000, data)
	u.ends(codes.Aborted) // v had taken it over
}

// What a box says of its file when it has been killed, or is an older one that knows nothing of all this.
func TestWhatCameOfAClipAndIsOfNoUse(t *testing.T) {
	data := film(60_000)
	for name, test := range map[string]func(t *testing.T, u *rawUpload, id edge.ClipID){
		"shorter and complete": func(t *testing.T, u *rawUpload, id edge.ClipID) {
			u.resumes(offerOf(id, data[:20_000]), data[:20_000])
			if r := u.finish(); r.GetStored() == nil {
				t.Errorf("got %v", r)
			}
		},
		"shorter and growing": func(t *testing.T, u *rawUpload, id edge.ClipID) {
			u.resumes(growingOffer(id, 10_000), nil)
			u.chunk(0, data[:10_000])
			u.leaves(data[:40_000])
			u.resumes(growingOffer(id, 50_000), data[:10_000])
			u.chunk(10_000, data[10_000:50_000])
			u.leaves(data[:50_000])
		},
		"another, growing": func(t *testing.T, u *rawUpload, id edge.ClipID) {
			o := growingOffer(id, 50_000)
			o.Anew = true
			u.resumes(o, nil)
			u.chunk(0, data[1:100])
			u.leaves(data[:40_000])
			u.resumes(o, nil) // and again: of the two the longer one stays
			u.leaves(data[:40_000])
			u.chunk(0, data[1:50_001])
			u.leaves(data[1:50_001])
			u.resumes(offerOf(id, data[1:50_001]), data[1:50_001])
			if r := u.finish(); r.GetStored() == nil {
				t.Errorf("got %v", r)
			}
		},
		"shorter, complete and another": func(t *testing.T, u *rawUpload, id edge.ClipID) {
			u.resumes(offerOf(id, data[1:20_001]), nil)
			u.chunk(0, data[1:10_001])
			u.leaves(data[:40_000])
			u.resumes(offerOf(id, data[2:30_002]), nil)
			u.leaves(data[:40_000])
		},
		"another, complete": func(t *testing.T, u *rawUpload, id edge.ClipID) {
			o := offerOf(id, data[1:50_001])
			o.Anew = true
			u.resumes(o, nil)
			u.chunk(0, data[1:50_001])
			if r := u.finish(); r.GetStored() == nil {
				t.Errorf("got %v", r)
			}
		},
		"another of a box that does not say so": func(t *testing.T, u *rawUpload, id edge.ClipID) {
			o := offerOf(id, data[1:50_001])
			u.resumes(o, data[:40_000])
			u.chunk(40_000, data[40_001:50_001])
			if r := u.finish().GetRefused(); r == nil || !r.GetAgain() {
				t.Errorf("got %v, want to be asked again", r)
			}
			u.resumes(o, nil)
			u.leaves(slices.Concat(data[:40_000], data[40_001:50_001]))
			u.chunk(0, data[1:50_001])
			if r := u.finish(); r.GetStored() == nil {
				t.Errorf("got %v", r)
			}
		},
	} {
		for _, stream := range []string{"the same stream", "another stream"} {
			t.Run(name+", "+stream, func(t *testing.T) {
				c := newCentre(t)
				cert, id := c.enrol("1"), edge.ClipID(edge.NewID())
				u := c.upload(cert)
				u.resumes(growingOffer(id, 40_000), nil)
				u.chunk(0, data[:40_000])
				if stream == "another stream" {
					u.s.CloseSend()
					u.ends(codes.Unknown)
					u = c.upload(cert)
				}
				u.t, u.arriving = t, func() string { return Arriving(filepath.Join(c.data, "clips"), "1", id) }
				test(t, u, id)
				var have int64
				files, err := filepath.Glob(filepath.Join(c.data, "clips", "1", "*"))
				for _, f := range files {
					if fi, err := os.Stat(f); err == nil {
						have += fi.Size()
					}
				}
				for _, f := range files { // of what has a digest in its name nothing is counted before it is complete
					if fi, err := os.Stat(f); err == nil && strings.HasSuffix(f, partExt) && !strings.Contains(f, ".grow.") {
						have -= fi.Size()
					}
				}
				if err != nil || c.share("1") != have {
					t.Errorf("files are %v of %d bytes, %v, the site has %d", files, have, err, c.share("1"))
				}
				if _, err := os.Stat(ClipPath(filepath.Join(c.data, "clips"), "1", id, edge.PartClip)); err == nil && len(files) > 1 {
					t.Errorf("of a clip that is stored there are %v", files)
				}
			})
		}
	}
}

func TestManyGrowingClipsOnOneStream(t *testing.T) {
	c := newCentre(t)
	u := c.upload(c.enrol("1"))
	ids, data := make([]edge.ClipID, parkMost+8), film(3_000)
	for i := range ids {
		ids[i] = edge.ClipID(edge.NewID())
	}
	for round := range 3 {
		for i, id := range ids {
			u.resumes(growingOffer(id, 1000*(round+1)), data[:1000*round])
			u.chunk(1000*round, data[1000*round:1000*(round+1)])
			c.s.store.mu.Lock()
			if n := len(c.s.store.open); n > parkMost+1 {
				t.Errorf("%d files are open after %d", n, i)
			}
			c.s.store.mu.Unlock()
		}
	}
	for _, id := range ids {
		u.resumes(offerOf(id, data), data)
		if r := u.finish(); r.GetStored() == nil {
			t.Fatalf("got %v", r)
		}
	}
	u.s.CloseSend()
	u.ends(codes.Unknown)
	c.s.store.mu.Lock()
	defer c.s.store.mu.Unlock()
	if n := len(c.s.store.open); n > 0 {
		t.Errorf("%d files stay open", n)
	}
}

func TestSOCFullWhileAClipGrows(t *testing.T) {
	c := newCentre(t)
	c.disk(100 << 20)
	cert, id := c.enrol("1"), edge.ClipID(edge.NewID())
	u := c.upload(cert)
	u.resumes(growingOffer(id, 0), nil)
	c.disk(0)
	data := film(8 << 20)
	for off := 0; off < len(data); off += wire.MaxChunkBytes {
		u.chunk(off, data[off:off+wire.MaxChunkBytes])
	}
	if r := u.reply().GetRefused(); r == nil || !r.GetAgain() {
		t.Fatalf("got %v, want to be asked again", r)
	}
	fi, err := os.Stat(Arriving(filepath.Join(c.data, "clips"), "1", id))
	if err != nil || fi.Size() > 2*askEvery || c.share("1") != fi.Size() {
		t.Fatalf("%v bytes were written below the reserve, %v, the site has %d", fi, err, c.share("1"))
	}
	if r := u.offer(growingOffer(id, len(data))).GetRefused(); r == nil || !r.GetAgain() {
		t.Errorf("got %v while it is full", r)
	}
	c.disk(100 << 20)
	u.resumes(growingOffer(id, len(data)), data[:fi.Size()])
}

func TestOpenFilesOfASiteAreBounded(t *testing.T) {
	c := newCentre(t)
	cert := c.enrol("1")
	for range 3 {
		u := c.upload(cert)
		for range 21 { // a site has 64 clips without their events
			u.resumes(growingOffer(edge.ClipID(edge.NewID()), 1), nil)
			if n := c.s.store.opened("1"); n > siteMost+1 {
				t.Fatalf("%d files are open", n)
			}
		}
	}
	if n := c.s.store.opened("1"); n < siteMost {
		t.Errorf("%d files are open, want about %d", n, siteMost)
	}
}

// What is offered while it grows has no size that could be promised: a site stops at its share all the same.
func TestGrowingClipStopsAtTheShareOfItsSite(t *testing.T) {
	c := newCentre(t)
	c.disk(3 << 30)
	u := c.upload(c.enrol("1"))
	id := edge.ClipID(edge.NewID())
	u.resumes(growingOffer(id, 0), nil)
	c.s.store.count("1", 3<<30) // by other clips that grow meanwhile
	chunk := film(wire.MaxChunkBytes)
	for off := 0; off < 4<<20; off += len(chunk) {
		u.chunk(off, chunk)
	}
	if r := u.reply().GetRefused(); r == nil || !r.GetAgain() || r.GetReason() != errShare.Error() {
		t.Errorf("got %v, want it refused for its site's share", r)
	}
}

// A part of another film that has its digest in its name is as good as one that grew.
func TestAPartIsKeptWhenAnotherFilmComes(t *testing.T) {
	c := newCentre(t)
	u, id, data := c.upload(c.enrol("1")), edge.ClipID(edge.NewID()), film(60_000)
	u.arriving = func() string { return Arriving(filepath.Join(c.data, "clips"), "1", id) }
	u.offer(offerOf(id, data))
	u.chunk(0, data[:40_000])
	u.resumes(growingOffer(id, 10), nil)
	u.chunk(0, data[1:10])
	u.resumes(growingOffer(id, 10), data[1:10])
	u.leaves(data[:40_000])
	if n := c.share("1"); n != 40_009 {
		t.Errorf("the site has %d bytes, want 40009", n)
	}
}

// Of a box that was destroyed, what came of its clip is all that there is: it goes only when the clip is stored.
func TestWhatCameOfAClipStays(t *testing.T) {
	c := newCentre(t)
	cert, now := c.enrol("1"), time.Now()
	lost, ready, silent := edge.ClipID(edge.NewID()), edge.ClipID(edge.NewID()), edge.ClipID(edge.NewID())
	u := c.upload(cert)
	for _, id := range []edge.ClipID{lost, ready, silent} {
		u.resumes(growingOffer(id, 0), nil)
		u.chunk(0, film(1000))
	}
	u.s.CloseSend()
	u.ends(codes.Unknown)
	l := c.link("1", cert)
	l.welcome()
	l.send(wire.Lane_LANE_ROUTINE, l.event(1, edge.KindClipLost, func(e *edge.Event) {
		e.Clip = &edge.ClipFact{ID: lost, Camera: "door", Reason: "the disk broke"}
	}))
	l.ack(1)
	if err := c.led.ClipStored(t.Context(), "1", ready, edge.PartClip, 5, [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	n, err := c.s.store.tidy(t.Context(), c.led, now.Add(24*time.Hour))
	if err != nil || n != 1 {
		t.Errorf("removed %d, %v, want the one of the clip that is stored", n, err)
	}
	if got := c.share("1"); got != 2000 {
		t.Errorf("the site has %d bytes, want 2000", got)
	}
	n, err = c.s.store.tidy(t.Context(), c.led, now.Add(30*24*time.Hour))
	if err != nil || n != 1 {
		t.Errorf("removed %d, %v, want the one of the clip that is long lost", n, err)
	}
	for id, want := range map[edge.ClipID]bool{lost: false, ready: false, silent: true} {
		if got := Arriving(filepath.Join(c.data, "clips"), "1", id) != ""; got != want {
			t.Errorf("%s is there: %v, want %v", id, got, want)
		}
	}
	if got := c.share("1"); got != 1000 {
		t.Errorf("the site has %d bytes, want 1000", got)
	}
}
