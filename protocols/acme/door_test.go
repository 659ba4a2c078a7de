package acme

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestLibraryClient runs the whole conversation with a client that nobody here wrote.
func TestLibraryClient(t *testing.T) {
	b := newBench(t)
	key := fixture.Key(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c := &acme.Client{Key: key, HTTPClient: b.server.Client(), DirectoryURL: b.server.URL + "/acme/one/issuing/privatessl-tls-server/directory"}
	if _, err := c.Register(ctx, &acme.Account{Contact: []string{"mailto:a@example.com"}}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	order, err := c.AuthorizeOrder(ctx, acme.DomainIDs("host.example", "www.host.example"))
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range order.AuthzURLs {
		z, err := c.GetAuthorization(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Accept(ctx, z.Challenges[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := c.WaitAuthorization(ctx, url); err != nil {
			t.Fatal(err)
		}
	}
	if order, err = c.WaitOrder(ctx, order.URI); err != nil {
		t.Fatal(err)
	}
	leaf := fixture.Key(t)
	chain, _, err := c.CreateOrderCert(ctx, order.FinalizeURL, fixture.CSR(t, leaf, "", "www.host.example", "host.example"), true)
	if err != nil {
		t.Fatal(err)
	}
	b.checkChain(chain, "host.example", "www.host.example")
}

// checkChain verifies a DER chain, leaf first, for server use and its names.
func (b *bench) checkChain(chain [][]byte, names ...string) *x509.Certificate {
	b.t.Helper()
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		b.t.Fatal(err)
	}
	above := x509.NewCertPool()
	for _, der := range chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			b.t.Fatal(err)
		}
		above.AddCert(c)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: b.roots, Intermediates: above}); err != nil {
		b.t.Fatal(err)
	}
	got := slices.Sorted(slices.Values(leaf.DNSNames))
	if want := slices.Sorted(slices.Values(names)); !slices.Equal(got, want) {
		b.t.Errorf("certificate names %q, want %q", got, want)
	}
	return leaf
}

func decodePEM(data []byte) (chain [][]byte) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		chain = append(chain, block.Bytes)
	}
	return chain
}

