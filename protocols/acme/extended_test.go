package acme

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// permissions is a check of CAA records whose answers the test gives.
type permissions struct {
	mu    sync.Mutex
	asked []va.CAAQuestion
	fail  map[string]error
}

func (p *permissions) Check(_ context.Context, q va.CAAQuestion) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, q)
	return p.fail[q.Domain]
}

// newExtended makes a bench with a further endpoint of tenant one: addresses are
// issued there, a second profile may be named, and CAA records count.
func newExtended(t *testing.T, now func() time.Time) (*bench, *permissions, *client) {
	t.Helper()
	compiled := func(id, title string, change func(*profile.Written)) *profile.Profile {
		return core.Profile(t, "privatessl-tls-server", func(w *profile.Written) {
			w.ID, w.Title = id, title
			w.SubjectAltName.DNS.Min = 0
			w.SubjectAltName.IP = &profile.WrittenNames{Methods: []string{"http-01", "tls-alpn-01"}, Allow: []string{"192.0.2.0/24", "2001:db8::/32"}}
		}, change)
	}
	policies := [][]caller.Method{{caller.ACMEAccount}}
	caa := &permissions{fail: map[string]error{}}
	b := newBenchWith(t, openSQLite(t), further{now: now,
		endpoints: []ca.Endpoint{
			{ID: "extended", Door: caller.ACME, Tenant: "one", CA: "issuing", Profile: "addresses", Policies: policies},
			{ID: "extended/short", Of: "extended", Door: caller.ACME, Tenant: "one", CA: "issuing", Profile: "short", Policies: policies},
		},
		profiles: map[string]*profile.Profile{
			"extended": compiled("addresses", "Names and addresses", func(*profile.Written) {}),
			"extended/short": compiled("short", "Six days, names alone", func(w *profile.Written) {
				w.Validity.Default, w.SubjectAltName.IP, w.SubjectAltName.DNS.Methods = "P6D", nil, []string{"dns-01"}
			}),
		},
		own: map[string]Own{"extended": {CAA: caa, CAAIssuers: []string{"ca.example"},
			Profiles: []Profile{{"short", "Six days, names alone", "extended/short"}, {"plain", "Names and addresses", "extended"}}}},
	})
	c := b.client("one")
	c.base = b.server.URL + "/acme/one/issuing/addresses"
	r := c.post(c.base+"/new-account", `{}`)
	if r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	c.kid = r.header.Get("Location")
	return b, caa, c
}

// open opens an order with any members.
func (c *client) open(members map[string]any, identifiers ...state.Identifier) (string, orderObject, reply) {
	c.b.t.Helper()
	payload := map[string]any{"identifiers": identifiers}
	for k, v := range members {
		payload[k] = v
	}
	text, err := json.Marshal(payload)
	if err != nil {
		c.b.t.Fatal(err)
	}
	var o orderObject
	r := c.post(c.base+"/new-order", string(text))
	if r.status == http.StatusCreated {
		r.into(c.b.t, &o)
	}
	return r.header.Get("Location"), o, r
}

// certificateFor finishes a proven order with a CSR.
func (c *client) certificateFor(o orderObject, template *x509.CertificateRequest) (*x509.Certificate, reply) {
	c.b.t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, fixture.Key(c.b.t))
	if err != nil {
		c.b.t.Fatal(err)
	}
	r := c.post(o.Finalize, fmt.Sprintf(`{"csr":%q}`, base64.RawURLEncoding.EncodeToString(der)))
	if r.status != http.StatusOK {
		return nil, r
	}
	r.into(c.b.t, &o)
	leaf, err := x509.ParseCertificate(decodePEM(c.post(o.Certificate, "").body)[0])
	if err != nil {
		c.b.t.Fatal(err)
	}
	return leaf, r
}

func TestDirectoryMeta(t *testing.T) {
	b, _, c := newExtended(t, nil)
	var d directoryObject
	b.ask(http.MethodGet, c.base+"/directory").into(t, &d)
	want := metaObject{CAAIdentities: []string{"ca.example"}, Profiles: map[string]string{"short": "Six days, names alone", "plain": "Names and addresses"}}
	if diff := cmp.Diff(want, d.Meta); diff != "" {
		t.Error(diff)
	}
	d = directoryObject{}
	b.ask(http.MethodGet, b.server.URL+"/acme/one/issuing/privatessl-tls-server/directory").into(t, &d)
	if !d.Meta.IsZero() {
		t.Errorf("meta of an endpoint that has nothing to say: %+v", d.Meta)
	}
}

