package operations

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/status"
)

// Metrics counts what happens and serves it at /metrics. It observes the
// Authority and the doors. Every label's values come from a closed set:
// endpoints, tenants, CAs, kinds, reasons and the like; never a name, a serial,
// an account or a trace id, so that nobody outside can make it grow.
type Metrics struct {
	registry *prometheus.Registry
	names    []Named

	issued, refused               *prometheus.CounterVec
	signed, discarded, revoked    *prometheus.CounterVec
	crls                          *prometheus.CounterVec
	acmeRequests, acmeValidations *prometheus.CounterVec
	acmeSeconds, estSeconds       *prometheus.HistogramVec
	scepSeconds                   *prometheus.HistogramVec
	estRequests                   *prometheus.CounterVec
	scepRequests, scepLegacy      *prometheus.CounterVec
	panics, ocspAnswers           *prometheus.CounterVec
	rateLimited, forwarded        *prometheus.CounterVec
	lintFindings, lintDepth       *prometheus.CounterVec
}

// Named is a metric of ours by its name and label names.
type Named struct {
	Name   string
	Labels []string
}

// Names lists our metrics, whether they have samples yet or not.
func (m *Metrics) Names() []Named {
	names := slices.Clone(m.names)
	for _, s := range everyScraped {
		names = append(names, s.Named)
	}
	return names
}

// NewMetrics makes the counters and reads the rest from s at each scrape.
// Collectors beside ours (of the Go runtime, of the process) are added.
func NewMetrics(s Sources, more ...prometheus.Collector) (*Metrics, error) {
	m := &Metrics{registry: prometheus.NewRegistry()}
	var all []prometheus.Collector
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "enrollgate_" + name, Help: help}, labels)
		all = append(all, v)
		m.names = append(m.names, Named{"enrollgate_" + name, labels})
		return v
	}
	m.issued = counter("certificates_issued_total", "Certificates that were recorded.", "endpoint", "door", "tenant")
	m.refused = counter("requests_refused_total", "Requests that the core did not carry out, by kind of error.", "endpoint", "door", "tenant", "kind")
	m.signed = counter("signatures_total", "Uses of a CA's key: for certificates, and in the lane status for CRLs and OCSP answers.", "tenant", "ca", "lane")
	m.discarded = counter("signatures_discarded_total", "Signatures that were made and never left.", "tenant", "ca")
	m.revoked = counter("certificates_revoked_total", "Changes of a certificate's status.", "tenant", "ca", "reason")
	m.crls = counter("crls_published_total", "Certificate revocation lists that this replica made.", "tenant", "ca", "kind")
	m.lintFindings = counter("lint_findings_total", "Rules that certificates about to be signed broke, and what became of it.", "rule", "action")
	m.lintDepth = counter("lint_certificates_total", "Certificates that were linted, by how far: full, values (their shape was known), known (their values were plain too).", "depth")
	m.acmeRequests = counter("acme_requests_total", "ACME requests by the class of their reply's status.", "endpoint", "resource", "class")
	m.acmeValidations = counter("acme_validations_total", "Validations of challenges that ended.", "type", "outcome")
	m.estRequests = counter("est_requests_total", "EST requests by the class of their reply's status.", "endpoint", "operation", "class")
	m.scepRequests = counter("scep_requests_total", "SCEP requests by what was answered: a pkiStatus, a failInfo, or the class of a status of HTTP.", "endpoint", "operation", "outcome")
	m.scepLegacy = counter("scep_legacy_total", "SCEP messages that used an algorithm below the floor, which the endpoint grants.", "endpoint", "algorithm")
	m.rateLimited = counter("rate_limited_total", "Requests that a rate limit refused.", "endpoint", "door", "limit")
	m.forwarded = counter("forwarded_addresses_total", "Requests with a client's address in a header, or of a trusted proxy without one.", "listener", "outcome")
	m.ocspAnswers = counter("ocsp_answers_total", "OCSP questions by what was said, and whether a signed answer was there.", "tenant", "ca", "answer", "source")
	m.panics = counter("panics_total", "Requests that a panic ended.", "place")
	seconds := func(name, help, label string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "enrollgate_" + name, Help: help,
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{label})
		all = append(all, v)
		m.names = append(m.names, Named{"enrollgate_" + name, []string{label}})
		return v
	}
	m.acmeSeconds = seconds("acme_request_seconds", "Time from an ACME request to its reply.", "resource")
	m.estSeconds = seconds("est_request_seconds", "Time from an EST request to its reply.", "operation")
	m.scepSeconds = seconds("scep_request_seconds", "Time from a SCEP request to its reply.", "operation")
	all = append(append(all, &collector{sources: s}), more...)
	for _, depth := range []string{"full", "values", "known"} { // from zero, like the endpoints' counters
		m.lintDepth.WithLabelValues(depth)
	}
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

