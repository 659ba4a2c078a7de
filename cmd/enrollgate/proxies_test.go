package main

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// told adds the headers that a proxy, or a client that plays one, sends.
type told struct {
	http.RoundTripper
	address string
}

func (h told) RoundTrip(q *http.Request) (*http.Response, error) {
	q = q.Clone(q.Context())
	q.Header.Set("X-Forwarded-For", "198.51.100.1, "+h.address)
	q.Header.Set("Forwarded", "for=198.51.100.2")
	q.Header.Set("X-Real-Ip", "198.51.100.3")
	return h.RoundTripper.RoundTrip(q)
}

// TestClientAddress: the audit rows of certificates name the client that a
// trusted proxy names, and the peer where somebody else sends the header.
func TestClientAddress(t *testing.T) {
	r := startDaemonIn(t, t.TempDir(), "listen: {trusted_proxies: [127.0.0.1/32]}\n")
	direct := r.client.Transport.(*http.Transport)
	elsewhere := direct.Clone()
	elsewhere.DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext
	t.Cleanup(elsewhere.CloseIdleConnections)
	for _, test := range []struct {
		name, want string
		way        http.RoundTripper
	}{
		{"proxied.localhost", "203.0.113.7", told{direct, "203.0.113.7"}},
		{"spoofed.localhost", "127.0.0.2", told{elsewhere, "203.0.113.8"}},
		{"malformed.localhost", "127.0.0.1", told{direct, "unknown"}},
	} {
		r.client.Transport = test.way
		if err := r.enroll(t.Context(), test.name, true); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		found, err := r.store.FindCertificates(t.Context(), &ca.Filter{Tenant: devTenant, CA: devCA, Name: pkix.DNS(test.name), Limit: 10})
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %d certificates, %v", test.name, len(found), err)
		}
		rows, err := r.store.AuditByTrace(t.Context(), devTenant, found[0].Trace)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%s: %d audit rows, %v", test.name, len(rows), err)
		}
		var detail map[string]string
		if err := json.Unmarshal(rows[0].Detail, &detail); err != nil || detail["client"] != test.want {
			t.Errorf("%s: the audit row names %q, want %s: %v", test.name, detail["client"], test.want, err)
		}
	}
	samples := r.scrape()
	for _, outcome := range []string{"taken", "ignored", "malformed"} {
		series := `enrollgate_forwarded_addresses_total{listener="https",outcome="` + outcome + `"}`
		if n := samples[series]; n == "" || n == "0" {
			t.Errorf("%s is %q", series, n)
		}
	}
}
