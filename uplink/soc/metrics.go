package soc

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	events  *prometheus.CounterVec // by lane
	odd     *prometheus.CounterVec // by what: duplicate, conflict, unchained, malformed
	refused *prometheus.CounterVec // by what was refused
	clips   *prometheus.CounterVec // files stored, by part
	bytes   prometheus.Counter
	links   prometheus.Gauge
	panics  prometheus.Counter

	certificates *prometheus.CounterVec // by what: enrolled, renewed, expired, early
	raised       *prometheus.CounterVec // by kind
}

func newMetrics() metrics {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "sitewatch", Subsystem: "soc", Name: name, Help: help}
	}
	return metrics{
		events:  prometheus.NewCounterVec(counter("events_total", "Events committed, by lane."), []string{"lane"}),
		odd:     prometheus.NewCounterVec(counter("odd_events_total", "Events that were not plainly new."), []string{"what"}),
		refused: prometheus.NewCounterVec(counter("refused_total", "Calls, streams and offers refused."), []string{"what"}),
		clips:   prometheus.NewCounterVec(counter("files_stored_total", "Stills and clips stored."), []string{"part"}),
		bytes:   prometheus.NewCounter(counter("upload_bytes_total", "Bytes of stills and clips taken.")),
		links:   prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "sitewatch", Subsystem: "soc", Name: "links", Help: "Paths by which boxes are connected."}),
		panics:  prometheus.NewCounter(counter("panics_total", "Handlers that panicked.")),
		raised:  prometheus.NewCounterVec(counter("raised_events_total", "Events that the SOC has raised about its sites, by kind."), []string{"kind"}),

		certificates: prometheus.NewCounterVec(counter("certificates_total", "Certificates issued, and streams of boxes whose certificate had expired or was early."), []string{"what"}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.events, m.odd, m.refused, m.clips, m.bytes, m.links, m.panics, m.certificates, m.raised}
}