// TestDirectoryAdvertisesWhatWorks asks every URL of the directory.
func TestDirectoryAdvertisesWhatWorks(t *testing.T) {
	b := newBench(t)
	c := b.client("one")
	resp, err := b.server.Client().Get(c.base + "/directory")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var urls map[string]string
	body := reply{status: resp.StatusCode, header: resp.Header}
	if body.body, err = readAll(resp); err != nil {
		t.Fatal(err)
	}
	body.into(t, &urls)
	if urls["renewalInfo"] != c.base+"/renewal-info" { // RFC 9773 section 4.1: what is asked is below it, and with GET
		t.Errorf("renewalInfo is at %q", urls["renewalInfo"])
	}
	delete(urls, "renewalInfo")
	for name, url := range urls {
		r := c.post(url, `{}`)
		if r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed && name != "newNonce" || r.status >= 500 {
			t.Errorf("%s at %s answers %d", name, url, r.status)
		}
	}
	if len(urls) == 0 {
		t.Error("empty directory")
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	c, other, foreign := b.registered("one"), b.registered("one"), b.registered("two")
	orderURL, order := c.order("host.example")
	_, foreignOrder := foreign.order("host.example")
	nonce := c.freshNonce()
	if r := c.send(c.kid, c.sign(nonce, c.kid, "")); r.status != http.StatusOK {
		t.Fatal(r.status)
	}
	post := func(who *client, url, payload string) func() reply {
		return func() reply { return who.post(url, payload) }
	}
	raw := func(make func() string) func() reply {
		return func() reply { return c.send(c.kid, make()) }
	}
	for name, test := range map[string]struct {
		do     func() reply
		status int
		typ    string
	}{
		"replayed nonce":     {raw(func() string { return c.sign(nonce, c.kid, "") }), 400, typeBadNonce},
		"made-up nonce":      {raw(func() string { return c.sign("bm9uY2U", c.kid, "") }), 400, typeBadNonce},
		"another URL signed": {raw(func() string { return c.sign(c.freshNonce(), c.base+"/new-order", "") }), 401, typeUnauthorized},
		"garbage":            {raw(func() string { return "garbage" }), 400, typeMalformed},
		"too long":           {raw(func() string { return strings.Repeat("x", maxBody+1) }), 413, typeMalformed},
		"unknown account": {raw(func() string {
			return c.signHeader(fmt.Sprintf(`{"alg":"ES256","kid":%q,"nonce":%q,"url":%q}`, c.base+"/account/NOBODY", c.freshNonce(), c.kid), "")
		}), 400, typeAccountDoesNotExist},
		"account of a tenant": {raw(func() string {
			return c.signHeader(fmt.Sprintf(`{"alg":"ES256","kid":%q,"nonce":%q,"url":%q}`, foreign.kid, c.freshNonce(), c.kid), "")
		}), 400, typeAccountDoesNotExist},
		"another's key": {raw(func() string {
			return other.signHeader(fmt.Sprintf(`{"alg":"ES256","kid":%q,"nonce":%q,"url":%q}`, c.kid, c.freshNonce(), c.kid), "")
		}), 400, typeMalformed},
		"unknown algorithm": {raw(func() string {
			return c.signHeader(fmt.Sprintf(`{"alg":"HS256","kid":%q,"nonce":%q,"url":%q}`, c.kid, c.freshNonce(), c.kid), "")
		}), 400, typeBadSignatureAlgorithm},
		"another's account":               {post(other, c.kid, ""), 404, typeMalformed},
		"another's order":                 {post(other, orderURL, ""), 404, typeMalformed},
		"another's authorization":         {post(other, order.Authorizations[0], ""), 404, typeMalformed},
		"another's finalize":              {post(other, order.Finalize, `{"csr":""}`), 404, typeMalformed},
		"another tenant's authorization":  {post(c, strings.Replace(foreignOrder.Authorizations[0], "/two/", "/one/", 1), ""), 404, typeMalformed},
		"read with a payload":             {post(c, orderURL, "{}"), 400, typeMalformed},
		"no identifier":                   {post(c, c.base+"/new-order", `{"identifiers":[]}`), 400, typeMalformed},
		"unsupported identifier":          {post(c, c.base+"/new-order", `{"identifiers":[{"type":"email","value":"a@host.example"}]}`), 400, typeUnsupportedIdentifier},
		"address under a profile without": {post(c, c.base+"/new-order", `{"identifiers":[{"type":"ip","value":"192.0.2.1"}]}`), 400, typeRejectedIdentifier},
		"unknown profile":                 {post(c, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"a.example"}],"profile":"short"}`), 400, typeInvalidProfile},
		"replaces nothing":                {post(c, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"a.example"}],"replaces":"AAAA.AAAA"}`), 404, typeMalformed},
		"address as a name":               {post(c, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"192.0.2.1"}]}`), 400, typeRejectedIdentifier},
		"U-label":                         {post(c, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"bücher.example"}]}`), 400, typeRejectedIdentifier},
		"wildcard in the middle":          {post(c, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"a.*.example"}]}`), 400, typeRejectedIdentifier},
		"two wildcards":                   {post(c, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"*.*.example"}]}`), 400, typeRejectedIdentifier},
		"wildcard alone":                  {post(c, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"*."}]}`), 400, typeRejectedIdentifier},
		"bad time":                        {post(c, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"a.example"}],"notAfter":"soon"}`), 400, typeMalformed},
		"not JSON":                        {post(c, c.base+"/new-order", `identifiers`), 400, typeMalformed},
		"order not ready":                 {post(c, order.Finalize, `{"csr":"`+c.csr("", "host.example")+`"}`), 403, typeOrderNotReady},
		"no such challenge":               {post(c, c.base+"/challenge/X/http-01", `{}`), 404, typeMalformed},
		"contact is a phone":              {post(c, c.kid, `{"contact":["tel:+1"]}`), 400, typeUnsupportedContact},
		"contact with two":                {post(c, c.kid, `{"contact":["mailto:a@example.com,b@example.com"]}`), 400, typeInvalidContact},
		"contact is no address":           {post(c, c.kid, `{"contact":["mailto:nobody"]}`), 400, typeInvalidContact},
		"account without a key":           {post(b.client("one"), c.base+"/new-account", `{"onlyReturnExisting":true}`), 400, typeAccountDoesNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			r := test.do()
			p := r.problem(t)
			if r.status != test.status || (test.typ != "" && p.Type != urn+test.typ) {
				t.Errorf("%d %s (%s), want %d %s", r.status, p.Type, p.Detail, test.status, test.typ)
			}
			if !strings.Contains(p.Detail, "[trace ") {
				t.Errorf("no trace id in %q", p.Detail)
			}
		})
	}
}

