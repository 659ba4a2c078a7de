package acme

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// recorder is a validator that keeps what it was asked and agrees.
type recorder struct {
	mu    sync.Mutex
	asked []va.Question
	until time.Time
}

func (r *recorder) Validate(_ context.Context, q va.Question) (va.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, q)
	return va.Record{Until: r.until}, nil
}

// below orders names that are to be proven by a name above them.
func (c *client) below(ancestor string, names ...string) (string, orderObject, reply) {
	c.b.t.Helper()
	var ids []map[string]string
	for _, n := range names {
		ids = append(ids, map[string]string{"type": "dns", "value": n, "ancestorDomain": ancestor})
	}
	return c.open(map[string]any{"identifiers": ids})
}

func challengeTypesOf(a authorizationObject) (types []string) {
	for _, ch := range a.Challenges {
		types = append(types, ch.Type)
	}
	return types
}

func withSubdomains(o *Own) { o.Subdomains = true }

// TestSubdomains proves one name and gets certificates for names below it, wildcards
// too (RFC 9444); CAA records of each are looked at.
func TestSubdomains(t *testing.T) {
	caa := &permissions{fail: map[string]error{}}
	_, _, c := newDevices(t, withSubdomains, func(o *Own) { o.CAA, o.CAAIssuers = caa, []string{"ca.example"} })
	var d directoryObject
	c.b.ask(http.MethodGet, c.base+"/directory").into(t, &d)
	if !d.Meta.SubdomainAuthAllowed {
		t.Errorf("meta %+v", d.Meta)
	}
	url, o, r := c.below("corp.example", "a.corp.example", "B.dept.corp.example", "*.corp.example")
	if r.status != http.StatusCreated || len(o.Authorizations) != 1 || len(o.Identifiers) != 3 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	a := c.readAuthorization(o, 0)
	if a.Identifier.Value != "corp.example" || !a.Subdomains || a.Wildcard {
		t.Errorf("%+v", a)
	}
	if diff := cmp.Diff([]string{"dns-01"}, challengeTypesOf(a)); diff != "" { // a file on one host says nothing of others
		t.Error(diff)
	}
	if o = c.prove(url, o); o.Status != state.Ready {
		t.Fatalf("%+v", o)
	}
	names := []string{"a.corp.example", "b.dept.corp.example", "*.corp.example"}
	leaf, r := c.certificateFor(o, &x509.CertificateRequest{DNSNames: names})
	if leaf == nil {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if diff := cmp.Diff(names, leaf.DNSNames); diff != "" {
		t.Error(diff)
	}
	asked := map[va.CAAQuestion]int{}
	for _, q := range caa.asked {
		asked[q]++
	}
	want := map[va.CAAQuestion]int{}
	for _, q := range []va.CAAQuestion{{Domain: "corp.example"}, {Domain: "a.corp.example"}, {Domain: "b.dept.corp.example"}, {Domain: "corp.example", Wildcard: true}} {
		q.Method, q.Account = "dns-01", c.kid
		want[q] = 1
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	caa.fail["c.corp.example"] = &va.Problem{Type: va.TypeCAA, Detail: "not here"}
	url, o, _ = c.below("corp.example", "c.corp.example")
	if _, r := c.certificateFor(c.prove(url, o), &x509.CertificateRequest{DNSNames: []string{"c.corp.example"}}); r.status != http.StatusForbidden || r.problem(t).Type != urn+typeCAA {
		t.Errorf("CAA of a name below: %d %s", r.status, r.body)
	}
}

// TestSubdomainsBefore proves a name with those below it before any order (RFC 9444
// section 4.1): later orders need no challenge, whether they name the ancestor or not.
func TestSubdomainsBefore(t *testing.T) {
	_, _, c := newDevices(t, withSubdomains)
	var a authorizationObject
	r := c.post(c.base+"/new-authz", `{"identifier":{"type":"dns","value":"corp.example"},"subdomainAuthAllowed":true}`)
	r.into(t, &a)
	if r.status != http.StatusCreated || !a.Subdomains {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if answered := c.begin(a); answered.Status != state.Valid {
		t.Fatalf("%+v", answered)
	}
	for what, o := range map[string]func() (string, orderObject, reply){
		"named": func() (string, orderObject, reply) { return c.below("corp.example", "a.corp.example") },
		"not named": func() (string, orderObject, reply) {
			return c.open(nil, state.Identifier{Type: "dns", Value: "a.corp.example"})
		},
	} {
		url, made, r := o()
		if r.status != http.StatusCreated || made.Status != state.Ready {
			t.Fatalf("%s: %d %s", what, r.status, r.body)
		}
		leaf, r := c.certificateFor(c.settled(url), &x509.CertificateRequest{DNSNames: []string{"a.corp.example"}})
		if leaf == nil {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	// The profile goes on deciding: a name that it does not issue is not ordered.
	if _, _, r := c.below("other.example", "a.other.example"); r.problem(t).Type != urn+typeRejectedIdentifier {
		t.Errorf("outside of the profile: %s", r.body)
	}
	if _, o, r := c.open(nil, state.Identifier{Type: "dns", Value: "a.notcorp.corp.example"}); o.Status != state.Ready {
		t.Errorf("deep below: %s", r.body)
	}
	// Where the challenge does not count any more, the name is proven by itself.
	way := c.b.door.endpoints["one/issuing/devices"].standard
	all := way.offers[claim.DNS]
	way.offers[claim.DNS] = []claim.Method{claim.HTTP01}
	if _, o, r := c.open(nil, state.Identifier{Type: "dns", Value: "a.corp.example"}); o.Status != state.Pending || c.readAuthorization(o, 0).Identifier.Value != "a.corp.example" {
		t.Errorf("by a challenge that does not count: %s", r.body)
	}
	way.offers[claim.DNS] = all
	// Another account has proven nothing.
	other := c.b.client("one")
	other.base = c.base
	other.kid = other.post(other.base+"/new-account", `{}`).header.Get("Location")
	if _, o, r := other.below("corp.example", "a.corp.example"); o.Status != state.Pending {
		t.Errorf("another account: %s", r.body)
	}
}

// Without subdomainAuthAllowed a proof is of its name alone.
func TestSubdomainsNotMeant(t *testing.T) {
	_, _, c := newDevices(t, withSubdomains)
	var a authorizationObject
	c.post(c.base+"/new-authz", `{"identifier":{"type":"dns","value":"x.corp.example"}}`).into(t, &a)
	if c.begin(a); a.Subdomains {
		t.Errorf("%+v", a)
	}
	if _, o, r := c.below("x.corp.example", "a.x.corp.example"); o.Status != state.Pending {
		t.Errorf("%s", r.body)
	}
	for what, names := range map[string][2]string{
		"not above":       {"other.corp.example", "a.corp.example"},
		"the name":        {"a.corp.example", "a.corp.example"},
		"below":           {"b.a.corp.example", "a.corp.example"},
		"part of a label": {"orp.example", "a.corp.example"},
		"a wildcard":      {"*.corp.example", "a.corp.example"},
		"no name":         {"c..example", "a.corp.example"},
	} {
		if _, _, r := c.below(names[0], names[1]); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeMalformed {
			t.Errorf("%s: %d %s", what, r.status, r.body)
		}
	}
	_, _, off := newDevices(t)
	_, o, r := off.below("corp.example", "a.corp.example")
	if r.status != http.StatusCreated || off.readAuthorization(o, 0).Identifier.Value != "a.corp.example" {
		t.Errorf("where the directory does not say so it is ignored: %s", r.body)
	}
	off.post(off.base+"/new-authz", `{"identifier":{"type":"dns","value":"x.corp.example"},"subdomainAuthAllowed":true}`).into(t, &a)
	if a.Subdomains {
		t.Errorf("off: %+v", a)
	}
	httpAlone := func(o *Own) { o.Subdomains = true; delete(o.Validators, claim.DNS01) }
	_, _, alone := newDevices(t, httpAlone)
	if _, _, r := alone.below("corp.example", "a.corp.example"); r.problem(t).Type != urn+typeRejectedIdentifier {
		t.Errorf("http-01 alone: %s", r.body)
	}
	if r := alone.post(alone.base+"/new-authz", `{"identifier":{"type":"dns","value":"x.corp.example"},"subdomainAuthAllowed":true}`); r.problem(t).Type != urn+typeRejectedIdentifier {
		t.Errorf("http-01 alone, before an order: %s", r.body)
	}
}

// TestDraftChallenges: interop rule 5 of the field: http-01 stays first, and the
// challenge without a token comes last; each validator is asked what its draft needs.
func TestDraftChallenges(t *testing.T) {
	account, persist := &recorder{}, &recorder{until: time.Now().Add(time.Hour).Truncate(time.Second)}
	for draft, prefix := range map[string]string{"02": "https://pki.example/h/", "00": ""} {
		_, _, c := newDevices(t, func(o *Own) {
			o.Validators[claim.DNSAccount01], o.Validators[claim.DNSPersist01] = account, persist
			o.Persist = Persist{Issuers: []string{"ca.example"}, Prefix: prefix}
		})
		var d directoryObject
		c.b.ask(http.MethodGet, c.base+"/directory").into(t, &d)
		if (d.Meta.AccountHashPrefix != prefix) || (len(d.Meta.IssuerDomainNames) == 1) != (draft == "02") {
			t.Errorf("draft %s: meta %+v", draft, d.Meta)
		}
		old := c.key
		next := fixture.Key(t)
		if r := c.changeKey(old, next, c.kid); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		c.key = next
		url, o, r := c.open(nil, state.Identifier{Type: "dns", Value: "*.a.corp.example"}, state.Identifier{Type: "dns", Value: "a.corp.example"})
		if r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.body)
		}
		wild, plain := c.readAuthorization(o, 0), c.readAuthorization(o, 1)
		if diff := cmp.Diff([]string{"dns-01", "dns-account-01", "dns-persist-01"}, challengeTypesOf(wild)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"}, challengeTypesOf(plain)); diff != "" {
			t.Error(diff)
		}
		for i, ch := range plain.Challenges {
			if (ch.Token == "") != (i == len(plain.Challenges)-1) {
				t.Errorf("%+v", ch)
			}
		}
		last := plain.Challenges[4]
		if (len(last.Issuers) == 1) != (draft == "02") || (len(last.Issuers00) == 1) != (draft == "00") {
			t.Errorf("draft %s: %+v", draft, last)
		}
		c.post(wild.Challenges[2].URL, "{}")
		c.post(plain.Challenges[3].URL, "{}")
		if o = c.settled(url); o.Status != state.Ready {
			t.Fatalf("%+v", o)
		}
		if a := c.readAuthorization(o, 0); !a.Expires.Equal(persist.until) {
			t.Errorf("persistUntil %s, expires %s", persist.until, a.Expires)
		}
		q := persist.asked[len(persist.asked)-1]
		now, before := thumb(c), c.key
		c.key = old
		if want := []string{now, thumb(c)}; !q.Wildcard || q.Account != c.kid || cmp.Diff(want, q.Thumbprints) != "" {
			t.Errorf("asked %+v, want %v", q, want)
		}
		c.key = before
		if q := account.asked[len(account.asked)-1]; q.Account != c.kid || !strings.HasSuffix(q.KeyAuthorization, "."+now) {
			t.Errorf("asked %+v", q)
		}
	}
}

// thumb is the thumbprint of a client's key.
func thumb(c *client) string {
	_, after, _ := strings.Cut(c.keyAuthorization("x"), ".")
	if _, err := base64.RawURLEncoding.DecodeString(after); err != nil {
		c.b.t.Fatal(err)
	}
	return after
}
