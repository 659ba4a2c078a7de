package probe

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics says how the last run of every target went, and counts runs. Labels
// come from targets and from the closed set of steps.
type Metrics struct {
	registry                            *prometheus.Registry
	success, seconds, lastRun, lastGood *prometheus.GaugeVec
	stepSeconds                         *prometheus.GaugeVec
	runs, failures                      *prometheus.CounterVec
	notAfter                            *prometheus.GaugeVec
	names                               map[string][]string
}

// NewMetrics makes them; nothing is known of a target before its first run.
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), names: map[string][]string{}}
	labels := func(more ...string) []string { return append([]string{"endpoint", "door"}, more...) }
	gauge := func(name, help string, labels []string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "enrollgate_probe_" + name, Help: help}, labels)
		m.registry.MustRegister(v)
		m.names["enrollgate_probe_"+name] = labels
		return v
	}
	counter := func(name, help string, labels []string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "enrollgate_probe_" + name, Help: help}, labels)
		m.registry.MustRegister(v)
		m.names["enrollgate_probe_"+name] = labels
		return v
	}
	m.success = gauge("success", "1 where the last run got a certificate that every check held for, else 0.", labels())
	m.seconds = gauge("seconds", "Time that the last run took.", labels())
	m.stepSeconds = gauge("step_seconds", "Time that a step of the last run took.", labels("step"))
	m.lastRun = gauge("last_run_timestamp_seconds", "When the last run began.", labels())
	m.lastGood = gauge("last_success_timestamp_seconds", "When the last run began that succeeded.", labels())
	m.notAfter = gauge("certificate_not_after_timestamp_seconds", "When the last certificate ends.", labels())
	m.runs = counter("runs_total", "Runs of this process.", labels("outcome"))
	m.failures = counter("step_failures_total", "Steps of this process's runs that failed.", labels("step"))
	return m
}

// Names gives the metrics with their labels.
func (m *Metrics) Names() map[string][]string { return m.names }

// Start begins the counters of a target at zero.
func (m *Metrics) Start(t *Target) {
	for _, outcome := range []string{"success", "failure"} {
		m.runs.WithLabelValues(t.Endpoint, t.Protocol, outcome)
	}
}

// Record takes a run over.
func (m *Metrics) Record(r *Result) {
	of := prometheus.Labels{"endpoint": r.Endpoint, "door": r.Protocol}
	began, ok, outcome := seconds(r.At), 0.0, "failure"
	if r.OK {
		ok, outcome = 1, "success"
		m.lastGood.With(of).Set(began)
	}
	m.success.With(of).Set(ok)
	m.seconds.With(of).Set(r.Seconds)
	m.lastRun.With(of).Set(began)
	m.runs.WithLabelValues(r.Endpoint, r.Protocol, outcome).Inc()
	if !r.NotAfter.IsZero() {
		m.notAfter.With(of).Set(seconds(r.NotAfter))
	}
	m.stepSeconds.DeletePartialMatch(of)
	for _, s := range r.Steps {
		m.stepSeconds.WithLabelValues(r.Endpoint, r.Protocol, string(s.Step)).Set(s.Seconds)
		failures := m.failures.WithLabelValues(r.Endpoint, r.Protocol, string(s.Step))
		if s.Error != "" {
			failures.Inc()
		}
	}
}

// Handler serves them to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// WriteFile writes them for node_exporter's textfile collector; a reader sees the
// old file or the new one.
func (m *Metrics) WriteFile(path string) error { return prometheus.WriteToTextfile(path, m.registry) }

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
