package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEvidenceOfAWholeSite: an alarm at a panel, a camera, and what the SOC exports of it is proved by both programs; the box's
// signature reaches the SOC within seconds of the clip.
func TestEvidenceOfAWholeSite(t *testing.T) {
	t.Parallel()
	s := newSite(t, withCamera)
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom")
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	s.until("the ring holds the pre-alarm pictures", 40*time.Second, func() bool { return s.ringSeconds("stockroom") >= 4 })
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	e := s.waitEvent("the alarm", 10*time.Second, kind("intruder"))
	clip := e.Clips[0]
	var c, signed struct{ State string }
	s.until("the clip is ready and signed", 60*time.Second, func() bool {
		return s.get("/clips/"+clip, &c) == nil && c.State == "ready" &&
			s.get("/clips/"+clip+"/evidence", &signed) == nil && signed.State == "signed"
	})
	out, ca := s.dir+"/case", s.dir+"/soc/ca/ca.pem"
	if found, err := filepath.Glob(s.dir + "/*/ca/ca.pem"); err == nil && len(found) == 1 {
		ca = found[0]
	}
	export := func() string {
		now := time.Now().UTC()
		os.RemoveAll(out)
		return s.output("soc", "export", "--config", s.dir+"/soc.yaml", "--site", "0417", "--from", now.Add(-time.Hour).Format(time.RFC3339),
			"--to", now.Add(time.Minute).Format(time.RFC3339), "--out", out)
	}
	var proof string
	s.until("the alarm and its clip are proved", 20*time.Second, func() bool {
		export()
		proof = s.output("soc", "verify", out, "--ca", ca)
		return strings.Contains(proof, "PROVED\n") && strings.Contains(proof, "proved: events 1 to")
	})
	if !strings.Contains(proof, "proved: 1 clips and 1 stills") {
		t.Errorf("verify says %s", proof)
	}
	if again := s.output("gateway", "verify", out, "--ca", ca); !strings.Contains(again, "PROVED\n") {
		t.Errorf("gateway verify says %s", again)
	}
	if journal := s.output("gateway", "verify", "--config", s.dir+"/gateway.yaml", "--ca", ca); !strings.Contains(journal, "by the box of site 0417") {
		t.Errorf("gateway verify of the journal says %s", journal)
	}
	b, err := os.ReadFile(filepath.Join(out, "clips", clip, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Camera, Kind, Clock, Version string
		Codec                        string
		Bytes                        int64
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Camera != "stockroom" || m.Kind != "intruder" || m.Bytes == 0 || m.Clock == "" {
		t.Errorf("the manifest is %s, %v", b, err)
	}
	page, err := os.ReadFile(filepath.Join(out, "timeline.html"))
	if err != nil || !strings.Contains(string(page), `src="clips/`+clip+`/clip.mp4"`) || !strings.Contains(string(page), "Stock room") {
		t.Errorf("the page: %v", err)
	}
	// Who keeps the folder and changes one byte of the film is found out.
	film := filepath.Join(out, "clips", clip, "clip.mp4")
	if b, err = os.ReadFile(film); err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(film, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := s.fails("soc", "verify", out, "--ca", ca); !strings.Contains(said, "BROKEN: clips/"+clip+"/clip.mp4") {
		t.Errorf("with another film: %s", said)
	}
}

// fails runs a program that should end with status 1, and returns what it says.
func (s *site) fails(name string, args ...string) string {
	s.t.Helper()
	out, err := exec.Command(filepath.Join(s.bin, name), args...).CombinedOutput()
	var ended *exec.ExitError
	if !errors.As(err, &ended) || ended.ExitCode() != 1 {
		s.t.Fatalf("%s %v: %v, want exit status 1\n%s", name, args, err, out)
	}
	return string(out)
}
