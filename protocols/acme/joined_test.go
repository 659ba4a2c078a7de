package acme

import (
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/core"
)

// TestPreauthorizedAddress: an address is proven before the order as a name is
// (RFC 8555 section 7.4.1, RFC 8738), and a proof counts only in orders under
// profiles that take its challenge.
func TestPreauthorizedAddress(t *testing.T) {
	b, _, c := newExtended(t, nil)
	prove := func(identifier string) (a authorizationObject) {
		t.Helper()
		r := c.post(c.base+"/new-authz", `{"identifier":`+identifier+`}`)
		if r.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", identifier, r.status, r.body)
		}
		r.into(t, &a)
		c.begin(a)
		return a
	}
	if a := prove(`{"type":"ip","value":"2001:DB8::0:7"}`); a.Identifier != (state.Identifier{Type: "ip", Value: "2001:db8::7"}) || len(a.Challenges) != 2 {
		t.Errorf("%+v", a)
	}
	prove(`{"type":"dns","value":"host.example"}`)
	address, name := state.Identifier{Type: "ip", Value: "2001:db8::7"}, state.Identifier{Type: "dns", Value: "host.example"}
	_, o, _ := c.open(nil, address, name)
	if o.Status != state.Ready {
		t.Fatalf("the order is %s", o.Status)
	}
	leaf, r := c.certificateFor(o, &x509.CertificateRequest{DNSNames: []string{"host.example"}, IPAddresses: []net.IP{net.ParseIP("2001:db8::7")}})
	if leaf == nil || len(leaf.IPAddresses) != 1 || b.validator.count() != 2 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if _, o, _ := c.open(map[string]any{"profile": "short"}, name); o.Status != state.Pending {
		t.Errorf("by http-01 an order is %s whose profile takes dns-01 alone", o.Status)
	}
	if r := c.post(c.base+"/new-authz", `{"identifier":{"type":"ip","value":"fe80::1%eth0"}}`); r.problem(t).Type != urn+typeMalformed {
		t.Errorf("a zone: %s", r.body)
	}
}

// newNamed makes an endpoint that wants bindings and whose profile names the holder by
// the credential, with a variant under the name "again".
func newNamed(t *testing.T) (*bench, further, *credential.Registry, *client) {
	t.Helper()
	p := core.Profile(t, "privatessl-tls-server", func(w *profile.Written) {
		w.ID, w.Title = "named", "For whom the key was given"
		w.Subject = profile.WrittenSubject{Template: []map[string]string{{"O": "<principal>"}, {"SERIALNUMBER": "<serial?>"}}}
	})
	e := ca.Endpoint{ID: "named", Door: caller.ACME, Tenant: "one", CA: "issuing", Profile: "named", Policies: required}
	v := e
	v.ID, v.Of = "named/again", "named"
	more := further{endpoints: []ca.Endpoint{e, v}, profiles: map[string]*profile.Profile{e.ID: p, v.ID: p},
		own: map[string]Own{"named": {Profiles: []Profile{{"again", "The same", "named/again"}}}}}
	b, registry := newBench(t).externalWith(more, required, "https://pki.example/terms-1")
	c := b.client("one")
	c.base = b.server.URL + "/acme/one/issuing/named"
	return b, more, registry, c
}

// TestCredentialClaims: what an external account's key was given for is a claim
// that the profile can use, and nothing that the request says is.
func TestCredentialClaims(t *testing.T) {
	_, _, registry, c := newNamed(t)
	kid, key := made(t, registry, func(k *credential.Credential) { k.Binding.Subject, k.Binding.Device = "Web team", "SN-77" })
	c.kid = c.register(c.bound("HS256", kid, key)).header.Get("Location")
	for _, members := range []map[string]any{nil, {"profile": "again"}} {
		url, o, r := c.open(members, state.Identifier{Type: "dns", Value: "host.example"})
		if r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.body)
		}
		leaf, r := c.certificateFor(c.prove(url, o), &x509.CertificateRequest{DNSNames: []string{"host.example"}})
		if leaf == nil {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if got := leaf.Subject.String(); got != "SERIALNUMBER=SN-77,O=Web team" {
			t.Errorf("%v: subject %s", members, got)
		}
	}
}

// TestVariantAsksTheSame: an order that names a profile is held to the terms and
// to the bindings of its directory.
func TestVariantAsksTheSame(t *testing.T) {
	b, more, registry, c := newNamed(t)
	var d directoryObject
	b.ask(http.MethodGet, c.base+"/directory").into(t, &d)
	if d.Meta.TermsOfService != "https://pki.example/terms-1" || !d.Meta.ExternalAccountRequired || len(d.Meta.Profiles) != 1 {
		t.Errorf("meta %+v", d.Meta)
	}
	// The core's base profile counts, whatever the order names.
	kid, key := made(t, registry, func(k *credential.Credential) { k.Binding.Profile = "other" })
	if r := c.register(c.bound("HS256", kid, key)); r.problem(t).Type != urn+typeUnauthorized {
		t.Errorf("a key for another profile: %s", r.body)
	}
	kid, key = made(t, registry, func(k *credential.Credential) { k.Binding.Profile, k.Binding.Subject = "named", "Web team" })
	c.kid = c.register(c.bound("HS256", kid, key)).header.Get("Location")
	name := state.Identifier{Type: "dns", Value: "host.example"}
	if _, _, r := c.open(map[string]any{"profile": "again"}, name); r.status != http.StatusCreated {
		t.Errorf("%d %s", r.status, r.body)
	}
	next, _ := b.externalWith(more, required, "https://pki.example/terms-2")
	base := next.server.URL + "/acme/one/issuing/named"
	c = &client{b: next, base: base, key: c.key, kid: base + strings.TrimPrefix(c.kid, c.base)}
	for _, members := range []map[string]any{nil, {"profile": "again"}} {
		if _, _, r := c.open(members, name); r.problem(t).Type != urn+typeUserActionRequired {
			t.Errorf("%v under changed terms: %s", members, r.body)
		}
	}
}