// TestFinalize holds CSRs against the order and the profile.
func TestFinalize(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".example"
	exact := strings.Repeat("a", 56) + ".example" // 64 octets, as long as a common name can be (RFC 5280 appendix A.1)
	longer := "b" + exact
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this Go makes no RSA key of 1024 bits:", err)
	}
	for name, test := range map[string]struct {
		names []string
		csr   func() string
		typ   string // of the refusal; empty: issued
		cn    string
	}{
		"names only in SAN":        {[]string{"host.example"}, func() string { return c.csr("", "host.example") }, "", "host.example"},
		"name only in CN":          {[]string{"host.example"}, func() string { return c.csr("host.example") }, "", "host.example"},
		"upper case":               {[]string{"Host.Example"}, func() string { return c.csr("HOST.example", "HOST.EXAMPLE") }, "", "host.example"},
		"long name, empty subject": {[]string{long}, func() string { return c.csr("", long) }, "", ""},
		"name of 64 octets":        {[]string{exact}, func() string { return c.csr("", exact) }, "", exact},
		"name of 65 octets":        {[]string{longer}, func() string { return c.csr("", longer) }, "", ""},
		"long name first":          {[]string{long, "host.example"}, func() string { return c.csr("", long, "host.example") }, "", ""},
		"CN of 65 octets alone":    {[]string{longer}, func() string { return c.csr(longer) }, "", ""},
		"IDN in both, twice": {[]string{"xn--bcher-kva.example", "*.xn--bcher-kva.example"}, func() string {
			return c.csr("XN--BCHER-KVA.EXAMPLE", "*.xn--BCHER-kva.example", "xn--bcher-kva.example", "Xn--bcher-kva.example")
		}, "", "xn--bcher-kva.example"},
		"CN is one of the names": {[]string{"a.example", "b.example"}, func() string { return c.csr("b.example", "a.example", "b.example") }, "", "b.example"},
		"CN longer than 64":      {[]string{long}, func() string { return c.csr(long, long) }, "", ""},
		"long CN, short SAN":     {[]string{"host.example", long}, func() string { return c.csr(long, "host.example", long) }, "", ""},
		"SANs twice":             {[]string{"a.example", "b.example"}, func() string { return c.csr("", "b.example", "a.example", "B.example", "a.example") }, "", "b.example"},
		"ordered twice":          {[]string{"host.example", "HOST.example"}, func() string { return c.csr("", "host.example") }, "", "host.example"},
		"A-labels":               {[]string{"XN--bcher-kva.example"}, func() string { return c.csr("xn--bcher-kva.example", "xn--BCHER-kva.example") }, "", "xn--bcher-kva.example"},
		"U-label as CN":          {[]string{"xn--bcher-kva.example"}, func() string { return c.csr("bücher.example", "xn--bcher-kva.example") }, typeBadCSR, ""},
		"no name at all":         {[]string{"a.example", "b.example"}, func() string { return c.csr("") }, "", "a.example"},
		"a name too many":        {[]string{"host.example"}, func() string { return c.csr("", "host.example", "evil.example") }, typeBadCSR, ""},
		"a name missing":         {[]string{"a.example", "b.example"}, func() string { return c.csr("", "a.example") }, typeBadCSR, ""},
		"CN is another name":     {[]string{"host.example"}, func() string { return c.csr("evil.example", "host.example") }, typeBadCSR, ""},
		"not base64url":          {[]string{"host.example"}, func() string { return "+/=" }, typeMalformed, ""},
		"not a CSR":              {[]string{"host.example"}, func() string { return "AAAA" }, typeBadCSR, ""},
		"short RSA key":          {[]string{"host.example"}, func() string { return c.csrWith(weak, "", "host.example") }, typeBadCSR, ""},
	} {
		t.Run(name, func(t *testing.T) {
			url, o := c.order(test.names...)
			if o = c.prove(url, o); o.Status != state.Ready {
				t.Fatalf("order is %s", o.Status)
			}
			r := c.post(o.Finalize, `{"csr":"`+test.csr()+`"}`)
			if test.typ != "" {
				if p := r.problem(t); p.Type != urn+test.typ {
					t.Errorf("%s (%s), want %s", p.Type, p.Detail, test.typ)
				}
				if o = c.settled(url); o.Status != state.Ready {
					t.Errorf("a refused CSR left the order %s; it must stay ready", o.Status)
				}
				return
			}
			r.into(t, &o)
			if r.status != http.StatusOK || o.Status != state.Valid {
				t.Fatalf("%d %s", r.status, r.body)
			}
			chain := decodePEM(c.post(o.Certificate, "").body)
			lower := []string{}
			for _, n := range test.names {
				lower = append(lower, strings.ToLower(n))
			}
			lower = slices.Compact(lower)
			if leaf := b.checkChain(chain, lower...); leaf.Subject.CommonName != test.cn {
				t.Errorf("CN %q, want %q", leaf.Subject.CommonName, test.cn)
			} else {
				checkSubject(t, leaf)
			}
		})
	}
}

