// Package operations answers what load balancers, orchestrators and monitoring
// ask, on the admin listener: /healthz says that the process answers, /readyz
// that it can serve, /metrics what it did. Nothing here changes state.
package operations

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
)

// Check is one condition of readiness. Try gives an error where the process
// cannot serve, and a warning where it can but somebody should look. The
// public text of a *ca.Error is shown, of any other error only that it failed.
type Check struct {
	Name string
	Try  func(ctx context.Context) (warning string, err error)
}

// Health serves the checks.
type Health struct {
	checks  []Check
	log     *slog.Logger
	metrics http.Handler

	mu     sync.Mutex
	failed map[string]bool // checks that failed when last asked
}

// New takes what serves /metrics, and the conditions that must all hold for
// the process to be ready.
func New(log *slog.Logger, metrics http.Handler, checks ...Check) *Health {
	return &Health{checks: checks, log: log, metrics: metrics, failed: map[string]bool{}}
}

// Routes mounts the answers on the admin listener.
func (h *Health) Routes(r chi.Router) {
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	r.Get("/readyz", h.ready)
	r.Method(http.MethodGet, "/metrics", h.metrics)
}

// checkTime bounds one readiness check.
const checkTime = 2 * time.Second

// Result is one check in the answer to /readyz?verbose.
type Result struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Warning string `json:"warning,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Readiness is the answer to /readyz?verbose.
type Readiness struct {
	Ready  bool     `json:"ready"`
	Checks []Result `json:"checks"`
}

// ready answers 200 or 503 (RFC 9110 section 15.6.4): one line a finding, or
// with ?verbose every check as JSON.
func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	answer := h.Ask(r.Context())
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Query().Has("verbose") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.Encode(answer) // an error means that the client is gone
		return
	}
	var text strings.Builder
	if answer.Ready {
		text.WriteString("ready\n")
	}
	for _, c := range answer.Checks {
		if !c.OK {
			fmt.Fprintf(&text, "not ready: %s: %s\n", c.Name, c.Error)
		}
		if c.Warning != "" {
			fmt.Fprintf(&text, "warning: %s: %s\n", c.Name, c.Warning)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	w.Write([]byte(text.String())) // as above
}

// Ask asks every check, all at the same time.
func (h *Health) Ask(ctx context.Context) Readiness {
	answer := Readiness{Ready: true, Checks: make([]Result, len(h.checks))}
	var all sync.WaitGroup
	for i, c := range h.checks {
		all.Go(func() { answer.Checks[i] = h.ask(ctx, c) })
	}
	all.Wait()
	for _, c := range answer.Checks {
		answer.Ready = answer.Ready && c.OK
	}
	return answer
}

func (h *Health) ask(ctx context.Context, c Check) Result {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	warning, err := c.Try(ctx)
	h.changed(c.Name, err)
	if err == nil {
		return Result{Name: c.Name, OK: true, Warning: warning}
	}
	return Result{Name: c.Name, Error: ca.AsError(err).Public, Warning: warning}
}

// changed logs when a check begins and ceases to fail.
func (h *Health) changed(name string, err error) {
	h.mu.Lock()
	before := h.failed[name]
	h.failed[name] = err != nil
	h.mu.Unlock()
	switch {
	case err != nil && !before:
		h.log.Warn("not.ready", "check", name, "error", err)
	case err == nil && before:
		h.log.Info("ready.again", "check", name)
	}
}
