package operations

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// EST is the EST door's observer.
type EST struct{ m *Metrics }

// EST counts for the EST door.
func (m *Metrics) EST() EST { return EST{m} }

// Answered implements the door's observer.
func (o EST) Answered(e *ca.Endpoint, operation string, status int, took time.Duration) {
	id := none
	if e != nil {
		id = e.ID
	}
	o.m.estRequests.WithLabelValues(id, operation, class(status)).Inc()
	o.m.estSeconds.WithLabelValues(operation).Observe(took.Seconds())
}

// Panicked implements the door's observer.
func (o EST) Panicked() { o.m.panics.WithLabelValues("est").Inc() }
