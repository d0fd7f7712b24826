package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"sitewatch/video/rtsp"
)

func TestBadCamera(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	stdout := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = stdout }()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := (&cameraCmd{Listen: "127.0.0.1:0", Name: "door", Bad: "marker-on-sei"}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "/door/main and /sub\n") {
		t.Fatalf("got %q, %v", line, err)
	}
	url, _, _ := strings.Cut(line, " ")
	if p := look(t, rtsp.Options{URL: url}, 12); !p.units[0].Keyframe {
		t.Error("its first picture is no key picture")
	}
	cancel()
	wg.Wait()
	if err := (&cameraCmd{Bad: "list"}).Run(t.Context()); err != nil {
		t.Error(err)
	}
	w.Close()
	if list, err := io.ReadAll(r); err != nil || !strings.Contains(string(list), "\nfrozen ") {
		t.Errorf("got %s, %v", list, err)
	}
	for _, c := range []cameraCmd{{Bad: "well-behaved"}, {Bad: "frozen", File: "film.mp4"}, {Bad: "frozen", User: "u", PasswordFile: "p"}} {
		if err := c.Run(t.Context()); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}