// Handler serves the metrics in the format that the scraper asks for.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Bound starts the counters of endpoints at zero, so that the first event is
// an increase and not a new series.
func (m *Metrics) Bound(endpoints []ca.Endpoint) {
	for i := range endpoints {
		e := &endpoints[i]
		m.issued.WithLabelValues(e.Recorded(), string(e.Door), e.Tenant)
		for _, k := range ca.Kinds() {
			m.refused.WithLabelValues(e.Recorded(), string(e.Door), e.Tenant, word(k.String()))
		}
		m.discarded.WithLabelValues(e.Tenant, e.CA)
	}
}

// Limits starts the counters of an endpoint's rate limits at zero.
func (m *Metrics) Limits(e *ca.Endpoint, limits ...string) {
	for _, limit := range limits {
		m.rateLimited.WithLabelValues(e.Recorded(), string(e.Door), limit)
	}
}

// ForwardedBy starts the counters of a listener behind proxies at zero.
func (m *Metrics) ForwardedBy(listener string, outcomes ...string) {
	for _, outcome := range outcomes {
		m.forwarded.WithLabelValues(listener, outcome)
	}
}

// Forwarded counts what became of a header with a client's address.
func (m *Metrics) Forwarded(listener, outcome string) {
	m.forwarded.WithLabelValues(listener, outcome).Inc()
}

// none stands in a label where something belongs to no endpoint.
const none = "none"

// word writes a name of several words as one.
func word(s string) string { return strings.ReplaceAll(s, " ", "_") }

// Issued implements ca.Observer.
func (m *Metrics) Issued(e *ca.Endpoint) {
	m.issued.WithLabelValues(e.Recorded(), string(e.Door), e.Tenant).Inc()
}

// Refused implements ca.Observer.
func (m *Metrics) Refused(e *ca.Endpoint, k ca.Kind) {
	if e == nil {
		m.refused.WithLabelValues(none, none, none, word(k.String())).Inc()
		return
	}
	m.refused.WithLabelValues(e.Recorded(), string(e.Door), e.Tenant, word(k.String())).Inc()
}

// Signed implements ca.Observer.
func (m *Metrics) Signed(tenant, ca string, lane ca.Lane) {
	m.signed.WithLabelValues(tenant, ca, lane.String()).Inc()
}

// Discarded implements ca.Observer.
func (m *Metrics) Discarded(tenant, ca string) { m.discarded.WithLabelValues(tenant, ca).Inc() }

// Revoked implements ca.Observer.
func (m *Metrics) Revoked(tenant, ca string, r ca.Reason) {
	m.revoked.WithLabelValues(tenant, ca, r.String()).Inc()
}

// LintFound counts a finding of lint.
func (m *Metrics) LintFound(rule, action string) { m.lintFindings.WithLabelValues(rule, action).Inc() }

// LintDepth counts a certificate that was linted.
func (m *Metrics) LintDepth(depth string) { m.lintDepth.WithLabelValues(depth).Inc() }

// CRLPublished counts a list.
func (m *Metrics) CRLPublished(c *ca.CRL) {
	kind := "complete"
	if _, shard, _ := ca.ParseCRLScope(c.Scope); shard > 0 {
		kind = "shard"
	}
	if c.Base > 0 {
		kind = "delta"
	}
	m.crls.WithLabelValues(c.Tenant, c.CA, kind).Inc()
}

// BoundOCSP starts the counters of a responder at zero.
func (m *Metrics) BoundOCSP(tenant, ca string) {
	for _, o := range status.Outcomes() {
		m.ocspAnswers.WithLabelValues(tenant, ca, string(o), "signed")
	}
}

// OCSPAnswered implements status.Observer.
func (m *Metrics) OCSPAnswered(tenant, ca string, o status.Outcome, fromCache bool) {
	source := "signed"
	if fromCache {
		source = "cache"
	}
	if tenant == "" {
		tenant, ca = none, none
	}
	m.ocspAnswers.WithLabelValues(tenant, ca, string(o), source).Inc()
}

// Answered implements the ACME door's observer.
func (m *Metrics) Answered(e *ca.Endpoint, resource string, status int, took time.Duration) {
	id := none
	if e != nil {
		id = e.ID
	}
	m.acmeRequests.WithLabelValues(id, resource, class(status)).Inc()
	m.acmeSeconds.WithLabelValues(resource).Observe(took.Seconds())
}

// class is the class of a status code (RFC 9110 section 15).
func class(status int) string {
	if status < 100 || status > 599 {
		return "other"
	}
	return string(rune('0'+status/100)) + "xx"
}

// Validated implements the ACME door's observer.
func (m *Metrics) Validated(challenge, outcome string) {
	m.acmeValidations.WithLabelValues(challenge, outcome).Inc()
}

// Limited implements the ACME door's observer.
func (m *Metrics) Limited(e *ca.Endpoint, limit string) {
	m.rateLimited.WithLabelValues(e.Recorded(), string(e.Door), limit).Inc()
}

// Panicked implements the ACME door's observer.
func (m *Metrics) Panicked() { m.panics.WithLabelValues("acme").Inc() }

// PanickedAt counts a panic of a listener.
func (m *Metrics) PanickedAt(listener string) { m.panics.WithLabelValues(listener).Inc() }

var _ ca.Observer = (*Metrics)(nil)
