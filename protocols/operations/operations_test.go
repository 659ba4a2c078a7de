package operations

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/background"
	"github.com/enrollgate/enrollgate/ca/caller"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// get asks a listener with the given health.
func get(t *testing.T, h *Health, path string) (status int, contentType, body string) {
	t.Helper()
	r := chi.NewRouter()
	h.Routes(r)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Header().Get("Content-Type"), w.Body.String()
}

func check(name, warning string, err error) Check {
	return Check{name, func(context.Context) (string, error) { return warning, err }}
}

func TestReadiness(t *testing.T) {
	none := http.NotFoundHandler()
	tests := []struct {
		name    string
		checks  []Check
		status  int
		text    string
		verbose Readiness
	}{
		{"all is well", []Check{check("store", "", nil)}, 200, "ready\n", Readiness{true, []Result{{Name: "store", OK: true}}}},
		{"a warning is no failure", []Check{check("replicas", "1 of 2 replicas run another configuration", nil)}, 200,
			"ready\nwarning: replicas: 1 of 2 replicas run another configuration\n",
			Readiness{true, []Result{{Name: "replicas", OK: true, Warning: "1 of 2 replicas run another configuration"}}}},
		{"every failure is named", []Check{check("store", "", ca.Errorf(ca.Unavailable, "it is read-only")), check("keys", "", nil),
			check("clock", "", errors.New("secret cause"))}, 503,
			"not ready: store: it is read-only\nnot ready: clock: an internal error occurred; quote the trace id to the operator\n",
			Readiness{false, []Result{{Name: "store", Error: "it is read-only"}, {Name: "keys", OK: true},
				{Name: "clock", Error: "an internal error occurred; quote the trace id to the operator"}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := New(quiet(), none, test.checks...)
			status, _, body := get(t, h, "/readyz")
			if status != test.status || body != test.text {
				t.Errorf("%d %q, want %d %q", status, body, test.status, test.text)
			}
			status, contentType, body := get(t, h, "/readyz?verbose")
			var got Readiness
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != test.status || contentType != "application/json" {
				t.Fatalf("%d %s %q: %v", status, contentType, body, err)
			}
			if diff := cmp.Diff(test.verbose, got); diff != "" {
				t.Error(diff)
			}
			if status, _, body := get(t, h, "/healthz"); status != 200 || body != "ok\n" {
				t.Errorf("/healthz: %d %q", status, body)
			}
		})
	}
}

func TestReadinessIsLoggedOnChange(t *testing.T) {
	var log bytes.Buffer
	var failing error
	h := New(slog.New(slog.NewTextHandler(&log, nil)), http.NotFoundHandler(),
		Check{"store", func(context.Context) (string, error) { return "", failing }})
	for _, err := range []error{nil, io.EOF, io.EOF, io.EOF, nil, nil} {
		failing = err
		h.Ask(t.Context())
	}
	if a, b := strings.Count(log.String(), "not.ready"), strings.Count(log.String(), "ready.again"); a != 1 || b != 1 {
		t.Errorf("not.ready %d times, ready.again %d times, want one each:\n%s", a, b, &log)
	}
}

func TestMetricsFromSources(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var pulse background.Pulse
	m, err := NewMetrics(Sources{
		Store: func() ca.StoreCounters {
			return ca.StoreCounters{Commits: 3, Members: 12, Waiting: 2, Failed: 1, NotesOut: 4}
		},
		Certificates: func() []Expiry {
			return []Expiry{{Kind: "ca", Tenant: "t", Name: "issuing", NotAfter: now.Add(36 * time.Hour)}}
		},
		Pulse: func() background.Pulse { return pulse },
		Jobs: func() []background.Status {
			return []background.Status{{Job: "sweep", Held: true, Runs: 5, Failed: 2, LastRun: now}, {Job: "months"}}
		},
		Tokens: func() []Token {
			return []Token{{Label: "hsm", Serial: "7", Module: "/m.so", Workers: 8, Lost: 1, Accepted: 2, Refused: 3, Lapses: 4, ModuleRestarts: 5}}
		},
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	h := New(quiet(), m.Handler())
	_, _, before := get(t, h, "/metrics")
	if strings.Contains(before, "clock_skew") {
		t.Error("a clock skew before the first beat")
	}
	pulse = background.Pulse{At: now, Skew: -1500 * time.Millisecond, Alive: 3, Differ: 1}
	m.Recover("http", quiet(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a bug") })).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/x", nil))
	m.Panicked()
	e := &ca.Endpoint{ID: "web", Door: caller.ACME, Tenant: "t", CA: "issuing"}
	m.Bound([]ca.Endpoint{*e})
	m.Issued(e)
	m.Refused(e, ca.RateLimited)
	m.Refused(nil, ca.NotFound)
	m.Signed("t", "issuing", ca.LaneRenewal)
	m.Discarded("t", "issuing")
	m.Revoked("t", "issuing", ca.Superseded)
	m.Answered(e, "new-order", 201, 30*time.Millisecond)
	m.Answered(nil, "other", 404, time.Millisecond)
	m.Answered(e, "new-order", 999, time.Millisecond)
	m.Validated("http-01", "invalid")
	_, _, body := get(t, h, "/metrics")
	for _, line := range []string{
		`enrollgate_store_commits_total 3`, `enrollgate_store_members_total 12`, `enrollgate_store_queue_waiting 2`,
		`enrollgate_store_write_failures_total 1`, `enrollgate_audit_notes_dropped_total 4`,
		`enrollgate_certificate_days_left{kind="ca",name="issuing",tenant="t"} 1.5`,
		`enrollgate_replicas 3`, `enrollgate_replicas_config_differs 1`, `enrollgate_clock_skew_seconds -1.5`,
		`enrollgate_background_lease_held{job="sweep"} 1`, `enrollgate_background_lease_held{job="months"} 0`,
		`enrollgate_background_runs_total{job="sweep",outcome="done"} 5`, `enrollgate_background_runs_total{job="sweep",outcome="failed"} 2`,
		`enrollgate_token_workers{module="/m.so",serial="7",state="serving",token="hsm"} 8`,
		`enrollgate_token_workers{module="/m.so",serial="7",state="lost",token="hsm"} 1`,
		`enrollgate_token_logins_total{module="/m.so",outcome="accepted",serial="7",token="hsm"} 2`,
		`enrollgate_token_logins_total{module="/m.so",outcome="refused",serial="7",token="hsm"} 3`,
		`enrollgate_token_lapses_total{module="/m.so",serial="7",token="hsm"} 4`,
		`enrollgate_token_module_restarts_total{module="/m.so",serial="7",token="hsm"} 5`,
		`enrollgate_panics_total{place="http"} 1`, `enrollgate_panics_total{place="acme"} 1`,
		`enrollgate_certificates_issued_total{door="acme",endpoint="web",tenant="t"} 1`,
		`enrollgate_requests_refused_total{door="acme",endpoint="web",kind="rate_limited",tenant="t"} 1`,
		`enrollgate_requests_refused_total{door="acme",endpoint="web",kind="bad_proof",tenant="t"} 0`,
		`enrollgate_requests_refused_total{door="none",endpoint="none",kind="not_found",tenant="none"} 1`,
		`enrollgate_signatures_total{ca="issuing",lane="renewal",tenant="t"} 1`,
		`enrollgate_signatures_discarded_total{ca="issuing",tenant="t"} 1`,
		`enrollgate_certificates_revoked_total{ca="issuing",reason="superseded",tenant="t"} 1`,
		`enrollgate_acme_requests_total{class="2xx",endpoint="web",resource="new-order"} 1`,
		`enrollgate_acme_requests_total{class="4xx",endpoint="none",resource="other"} 1`,
		`enrollgate_acme_requests_total{class="other",endpoint="web",resource="new-order"} 1`,
		`enrollgate_acme_request_seconds_bucket{resource="new-order",le="0.05"} 2`,
		`enrollgate_acme_validations_total{outcome="invalid",type="http-01"} 1`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

func TestRecoverLeavesAbortAlone(t *testing.T) {
	m, err := NewMetrics(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v", p)
		}
	}()
	m.Recover("http", quiet(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}
