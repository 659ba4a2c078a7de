package outbound

import (
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

// zoneServer answers for one zone as its own server does: without recursion, and
// with nothing of other zones.
func zoneServer(t *testing.T, authoritative *atomic.Bool, records ...string) string {
	t.Helper()
	inner := dnstest.New(t, records...)
	return dnstest.Serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
		if ask.RecursionDesired {
			t.Error("an authoritative server was asked for recursion")
		}
		inner.ServeDNS(&authoritativeWriter{w, authoritative.Load()}, ask)
	}))
}

type authoritativeWriter struct {
	dns.ResponseWriter
	authoritative bool
}

func (w *authoritativeWriter) WriteMsg(m *dns.Msg) error {
	m.Authoritative = w.authoritative
	return w.ResponseWriter.WriteMsg(m)
}

// TestAuthoritative: the zone's own server is asked, whatever the recursive one
// has in its cache; aliases are followed into the same and other zones.
func TestAuthoritative(t *testing.T) {
	var own atomic.Bool
	own.Store(true)
	addr := netip.MustParseAddrPort(zoneServer(t, &own,
		`_acme-challenge.host.example. 1 IN TXT "fresh"`,
		`_acme-challenge.alias.example. 1 IN CNAME away.other.example.`,
		`_acme-challenge.dangling.example. 1 IN CNAME nowhere.other.example.`,
		`away.other.example. 1 IN TXT "elsewhere"`,
		`host.example. 1 IN CAA 0 issue "ca.example"`,
		`example. 1 IN CAA 0 issue ";"`))
	recursive := dnstest.New(t,
		`example. 1 IN NS ns.example.`, `example. 1 IN NS gone.example.`, `other.example. 1 IN NS ns.example.`, `ns.example. 1 IN A 127.0.0.1`,
		`lame.test. 1 IN NS ns.example.`, `inside.test. 1 IN NS ns.inside.test.`, `ns.inside.test. 1 IN A 10.0.0.1`, `lost.test. 1 IN NS gone.test.`,
		`_acme-challenge.host.example. 1 IN TXT "stale"`)
	r, err := NewResolver(ResolverConfig{Servers: []string{recursive.Addr}, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := NewPolicy([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	if err != nil {
		t.Fatal(err)
	}
	a := NewAuthoritative(r, policy)
	a.port = addr.Port()
	for name, want := range map[string]string{
		"_acme-challenge.host.example":     "fresh",
		"_acme-challenge.alias.example":    "elsewhere",
		"_acme-challenge.dangling.example": "!NXDOMAIN",
		"_acme-challenge.none.example":     "!NXDOMAIN",
		"_acme-challenge.inside.test":      "!not permitted targets",
		"_acme-challenge.lost.test":        "!have no address",
		"_acme-challenge.nobody":           "!no zone above it",
		"a b":                              "!not a DNS host name",
	} {
		got, err := a.LookupTXT(t.Context(), name)
		if text, fails := strings.CutPrefix(want, "!"); fails {
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Public(), text) || strings.Contains(e.Public(), "10.0.0.1") {
				t.Errorf("%s: %v, %v; want %q", name, got, err, text)
			}
		} else if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, want := range map[string][]CAA{"host.example": {{false, "issue", "ca.example"}}, "example": {{false, "issue", ";"}}, "x.example": nil} {
		got, err := a.LookupCAA(t.Context(), name)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	own.Store(false)
	var e *Error
	if _, err := a.LookupCAA(t.Context(), "x.example"); !errors.As(err, &e) || !strings.Contains(e.Reason, "does not answer for it") {
		t.Errorf("a lame server: %v", err)
	}
}
