package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitewatch/edge/local"
)

// collector gives /metrics the figures of the status page.
type collector struct{ b *box }

var (
	descEvents   = prometheus.NewDesc("sitewatch_events_waiting", "Events that the SOC has not acked.", []string{"lane"}, nil)
	descLastSeq  = prometheus.NewDesc("sitewatch_journal_last_seq", "Newest event of the journal.", nil, nil)
	descJournal  = prometheus.NewDesc("sitewatch_journal_bytes", "Bytes in use in the journal.", nil, nil)
	descPanelUp  = prometheus.NewDesc("sitewatch_panel_connected", "1 while the panel's line is up.", []string{"panel"}, nil)
	descFrames   = prometheus.NewDesc("sitewatch_panel_frames_total", "Good frames of the panel.", []string{"panel"}, nil)
	descRejects  = prometheus.NewDesc("sitewatch_panel_rejects_total", "Frames refused for their checksum.", []string{"panel"}, nil)
	descCameraUp = prometheus.NewDesc("sitewatch_camera_connected", "1 while pictures come.", []string{"camera"}, nil)
	descRing     = prometheus.NewDesc("sitewatch_camera_ring_bytes", "Bytes of pictures in memory.", []string{"camera"}, nil)
	descRecorded = prometheus.NewDesc("sitewatch_recording_bytes", "Bytes recorded of the camera that are on disk.", []string{"camera"}, nil)
	descRecord   = prometheus.NewDesc("sitewatch_recording_written_bytes_total", "Bytes written of the camera's recording.", []string{"camera"}, nil)
	descDropped  = prometheus.NewDesc("sitewatch_recording_dropped_total", "Pictures and pieces of sound that were not recorded.", []string{"camera"}, nil)
	descOn       = prometheus.NewDesc("sitewatch_recording_on", "1 while the camera is recorded continuously, 0 while that fails.", []string{"camera"}, nil)
	descSegments = prometheus.NewDesc("sitewatch_segments_bytes", "Bytes recorded of all cameras that are on disk.", nil, nil)
	descPerDay   = prometheus.NewDesc("sitewatch_segments_bytes_per_day", "Bytes that recording writes in a day at the present rate.", nil, nil)
	descWear     = prometheus.NewDesc("sitewatch_flash_wear_years", "Years until recording alone has worn out the flash; only where the disk is flash.", nil, nil)
	descWorn     = prometheus.NewDesc("sitewatch_flash_used_percent", "What the eMMC says of its own life; only where it does.", nil, nil)
	descMotions  = prometheus.NewDesc("sitewatch_motion_intervals_total", "Motion intervals since the start.", []string{"sent"}, nil)
	descLeftOut  = prometheus.NewDesc("sitewatch_eye_left_out_total", "Pictures that were not looked at for movement, because the eyes were behind.", []string{"camera"}, nil)
	descPath     = prometheus.NewDesc("sitewatch_path_connected", "1 while the SOC is connected by this path.", []string{"path"}, nil)
	descUplink   = prometheus.NewDesc("sitewatch_uplink_connected", "1 while the SOC is connected.", nil, nil)
	descDisk     = prometheus.NewDesc("sitewatch_disk_free_bytes", "Free bytes where the data is.", nil, nil)
)

// Describe names the figures.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect takes them from one status.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	st, err := c.b.status(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descLastSeq, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	up := func(s local.State) float64 {
		if s == local.StateConnected {
			return 1
		}
		return 0
	}
	for lane, n := range st.Journal.Waiting {
		gauge(descEvents, float64(n), lane)
	}
	gauge(descLastSeq, float64(st.Journal.LastSeq))
	gauge(descJournal, float64(st.Journal.Bytes))
	for _, p := range st.Panels {
		gauge(descPanelUp, up(p.State), string(p.ID))
		counter(descFrames, p.Frames, string(p.ID))
		counter(descRejects, p.Rejects, string(p.ID))
	}
	for _, cam := range st.Cameras {
		gauge(descCameraUp, up(cam.State), string(cam.ID))
		gauge(descRing, float64(cam.RingBytes), string(cam.ID))
		counter(descLeftOut, cam.Eye.LeftOut, string(cam.ID))
		if r := cam.Recording; r.Mode == continuous {
			on := 1.0
			if r.Reason != "" {
				on = 0
			}
			gauge(descOn, on, string(cam.ID))
			gauge(descRecorded, float64(r.Bytes), string(cam.ID))
			counter(descRecord, r.WrittenBytes, string(cam.ID))
			counter(descDropped, r.Dropped, string(cam.ID))
		}
	}
	counted, sent := c.b.desk.Motions()
	counter(descMotions, counted, "no")
	counter(descMotions, sent, "yes")
	gauge(descUplink, up(st.Uplink.State))
	for _, p := range st.Uplink.Paths {
		gauge(descPath, up(p.State), p.Name)
	}
	gauge(descSegments, float64(st.Segments.Bytes))
	gauge(descPerDay, st.Segments.BytesPerDay)
	if st.Segments.WearYears > 0 {
		gauge(descWear, st.Segments.WearYears)
	}
	if st.Segments.WearUsed > 0 {
		gauge(descWorn, float64(st.Segments.WearUsed))
	}
	gauge(descDisk, float64(st.Disk.FreeBytes))
}