// TestAddresses orders names and addresses together (RFC 8738).
func TestAddresses(t *testing.T) {
	b, caa, c := newExtended(t, nil)
	url, o, r := c.open(nil, state.Identifier{Type: "ip", Value: "192.0.2.7"}, state.Identifier{Type: "ip", Value: "2001:DB8:0::7"},
		state.Identifier{Type: "ip", Value: "2001:db8::7"}, state.Identifier{Type: "dns", Value: "Host.example"})
	if r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	want := []state.Identifier{{Type: "ip", Value: "192.0.2.7"}, {Type: "ip", Value: "2001:db8::7"}, {Type: "dns", Value: "host.example"}}
	if diff := cmp.Diff(want, o.Identifiers); diff != "" {
		t.Error(diff)
	}
	offers := []string{"192.0.2.7 http-01 tls-alpn-01", "2001:db8::7 http-01 tls-alpn-01", "host.example http-01 dns-01 tls-alpn-01"}
	if diff := cmp.Diff(offers, c.offers(o)); diff != "" {
		t.Error(diff)
	}
	if o = c.prove(url, o); o.Status != state.Ready {
		t.Fatalf("%s: %s", o.Status, o.Error)
	}
	if len(caa.asked) != 1 || caa.asked[0] != (va.CAAQuestion{Domain: "host.example", Method: "http-01", Account: c.kid}) {
		t.Errorf("CAA records were asked for %+v: only those of names, with the account and the method", caa.asked)
	}
	addresses := []net.IP{net.ParseIP("2001:db8::7"), net.ParseIP("192.0.2.7").To4()}
	for name, csr := range map[string]*x509.CertificateRequest{
		"an address missing":    {DNSNames: []string{"host.example"}, IPAddresses: addresses[:1]},
		"another address":       {DNSNames: []string{"host.example"}, IPAddresses: append([]net.IP{net.ParseIP("192.0.2.8").To4()}, addresses...)},
		"an address as a name":  {DNSNames: []string{"host.example", "192.0.2.7"}, IPAddresses: addresses[:1]},
		"CN is another address": {Subject: stdpkix.Name{CommonName: "192.0.2.8"}, DNSNames: []string{"host.example"}, IPAddresses: addresses},
	} {
		leaf, r := c.certificateFor(o, csr)
		if leaf != nil || r.problem(t).Type != urn+typeBadCSR {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	leaf, r := c.certificateFor(o, &x509.CertificateRequest{DNSNames: []string{"host.example"}, IPAddresses: addresses})
	if leaf == nil || len(leaf.IPAddresses) != 2 || !leaf.IPAddresses[0].Equal(addresses[0]) || len(leaf.DNSNames) != 1 || leaf.Subject.CommonName != "host.example" {
		t.Errorf("%d %s %+v", r.status, r.body, leaf)
	}
	for value, typ := range map[string]string{"198.51.100.1": typeRejectedIdentifier, "192.0.2.7/24": typeMalformed, "fe80::1%eth0": typeMalformed, "::ffff:192.0.2.7": typeMalformed,
		"192.0.2.07": typeMalformed, "host.example": typeMalformed, "": typeMalformed} {
		if _, _, r := c.open(nil, state.Identifier{Type: "ip", Value: value}); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typ {
			t.Errorf("%q: %d %s, want %s", value, r.status, r.body, typ)
		}
	}
	url, o, _ = c.open(nil, state.Identifier{Type: "ip", Value: "192.0.2.9"})
	o = c.prove(url, o)
	if leaf, r := c.certificateFor(o, &x509.CertificateRequest{}); leaf == nil || len(leaf.IPAddresses) != 1 || leaf.Subject.CommonName != "" {
		t.Errorf("an address alone, asked for by the order alone: %d %s", r.status, r.body)
	}
	url, o, _ = c.open(nil, state.Identifier{Type: "ip", Value: "192.0.2.9"}, state.Identifier{Type: "dns", Value: "a.example"})
	o = c.prove(url, o)
	leaf, r = c.certificateFor(o, &x509.CertificateRequest{Subject: stdpkix.Name{CommonName: "192.0.2.9"}, DNSNames: []string{"a.example"}}) // as clients do whose first name is an address
	if leaf == nil || len(leaf.IPAddresses) != 1 || len(leaf.DNSNames) != 1 || leaf.Subject.CommonName != "a.example" {
		t.Errorf("an address as the CN: %d %s", r.status, r.body)
	}
	if b.validator.count() != 3+1+2 {
		t.Errorf("%d validations", b.validator.count())
	}
}

// TestProfiles: an order names one of the directory's profiles, shows it, and is
// issued under it, through one and the same account.
func TestProfiles(t *testing.T) {
	b, _, c := newExtended(t, nil)
	host := state.Identifier{Type: "dns", Value: "host.example"}
	for name, want := range map[string]struct {
		profile string
		days    int
		offers  string
	}{
		"":      {"addresses", 365, "host.example http-01 dns-01 tls-alpn-01"},
		"plain": {"addresses", 365, "host.example http-01 dns-01 tls-alpn-01"},
		"short": {"short", 6, "host.example dns-01"},
	} {
		members := map[string]any{"profile": name}
		if name == "" {
			members = nil
		}
		url, o, r := c.open(members, host)
		if r.status != http.StatusCreated || o.Profile != name {
			t.Fatalf("%q: %d %s", name, r.status, r.body)
		}
		if diff := cmp.Diff([]string{want.offers}, c.offers(o)); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
		if o = c.prove(url, o); o.Profile != name {
			t.Errorf("%q: the order later shows %q", name, o.Profile)
		}
		leaf, r := c.certificateFor(o, &x509.CertificateRequest{DNSNames: []string{"host.example"}})
		if leaf == nil {
			t.Fatalf("%q: %d %s", name, r.status, r.body)
		}
		if days := int(leaf.NotAfter.Sub(leaf.NotBefore).Hours()+1) / 24; days != want.days {
			t.Errorf("%q: %d days", name, days)
		}
		serial := ca.Serial(leaf.SerialNumber.FillBytes(make([]byte, ca.SerialSize)))
		recorded, err := b.store.Certificate(t.Context(), "one", "issuing", serial)
		if err != nil || recorded.Profile != want.profile || recorded.Endpoint != "extended" {
			t.Errorf("%q: recorded %+v, %v", name, recorded, err)
		}
		if r := c.revoke(leaf.Raw, ""); r.status != http.StatusOK {
			t.Errorf("%q: revoked by its account: %d %s", name, r.status, r.body)
		}
	}
	for _, name := range []string{"privatessl-tls-server", "addresses", "extended/short", "Short", strings.Repeat("x", 300)} {
		_, _, r := c.open(map[string]any{"profile": name}, host)
		if p := r.problem(t); p.Type != urn+typeInvalidProfile || !strings.Contains(p.Detail, "plain, short") {
			t.Errorf("%.30q: %d %s", name, r.status, r.body)
		}
	}
	if _, _, r := c.open(map[string]any{"profile": "short"}, state.Identifier{Type: "ip", Value: "192.0.2.1"}); r.problem(t).Type != urn+typeRejectedIdentifier {
		t.Errorf("an address under the profile without: %s", r.body)
	}
	url, o, _ := c.open(map[string]any{"profile": "short"}, host)
	o = c.prove(url, o)
	delete(b.door.endpoints["one/issuing/addresses"].variants, "short") // a reload took it out
	if leaf, r := c.certificateFor(o, &x509.CertificateRequest{DNSNames: []string{"host.example"}}); leaf != nil || r.problem(t).Type != urn+typeInvalidProfile {
		t.Errorf("a profile that is gone: %d %s", r.status, r.body)
	}
}

// TestCAARecords: they are asked when a name is validated, and again before a
// certificate is issued for a validation of long ago.
func TestCAARecords(t *testing.T) {
	var later time.Duration
	var mu sync.Mutex
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(later)
	}
	_, caa, c := newExtended(t, now)
	forbidden := &va.Problem{Type: va.TypeCAA, Detail: "the CAA records of bad.example do not allow this"}
	caa.fail["bad.example"] = forbidden
	url, o, _ := c.open(nil, state.Identifier{Type: "dns", Value: "bad.example"})
	if o = c.prove(url, o); o.Status != state.Invalid || !strings.Contains(string(o.Error), urn+"caa") {
		t.Errorf("%s %s", o.Status, o.Error)
	}
	url, o, _ = c.open(nil, state.Identifier{Type: "dns", Value: "host.example"}, state.Identifier{Type: "dns", Value: "*.wild.example"})
	if o = c.prove(url, o); o.Status != state.Ready {
		t.Fatalf("%s %s", o.Status, o.Error)
	}
	asked := len(caa.asked)
	if last := caa.asked[asked-1]; last != (va.CAAQuestion{Domain: "wild.example", Wildcard: true, Method: "dns-01", Account: c.kid}) {
		t.Errorf("of a wildcard: %+v", last)
	}
	csr := &x509.CertificateRequest{DNSNames: []string{"host.example", "*.wild.example"}}
	mu.Lock()
	later = 9 * time.Hour
	mu.Unlock()
	c.nonce = "" // has expired
	caa.fail["host.example"] = forbidden
	leaf, r := c.certificateFor(o, csr)
	if p := r.problem(t); leaf != nil || r.status != http.StatusForbidden || p.Type != urn+typeCAA || len(p.Subproblems) != 1 || p.Subproblems[0].Identifier.Value != "host.example" {
		t.Errorf("%d %s", r.status, r.body)
	}
	if len(caa.asked) != asked+2 {
		t.Errorf("%d questions before issuing, want 2", len(caa.asked)-asked)
	}
	delete(caa.fail, "host.example")
	if leaf, r := c.certificateFor(o, csr); leaf == nil {
		t.Errorf("once it is allowed again: %d %s", r.status, r.body)
	}
}
