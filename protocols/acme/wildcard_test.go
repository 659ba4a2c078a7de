package acme

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// offers reads what an order's authorizations offer.
func (c *client) offers(o orderObject) (out []string) {
	c.b.t.Helper()
	for _, url := range o.Authorizations {
		var a authorizationObject
		c.post(url, "").into(c.b.t, &a)
		line := a.Identifier.Value
		if a.Wildcard {
			line += " wildcard"
		}
		for _, ch := range a.Challenges {
			line += " " + ch.Type
		}
		out = append(out, line)
	}
	return out
}

// TestWildcard orders a name and the wildcard below it: two authorizations for
// one identifier, of which the wildcard's offers dns-01 alone.
func TestWildcard(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	url, o := c.order("host.example", "*.Host.example", "*.host.example", "*.other.example")
	wantIDs := []state.Identifier{{Type: "dns", Value: "host.example"}, {Type: "dns", Value: "*.host.example"}, {Type: "dns", Value: "*.other.example"}}
	if diff := cmp.Diff(wantIDs, o.Identifiers); diff != "" {
		t.Error(diff)
	}
	want := []string{"host.example http-01 dns-01 tls-alpn-01", "host.example wildcard dns-01", "other.example wildcard dns-01"}
	if diff := cmp.Diff(want, c.offers(o)); diff != "" {
		t.Error(diff)
	}
	wildcard := strings.Replace(o.Authorizations[1], "/authorization/", "/challenge/", 1)
	if r := c.post(wildcard+"/http-01", "{}"); r.status != http.StatusNotFound {
		t.Errorf("http-01 of a wildcard: %d", r.status)
	}
	if o = c.prove(url, o); o.Status != state.Ready {
		t.Fatalf("order is %s: %s", o.Status, o.Error)
	}
	for name, csr := range map[string]string{
		"a wildcard missing":           c.csr("", "host.example", "*.host.example"),
		"the base of a wildcard":       c.csr("", "host.example", "*.host.example", "other.example"),
		"a name under the wildcard":    c.csr("", "host.example", "*.host.example", "*.other.example", "a.host.example"),
		"a wildcard below the ordered": c.csr("", "host.example", "*.a.host.example", "*.other.example"),
	} {
		if p := c.post(o.Finalize, `{"csr":"`+csr+`"}`).problem(t); p.Type != urn+typeBadCSR {
			t.Errorf("%s: %s", name, p.Type)
		}
	}
	r := c.post(o.Finalize, `{"csr":"`+c.csr("*.HOST.example", "*.other.example", "host.example", "*.host.example")+`"}`)
	r.into(t, &o)
	if r.status != http.StatusOK || o.Status != state.Valid {
		t.Fatalf("%d %s", r.status, r.body)
	}
	leaf := b.checkChain(decodePEM(c.post(o.Certificate, "").body), "host.example", "*.host.example", "*.other.example")
	if leaf.Subject.CommonName != "*.host.example" {
		t.Errorf("CN %q", leaf.Subject.CommonName)
	}
}

// TestWildcardNeedsDNS01 offers what has a validator, and nothing else.
func TestWildcardNeedsDNS01(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	_, before := c.order("*.host.example")
	only := func(m claim.Method) {
		e := b.door.endpoints["one/issuing/privatessl-tls-server"]
		e.validators = map[claim.Method]Validator{m: b.validator}
		e.standard = b.door.newVariant(e.ID, e.validators)
	}
	only(claim.HTTP01)
	if p := c.post(c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"*.host.example"}]}`).problem(t); p.Type != urn+typeRejectedIdentifier {
		t.Errorf("a wildcard without dns-01: %s", p.Type)
	}
	_, o := c.order("host.example")
	if diff := cmp.Diff([]string{"host.example http-01"}, c.offers(o)); diff != "" {
		t.Error(diff)
	}
	url := strings.Replace(before.Authorizations[0], "/authorization/", "/challenge/", 1) + "/dns-01"
	if p := c.post(url, "{}").problem(t); p.Type != urn+typeMalformed || !strings.Contains(p.Detail, "not offered any more") {
		t.Errorf("a challenge of before: %s %s", p.Type, p.Detail)
	}
	only(claim.DNS01)
	_, o = c.order("host.example", "*.host.example")
	if diff := cmp.Diff([]string{"host.example dns-01", "host.example wildcard dns-01"}, c.offers(o)); diff != "" {
		t.Error(diff)
	}
}

// TestValidatorsAreChecked refuses a set that cannot work.
func TestValidatorsAreChecked(t *testing.T) {
	b := newBench(t)
	for name, set := range map[string]map[claim.Method]Validator{
		"none":         {},
		"unknown type": {claim.Service: b.validator},
		"nil":          {claim.HTTP01: nil},
	} {
		o := b.door.Options
		o.Validators = set
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	var all []claim.Method
	for _, c := range challengeTypes {
		all = append(all, c.method)
	}
	if !slices.Equal(all, []claim.Method{claim.HTTP01, claim.DNS01, claim.TLSALPN01, claim.DNSAccount01, claim.DeviceAttest01, claim.DNSPersist01}) {
		t.Errorf("order of offers %v", all)
	}
}