// checkSubject: the subject is empty exactly where the names are in a critical
// extension (RFC 5280 section 4.2.1.6).
func checkSubject(t *testing.T, leaf *x509.Certificate) {
	t.Helper()
	empty := bytes.Equal(leaf.RawSubject, []byte{0x30, 0})
	for _, e := range leaf.Extensions {
		if e.Id.Equal([]int{2, 5, 29, 17}) {
			if e.Critical != empty || empty != (leaf.Subject.CommonName == "") {
				t.Errorf("subject %x, subjectAltName critical: %v", leaf.RawSubject, e.Critical)
			}
			return
		}
	}
	t.Error("no subjectAltName")
}

// TestFinalizeRace finishes one order from many connections at once: one
// certificate, and everybody gets it.
func TestFinalizeRace(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	url, o := c.order("host.example")
	o = c.prove(url, o)
	csr := c.csr("", "host.example")
	var all sync.WaitGroup
	certificates := make([]string, 8)
	for i := range certificates {
		twin := *c
		twin.nonce = ""
		all.Go(func() {
			r := twin.post(o.Finalize, `{"csr":"`+csr+`"}`)
			var done orderObject
			r.into(t, &done)
			certificates[i] = string(twin.post(done.Certificate, "").body)
		})
	}
	all.Wait()
	for _, pem := range certificates {
		if pem != certificates[0] || !strings.HasPrefix(pem, "-----BEGIN CERTIFICATE-----") {
			t.Fatalf("two answers for one order:\n%s\n%s", certificates[0], pem)
		}
	}
}

// TestFailedChallenge shows the validator's reason in challenge and order.
func TestFailedChallenge(t *testing.T) {
	b := newBench(t)
	b.validator.fail["bad.example"] = &va.Problem{Type: va.TypeDNS, Detail: "hop 1: no address for bad.example"}
	c := b.registered("one")
	url, o := c.order("good.example", "bad.example")
	authorization := o.Authorizations[1]
	if o = c.prove(url, o); o.Status != state.Invalid {
		t.Fatalf("order is %s", o.Status)
	}
	if !strings.Contains(string(o.Error), "no address for bad.example") {
		t.Errorf("order error %s", o.Error)
	}
	var a authorizationObject
	c.post(authorization, "").into(t, &a)
	if a.Status != state.Invalid || !strings.Contains(string(a.Challenges[0].Error), urn+"dns") {
		t.Errorf("authorization %+v", a)
	}
	if p := c.post(o.Finalize, `{"csr":"AAAA"}`).problem(t); p.Type != urn+typeOrderNotReady {
		t.Errorf("finalize of an invalid order: %s", p.Type)
	}
}

