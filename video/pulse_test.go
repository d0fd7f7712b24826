package video

import (
	"context"
	"errors"
	"testing"
)

func TestPulseWakesAllThatWait(t *testing.T) {
	p := NewPulse()
	a, b := p.Next(), p.Next()
	select {
	case <-a:
		t.Fatal("it beats before Run")
	default:
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Run(ctx) }()
	<-a
	<-b
	<-p.Next() // and again
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want the end of ctx", err)
	}
}
