package acme

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/test/core"
)

// joseClient holds its conversation with keys of any kind, signing with go-jose.
type joseClient struct {
	*client
	alg jose.SignatureAlgorithm
	own crypto.Signer
}

func (c *joseClient) say(url, payload string) reply {
	c.b.t.Helper()
	options := &jose.SignerOptions{NonceSource: staticNonce(c.freshNonce()), EmbedJWK: c.kid == ""}
	key := any(c.own)
	if c.kid != "" {
		key = jose.JSONWebKey{Key: c.own, KeyID: c.kid}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: c.alg, Key: key}, options.WithHeader("url", url))
	if err != nil {
		c.b.t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(payload))
	if err != nil {
		c.b.t.Fatal(err)
	}
	return c.send(url, signed.FullSerialize())
}

// TestAccountKeys issues for an account of each key algorithm (RFC 8555 section
// 6.2), from its registration to the certificate.
func TestAccountKeys(t *testing.T) {
	b := newBench(t)
	for alg, key := range testKeys() {
		t.Run(string(alg), func(t *testing.T) {
			c := &joseClient{b.client("one"), alg, key}
			r := c.say(c.base+"/new-account", `{"contact":["mailto:a@example.com"]}`)
			if r.status != http.StatusCreated {
				t.Fatalf("%d %s", r.status, r.body)
			}
			account := r.header.Get("Location")
			if r = c.say(c.base+"/new-account", `{"onlyReturnExisting":true}`); r.status != http.StatusOK || r.header.Get("Location") != account {
				t.Errorf("found again: %d %s", r.status, r.body)
			}
			c.kid = account
			var o orderObject
			c.say(c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"host.example"}]}`).into(t, &o)
			var a authorizationObject
			c.say(o.Authorizations[0], "").into(t, &a)
			c.say(a.Challenges[0].URL, "{}")
			b.door.validations.running.Wait()
			c.say(o.Finalize, `{"csr":"`+c.csr("", "host.example")+`"}`).into(t, &o)
			if o.Status != state.Valid {
				t.Errorf("the order is %s", o.Status)
			}
		})
	}
}

// TestRequestKeys: the profile says which keys are certified; Ed25519 is one where
// it does, and refused by name elsewhere.
func TestRequestKeys(t *testing.T) {
	p := core.Profile(t, "privatessl-tls-server", func(w *profile.Written) {
		w.ID, w.Title, w.Keys = "edwards", "Ed25519 alone", []string{"ed25519"}
	})
	b := newBenchWith(t, openSQLite(t), further{profiles: map[string]*profile.Profile{"edwards": p}, endpoints: []ca.Endpoint{
		{ID: "edwards", Door: caller.ACME, Tenant: "one", CA: "issuing", Profile: "edwards", Policies: [][]caller.Method{{caller.ACMEAccount}}}}})
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"edwards", "privatessl-tls-server"} {
		c := b.client("one")
		c.base = b.server.URL + "/acme/one/issuing/" + where
		c.kid = c.post(c.base+"/new-account", "{}").header.Get("Location")
		for _, key := range []crypto.Signer{edwards, curve} {
			_, isEdwards := key.(ed25519.PrivateKey)
			want := isEdwards == (where == "edwards")
			url, o := c.order("host.example")
			o = c.prove(url, o)
			r := c.post(o.Finalize, `{"csr":"`+c.csrWith(key, "", "host.example")+`"}`)
			if want != (r.status == http.StatusOK) || !want && r.problem(t).Type != urn+typeBadCSR {
				t.Errorf("%T under %s: %d %s", key, where, r.status, r.body)
			}
		}
	}
}

// TestContacts: which contacts an account may have (RFC 8555 section 7.3).
func TestContacts(t *testing.T) {
	b := newBench(t)
	b.door.MaxContacts = 2
	c := b.registered("one")
	for contact, want := range map[string]string{
		`[]`: "", `["mailto:a@example.com"]`: "", `["MAILTO:a@example.com","mailto:b@example.com"]`: "",
		`["mailto:a@example.com","mailto:b@example.com","mailto:c@example.com"]`: typeInvalidContact,
		`["mailto:a@example.com?subject=x"]`:                                     typeInvalidContact,
		`["mailto:a@example.com,b@example.com"]`:                                 typeInvalidContact,
		`["mailto:"]`:                                                            typeInvalidContact,
		`["mailto:Name <a@example.com>"]`:                                        typeInvalidContact,
		`["mailto:ä@example.com"]`:                                               typeInvalidContact,
		`["mailto:` + strings.Repeat("a", 400) + `@example.com"]`:                typeInvalidContact,
		`["https://example.com"]`:                                                typeUnsupportedContact,
		`["a@example.com"]`:                                                      typeUnsupportedContact,
		`"mailto:a@example.com"`:                                                 typeMalformed,
	} {
		for what, r := range map[string]reply{"an update": c.post(c.kid, `{"contact":`+contact+`}`),
			"newAccount": b.client("one").post(c.base+"/new-account", `{"contact":`+contact+`}`)} {
			if want == "" && r.status >= 300 || want != "" && r.problem(t).Type != urn+want {
				t.Errorf("%s of %s: %d %s, want %q", what, contact, r.status, r.body, want)
			}
		}
	}
	var before, after accountObject
	c.post(c.kid, `{"contact":["mailto:kept@example.com"]}`).into(t, &before)
	c.post(c.kid, `{"contact":["tel:+1"]}`)
	c.post(c.kid, "").into(t, &after)
	if len(after.Contact) != 1 || after.Contact[0] != "mailto:kept@example.com" {
		t.Errorf("after a refused update: %q", after.Contact)
	}
}

// TestOnlyReturnExisting finds and never makes (RFC 8555 section 7.3.1).
func TestOnlyReturnExisting(t *testing.T) {
	b := newBench(t)
	c := b.client("one")
	for range 2 {
		if r := c.post(c.base+"/new-account", `{"onlyReturnExisting":true,"termsOfServiceAgreed":true}`); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeAccountDoesNotExist {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	made := c.post(c.base+"/new-account", `{"contact":["mailto:a@example.com"]}`)
	r := c.post(c.base+"/new-account", `{"onlyReturnExisting":true,"contact":["mailto:other@example.com"]}`)
	var a accountObject
	if r.into(t, &a); r.status != http.StatusOK || r.header.Get("Location") != made.header.Get("Location") || a.Contact[0] != "mailto:a@example.com" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestBadNonceIsFollowedUp: the reply to a nonce that does not count carries one
// that does (RFC 8555 section 6.5), for reads and for what changes something.
func TestBadNonceIsFollowedUp(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	for url, payload := range map[string]string{c.kid: "", c.base + "/new-order": `{"identifiers":[{"type":"dns","value":"a.example"}]}`} {
		for nonce, want := range map[string]string{"bm9uY2U": typeBadNonce, strings.Repeat("A", 64): typeBadNonce,
			"": typeMalformed, "not base64url!": typeMalformed, strings.Repeat("A", 4000): typeMalformed} { // section 6.5.2
			r := c.send(url, c.sign(nonce, url, payload))
			if r.status != http.StatusBadRequest || r.problem(t).Type != urn+want {
				t.Errorf("%.20q: %d %s", nonce, r.status, r.body)
			}
			if r = c.post(url, payload); r.status >= 300 { // with the nonce of that reply
				t.Errorf("after %.20q: %d %s", nonce, r.status, r.body)
			}
		}
	}
}

// TestAuthorizationEnds: a name that its account gives up ends its orders (RFC
// 8555 sections 7.5.2 and 7.1.6), once.
func TestAuthorizationEnds(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	for _, proven := range []bool{false, true} {
		url, o := c.order("a.example", "b.example")
		if proven {
			o = c.prove(url, o)
		}
		for i, want := range []int{http.StatusOK, http.StatusConflict} {
			if r := c.post(o.Authorizations[0], `{"status":"deactivated"}`); r.status != want {
				t.Errorf("deactivation %d: %d %s", i, r.status, r.body)
			}
		}
		if o = c.settled(url); o.Status != state.Invalid {
			t.Errorf("proven %v: the order is %s", proven, o.Status)
		}
		if r := c.post(o.Finalize, `{"csr":"`+c.csr("", "a.example", "b.example")+`"}`); r.problem(t).Type != urn+typeOrderNotReady {
			t.Errorf("finalize: %s", r.body)
		}
	}
	for _, status := range []string{"valid", "revoked", "x"} {
		_, o := c.order("a.example")
		if r := c.post(o.Authorizations[0], fmt.Sprintf(`{"status":%q}`, status)); r.problem(t).Type != urn+typeMalformed {
			t.Errorf("status %s: %s", status, r.body)
		}
	}
}

// TestNothingIsReadByGET: what belongs to an account is read by POST alone (RFC
// 8555 section 6.3). A new resource is tried by itself.
func TestNothingIsReadByGET(t *testing.T) {
	b := newBench(t)
	c := b.client("one")
	open := map[string]bool{"/directory": true, "/new-nonce": true, "/renewal-info/{id}": true}
	for _, res := range resources {
		if open[res.path] {
			continue
		}
		if res.method != http.MethodPost {
			t.Errorf("%s answers %s", res.path, res.method)
		}
		url := c.base + strings.NewReplacer("{id}", "X", "{type}", "http-01", "{chain}", "1", "{after}", "X").Replace(res.path)
		if r := b.ask(http.MethodGet, url); r.status != http.StatusMethodNotAllowed || r.problem(t).Type != urn+typeMalformed {
			t.Errorf("GET %s: %d %s", res.path, r.status, r.body)
		}
	}
}

// TestRetriesAreSeen: while a validation is tried again, its client sees why the
// last attempt failed and when to ask again (RFC 8555 section 8.2).
func TestRetriesAreSeen(t *testing.T) {
	b := newBench(t)
	b.door.Patience = 1
	b.validator.gate = make(chan struct{})
	b.validator.fail["host.example"] = &va.Problem{Type: va.TypeConnection, Detail: "no answer from host.example"}
	c := b.registered("one")
	o, a := c.authorization("host.example")
	r := c.post(a.Challenges[0].URL, "{}")
	var ch challengeObject
	if r.into(t, &ch); ch.Status != state.Processing || r.header.Get("Retry-After") == "" {
		t.Errorf("challenge: %s, Retry-After %q", r.body, r.header.Get("Retry-After"))
	}
	r = c.post(o.Authorizations[0], "")
	if r.into(t, &a); a.Status != state.Pending || r.header.Get("Retry-After") == "" {
		t.Errorf("authorization: %s, Retry-After %q", r.body, r.header.Get("Retry-After"))
	}
	close(b.validator.gate)
	b.door.validations.running.Wait()
	c.post(o.Authorizations[0], "").into(t, &a)
	var why problem
	if err := json.Unmarshal(a.Challenges[0].Error, &why); err != nil || why.Type != urn+va.TypeConnection || !strings.Contains(why.Detail, "no answer") {
		t.Errorf("%s, %v", a.Challenges[0].Error, err)
	}
	if a.Status != state.Invalid {
		t.Errorf("the authorization is %s", a.Status)
	}
	if r := c.post(a.Challenges[0].URL, `{"keyAuthorization":"x"}`); r.status >= 500 { // older clients send it
		t.Errorf("%d %s", r.status, r.body)
	}
}