// TestDroppedValidation begins a challenge again whose validator is gone.
func TestDroppedValidation(t *testing.T) {
	b := newBench(t)
	b.validator.gate = make(chan struct{})
	b.door.Patience = time.Millisecond
	c := b.registered("one")
	o, a := c.authorization("host.example")
	if challenge := c.begin(a); challenge.Status != state.Processing {
		t.Fatalf("challenge is %s", challenge.Status)
	}
	b.door.validations.stop() // the replica stops in the middle
	b.door.validations.running.Wait()
	revived, err := newValidations(b.door)
	if err != nil {
		t.Fatal(err)
	}
	b.door.validations = revived
	b.validator.gate = nil
	c.post(o.Authorizations[0], "").into(t, &a)
	if len(b.validator.asked) != 1 || a.Challenges[0].Status != state.Processing {
		t.Fatalf("begun again before its deadline: %+v", a)
	}
	b.door.Now = func() time.Time { return time.Now().Add(revived.longest + time.Minute) }
	c.post(o.Authorizations[0], "")
	b.door.validations.running.Wait()
	c.post(o.Authorizations[0], "").into(t, &a)
	if a.Status != state.Valid {
		t.Errorf("authorization is %s", a.Status)
	}
}

func TestAccountLife(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	again := *c
	again.kid, again.nonce = "", ""
	if r := again.post(c.base+"/new-account", `{}`); r.status != http.StatusOK || r.header.Get("Location") != c.kid {
		t.Errorf("the same key again: %d %s", r.status, r.header.Get("Location"))
	}
	var account accountObject
	c.post(c.kid, `{"contact":["mailto:new@example.com"]}`).into(t, &account)
	if len(account.Contact) != 1 || account.Contact[0] != "mailto:new@example.com" {
		t.Errorf("contact %q", account.Contact)
	}
	_, o := c.order("host.example")
	var a authorizationObject
	c.post(o.Authorizations[0], `{"status":"deactivated"}`).into(t, &a)
	if a.Status != state.Deactivated {
		t.Errorf("authorization is %s", a.Status)
	}
	c.post(c.kid, `{"status":"deactivated"}`).into(t, &account)
	if account.Status != state.Deactivated {
		t.Errorf("account is %s", account.Status)
	}
	for _, try := range []func() reply{
		func() reply {
			return c.post(c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"a.example"}]}`)
		},
		func() reply { again.nonce = ""; return again.post(c.base+"/new-account", `{}`) },
	} {
		if p := try().problem(t); p.Type != urn+typeUnauthorized {
			t.Errorf("a deactivated account gets %s", p.Type)
		}
	}
}

// TestErrorTable keeps the one table complete and internal text inside.
func TestErrorTable(t *testing.T) {
	for _, k := range ca.Kinds() {
		if _, ok := wire[k]; !ok {
			t.Errorf("kind %q has no wire form", k)
		}
		p := problemOf(&ca.Error{Kind: k, Public: "public", Err: fmt.Errorf("secret cause")})
		if p.Detail != "public" || p.Status < 400 || !strings.HasPrefix(p.Type, urn) {
			t.Errorf("%s: %+v", k, p)
		}
	}
	if p := problemOf(fmt.Errorf("secret cause")); strings.Contains(p.Detail, "secret") {
		t.Errorf("internal text in %q", p.Detail)
	}
	if p := problemOf(&ca.Error{Kind: ca.Denied, Field: "dns:host.example"}); p.Type != urn+typeRejectedIdentifier {
		t.Errorf("a refused name is %s", p.Type)
	}
}
