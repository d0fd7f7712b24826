package rtsp

import (
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtcp"
)

// What breaks a reader in the client's goroutine ends the connection, and never the process.
func TestAReportThatBreaksItsReaderEndsTheConnection(t *testing.T) {
	s := NewSource(Options{})
	s.packets.Store(1)
	s.onReport(&rtcp.SenderReport{}) // there is no assembler yet
	select {
	case err := <-s.failed:
		if !strings.Contains(err.Error(), "report") {
			t.Errorf("got %v", err)
		}
	default:
		t.Error("the connection goes on")
	}
}

func TestSoundThatBreaksItsReaderIsNoSound(t *testing.T) {
	desc := &description.Session{Medias: []*description.Media{{Type: description.MediaTypeAudio, Formats: []format.Format{(*format.Opus)(nil)}}}}
	if snd, err := chooseSound(desc); snd != nil || err == nil || !strings.Contains(err.Error(), "broke") {
		t.Errorf("got %v, %v", snd, err)
	}
}
