// Package operations answers what load balancers and orchestrators ask, on the
// admin listener: /healthz says that the process answers, /readyz that it can
// serve. Nothing here changes state.
package operations

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
)

// Check is one condition of readiness.
type Check struct {
	Name string
	Try  func(ctx context.Context) error
}

// Health serves the checks.
type Health struct {
	checks []Check
	log    *slog.Logger
}

// New takes the conditions that must all hold for the process to be ready.
func New(log *slog.Logger, checks ...Check) *Health { return &Health{checks, log} }

// Routes mounts the checks on the admin listener.
func (h *Health) Routes(r chi.Router) {
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	r.Get("/readyz", h.ready)
}

// checkTime bounds one readiness check.
const checkTime = 2 * time.Second

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	for _, c := range h.checks {
		ctx, cancel := context.WithTimeout(r.Context(), checkTime)
		err := c.Try(ctx)
		cancel()
		if err != nil {
			h.log.Warn("not.ready", "check", c.Name, "error", err)
			http.Error(w, "not ready: "+c.Name, http.StatusServiceUnavailable)
			return
		}
	}
	w.Write([]byte("ready\n"))
}
