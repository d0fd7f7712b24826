package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

var _ peer = newModbusPeer(false)

func hexOf(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestModbusPeer: it answers as pymodbus 3.0 does to the same bytes, over any pieces and after noise, and an absent or muted
// slave says nothing.
func TestModbusPeer(t *testing.T) {
	p := newModbusPeer(false, 1, 3)
	for _, words := range []string{"input 1 1 on", "input 1 3 on", "input 1 2 on", "input 1 2 off", "register 3 1 65535", "register 3 2 1", "register 3 3 3",
		"register 1 100 100", "register 1 101 0x65", "register 1 102 102"} {
		if err := p.Do(strings.Fields(words)); err != nil {
			t.Fatalf("%s: %v", words, err)
		}
	}
	ours, theirs := net.Pipe()
	ours.SetDeadline(time.Now().Add(20 * time.Second))
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	g.Go(func() error { return p.Run(ctx, theirs) })
	for _, tt := range []struct{ name, ask, want string }{
		{"inputs", "01 02 00 00 00 08 79 CC", "01 02 01 05 61 8B"},
		{"registers", "03 04 00 00 00 04 F0 2B", "03 04 08 00 00 FF FF 00 01 00 03 3E 6F"},
		{"holding registers, after noise", "FF 01 03 00 64 00 03 44 14", "01 03 06 00 64 00 65 00 66 C0 88"},
		{"nobody has address 9, so the next one answers", "09 02 00 00 00 08 78 84 01 02 00 00 00 08 79 CC", "01 02 01 05 61 8B"},
		{"loopback is not read", "01 08 00 00 12 34 ED 7C", "01 88 01 87 C0"},
		{"a write is refused", "01 05 00 00 FF 00 8C 3A", "01 85 01 83 50"},
		{"inputs that it does not have", "01 02 00 80 00 08 78 24", "01 82 02 C1 61"},
	} {
		for _, piece := range [][]byte{hexOf(t, tt.ask)[:3], hexOf(t, tt.ask)[3:]} {
			if _, err := ours.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		got := make([]byte, len(hexOf(t, tt.want)))
		if _, err := io.ReadFull(ours, got); err != nil || !bytes.Equal(got, hexOf(t, tt.want)) {
			t.Errorf("%s: got % X, %v, want %s", tt.name, got, err, tt.want)
		}
	}
	stop()
	if err := g.Wait(); err == nil {
		t.Error("Run returned nil: it must say why it ended")
	}
	if err := p.Do([]string{"mute", "1", "on"}); err != nil {
		t.Fatal(err)
	}
	if reply, used := p.answer(hexOf(t, "01 02 00 00 00 08 79 CC")); reply != nil || used != 8 {
		t.Errorf("a muted slave says % X", reply)
	}
}

func TestModbusPeerTCP(t *testing.T) {
	p := newModbusPeer(true, 1)
	if err := p.Do(strings.Fields("input 1 3 on")); err != nil {
		t.Fatal(err)
	}
	reply, used := p.answer(hexOf(t, "12 34 00 00 00 06 01 02 00 00 00 08 99"))
	if used != 12 || !bytes.Equal(reply, hexOf(t, "12 34 00 00 00 04 01 02 01 04")) {
		t.Errorf("answered % X to %d bytes", reply, used)
	}
}

func TestModbusPeerSaysWhatMayBeTyped(t *testing.T) {
	p := newModbusPeer(false, 1)
	for _, words := range []string{"", "input", "input 1 3", "input 1 3 maybe", "input x 3 on", "input 2 3 on", "input 1 0 on", "input 1 129 on", "register 1 0 65536",
		"register 1 0", "mute 1 2 on", "sing 1 2 on"} {
		if err := p.Do(strings.Fields(words)); err == nil {
			t.Errorf("%q was done", words)
		}
	}
}
