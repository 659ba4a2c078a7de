package operations

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// SCEP is the SCEP door's observer.
type SCEP struct{ m *Metrics }

// SCEP counts for the SCEP door.
func (m *Metrics) SCEP() SCEP { return SCEP{m} }

// Answered implements the door's observer.
func (o SCEP) Answered(e *ca.Endpoint, operation, outcome string, took time.Duration) {
	id := none
	if e != nil {
		id = e.ID
	}
	o.m.scepRequests.WithLabelValues(id, operation, outcome).Inc()
	o.m.scepSeconds.WithLabelValues(operation).Observe(took.Seconds())
}

// Legacy implements the door's observer.
func (o SCEP) Legacy(e *ca.Endpoint, algorithm string) {
	o.m.scepLegacy.WithLabelValues(e.ID, algorithm).Inc()
}

// Granted starts the counters of the old algorithms that an endpoint takes at zero.
func (o SCEP) Granted(e *ca.Endpoint, algorithms ...string) {
	for _, name := range algorithms {
		o.m.scepLegacy.WithLabelValues(e.ID, name)
	}
}

// Panicked implements the door's observer.
func (o SCEP) Panicked() { o.m.panics.WithLabelValues("scep").Inc() }
