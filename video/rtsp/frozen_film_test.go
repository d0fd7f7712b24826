package rtsp

import (
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/rtsptest"
)

// An encoder that lives behind a sensor that is dead numbers its keyframes (idr_pic_id, H.264 §7.4.3), which moves all bits behind the number,
// and changes its rate. What a sensor that lives gives has noise, if ever so little.
func TestRepeatsOfRealEncoders(t *testing.T) {
	const dead, dark, alive = "trim=end_frame=1,loop=-1:1", "geq=lum=16:cb=128:cr=128", "trim=end_frame=1,loop=-1:1,noise=alls=2:allf=t"
	for coding, c := range map[string]struct {
		codec video.Codec
		args  string
	}{
		"CAVLC":              {video.H264, "-c:v libx264 -preset ultrafast -tune zerolatency -b:v 500k"},
		"CABAC":              {video.H264, "-c:v libx264 -preset veryfast -tune zerolatency -crf 25"},
		"CAVLC, four slices": {video.H264, "-c:v libx264 -preset ultrafast -tune zerolatency -crf 25 -slices 4"},
		"B-pictures":         {video.H264, "-c:v libx264 -preset veryfast -bf 2 -b:v 500k"},
		"H.265":              {video.H265, "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=10:min-keyint=10:scenecut=0:repeat-headers=1:pools=1:frame-threads=1"},
	} {
		for scene, filter := range map[string]string{"dead": dead, "dark": dark, "alive": alive} {
			t.Run(coding+" "+scene, func(t *testing.T) {
				var x repeats
				n, at := 0, time.Duration(-1)
				encode := rtsptest.Encode
				if c.codec == video.H265 {
					encode = rtsptest.Encode265
				}
				args := append([]string{"-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10," + filter, "-t", "30", "-pix_fmt", "yuv420p", "-threads", "1", "-g", "10", "-sc_threshold", "0"}, strings.Fields(c.args)...)
				err := encode(t.Context(), nil, args, func(nalus [][]byte) (err error) {
					stamp := edge.Stamp{Mono: time.Duration(n) * 100 * time.Millisecond}
					var u video.AccessUnit
					if c.codec == video.H265 {
						u, _, _, _, err = video.NewH265Unit(nalus, 0, stamp)
					} else {
						u, _, _, err = video.NewH264Unit(nalus, 0, stamp)
					}
					if err != nil {
						return err
					}
					n++
					if x.see(u, c.codec); x.repeating && at < 0 {
						at = stamp.Mono
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if frozen := at >= 0; frozen != (scene != "alive") || scene == "alive" && !x.moving {
					t.Errorf("frozen after %v, moving %v", at, x.moving)
				}
			})
		}
	}
}
