package interop

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestRateLimitOutlivesRestart: the daemon refuses what is over the limit that it
// is configured for, also after it was started anew.
func TestRateLimitOutlivesRestart(t *testing.T) {
	const limit = 10
	dir := t.TempDir()
	file := filepath.Join(dir, "enrollgate.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "acme: {rate_limits: {orders_per_account: %d/P90D}}\n", limit), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	args := []string{"--config", file, "--data", data}
	key := newKey(t)
	order := func(s *site) error {
		t.Helper()
		c := &acme.Client{Key: key, DirectoryURL: s.directory(t, "privatessl-tls-server"), HTTPClient: trusting(t, filepath.Join(data, "root.pem")),
			RetryBackoff: func(int, *http.Request, *http.Response) time.Duration { return -1 }}
		if _, err := c.Register(t.Context(), &acme.Account{}, acme.AcceptTOS); err != nil && !errors.Is(err, acme.ErrAccountAlreadyExists) {
			t.Fatal(err)
		}
		_, err := c.AuthorizeOrder(t.Context(), acme.DomainIDs("host.example"))
		return err
	}
	limited := func(when string, err error) {
		t.Helper()
		var e *acme.Error
		if !errors.As(err, &e) || e.StatusCode != http.StatusTooManyRequests || e.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %v", when, err)
		}
	}
	s := &site{Process: harness.StartDev(t, args...), flags: append([]string{"--dev"}, args...)}
	for range limit {
		if err := order(s); err != nil {
			t.Fatal(err)
		}
	}
	limited("one more", order(s))
	s.Stop()
	s.Process = harness.StartDev(t, args...)
	for range limit { // as many again would be taken by a daemon that has forgotten
		if err := order(s); err != nil {
			limited("after a restart", err)
			return
		}
		time.Sleep(time.Second) // until it has heard of what was counted before
	}
	t.Error("after a restart nothing is refused")
}
