package rtsp

import (
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/sdp"

	"sitewatch/edge"
	"sitewatch/video"
)

const (
	sdpHead  = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=cam\r\nt=0 0\r\na=control:*\r\n"
	sdpH264  = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track=0\r\n"
	sdpH265  = "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H265/90000\r\na=control:track=1\r\n"
	sdpJPEG  = "m=video 0 RTP/AVP 26\r\na=control:track=2\r\n"
	sdpSound = "m=audio 0 RTP/AVP 0\r\na=control:track=3\r\n"
)

func describedBy(t *testing.T, text string) (choice, error) {
	t.Helper()
	var s sdp.SessionDescription
	if err := s.Unmarshal(mend([]byte(text))); err != nil {
		return choice{}, err
	}
	var d description.Session
	if err := d.Unmarshal(&s); err != nil {
		return choice{}, err
	}
	return choose(&d)
}

func TestWhatIsTakenOfADescription(t *testing.T) {
	bad := "m=audio 0 RTP/AVP 98\r\na=rtpmap:98 mpeg4-generic/16000/1\r\na=fmtp:98 config=zz\r\na=control:track=4\r\n"
	for name, c := range map[string]struct {
		text    string
		codec   video.Codec
		control string
	}{
		"H.264":                         {sdpHead + sdpH264, video.H264, "track=0"},
		"H.265":                         {sdpHead + sdpH265, video.H265, "track=1"},
		"the first of two":              {sdpHead + sdpH265 + sdpH264, video.H265, "track=1"},
		"JPEG ahead":                    {sdpHead + sdpJPEG + sdpH264, video.H264, "track=0"},
		"sound ahead":                   {sdpHead + sdpSound + sdpH264, video.H264, "track=0"},
		"sound that cannot be read":     {sdpHead + bad + sdpH264, video.H264, "track=0"},
		"sets that cannot be read":      {sdpHead + strings.Replace(sdpH264, "mode=1", "mode=1;sprop-parameter-sets=!!,!!", 1), video.H264, "track=0"},
		"a mid for one of them":         {sdpHead + "m=audio 0 RTP/AVP 0\r\na=mid:1\r\n" + sdpH264, video.H264, "track=0"},
		"metadata that cannot be read":  {sdpHead + "m=application 0 RTP/AVP\r\n" + sdpH264, video.H264, "track=0"},
		"a head that cannot be read":    {"v=0\r\no=nobody\r\ns=\r\nt=now\r\nb=x\r\n" + sdpH264, video.H264, "track=0"},
		"lines that end in \\n alone":   {strings.ReplaceAll(sdpHead+sdpH264, "\r\n", "\n"), video.H264, "track=0"},
		"a back channel ahead":          {sdpHead + strings.Replace(sdpSound, "a=control", "a=sendonly\r\na=control", 1) + sdpH264, video.H264, "track=0"},
		"metadata two hundred times":    {sdpHead + strings.Repeat("m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n", 200) + sdpH264, video.H264, "track=0"},
		"interleaved mode, then normal": {sdpHead + strings.Replace(sdpH264, "mode=1", "mode=2", 1) + sdpH265, video.H265, "track=1"},
	} {
		got, err := describedBy(t, c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got.codec != c.codec || got.media.Control != c.control {
			t.Errorf("%s: got %v of %s, want %v of %s", name, got.codec, got.media.Control, c.codec, c.control)
		}
	}
	_, err := describedBy(t, sdpHead+sdpJPEG)
	if err == nil || !strings.Contains(err.Error(), "JPEG") || edge.HintOf(err) == "" {
		t.Errorf("JPEG alone: got %v, want that it is JPEG, and a hint", err)
	}
}

// Whatever a camera describes, nothing panics, and what was good stays good.
func FuzzDescription(f *testing.F) {
	for _, s := range []string{sdpHead + sdpH264 + sdpSound, sdpHead + sdpJPEG + sdpH265, "v=0\r\nm=video", "m=\r\nm=audio 0 RTP/AVP 98\r\na=rtpmap:98 MP4A-LATM/90000/1\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mended := string(mend([]byte(s)))
		if readable(s) && !readable(mended) {
			t.Errorf("a description that could be read cannot be read any more:\n%q", mended)
		}
		describedBy(t, s)
	})
}
