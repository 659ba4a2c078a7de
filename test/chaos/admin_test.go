package chaos

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type page struct {
	status int
	body   string
}

var adminClient = &http.Client{Timeout: 30 * time.Second}

// get reads a page of the admin listener.
func (s *site) get(path string) page {
	s.t.Helper()
	answer, err := adminClient.Get("http://" + s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		s.t.Fatal(err)
	}
	return page{answer.StatusCode, string(body)}
}

// metric reads a counter without labels.
func (s *site) metric(name string) int64 {
	s.t.Helper()
	for line := range strings.Lines(s.get("/metrics").body) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return int64(value)
		}
	}
	s.t.Fatalf("there is no metric %s", name)
	return 0
}

// readiness is what /readyz?verbose says about one check.
type readiness struct {
	Name, Warning, Error string
	OK                   bool
}

// ready gives the checks of /readyz by name, and the status of the answer.
func (s *site) ready() (status int, checks map[string]readiness) {
	s.t.Helper()
	got := s.get("/readyz?verbose")
	var all struct{ Checks []readiness }
	if err := json.Unmarshal([]byte(got.body), &all); err != nil || len(all.Checks) == 0 {
		s.t.Fatalf("/readyz?verbose: %v: %s", err, got.body)
	}
	checks = map[string]readiness{}
	for _, c := range all.Checks {
		checks[c.Name] = c
	}
	return got.status, checks
}
