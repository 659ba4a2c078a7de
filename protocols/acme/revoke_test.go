package acme

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// issue gets a certificate for a name and a key.
func (c *client) issue(key *ecdsa.PrivateKey, name string) (der []byte, url string) {
	c.b.t.Helper()
	r := c.finalize(key, name)
	var o orderObject
	r.into(c.b.t, &o)
	if o.Status != state.Valid {
		c.b.t.Fatalf("not issued: %d %s", r.status, r.body)
	}
	return decodePEM(c.post(o.Certificate, "").body)[0], o.Certificate
}

// finalize takes an order for a name up to the answer to its CSR.
func (c *client) finalize(key *ecdsa.PrivateKey, name string) reply {
	c.b.t.Helper()
	url, o := c.order(name)
	o = c.prove(url, o)
	return c.post(o.Finalize, `{"csr":"`+c.csrWith(key, "", name)+`"}`)
}

// holder signs with a certificate's key instead of an account's.
func (c *client) holder(key *ecdsa.PrivateKey) *client {
	return &client{b: c.b, base: c.base, key: key}
}

// revoke asks for a revocation; extra is appended to the payload's members.
func (c *client) revoke(der []byte, extra string) reply {
	c.b.t.Helper()
	return c.post(c.base+"/revoke-cert", `{"certificate":"`+base64.RawURLEncoding.EncodeToString(der)+`"`+extra+`}`)
}

// revocations reads the status feed from its start.
func (b *bench) revocations() (out []string) {
	b.t.Helper()
	feed, err := b.store.Feed(b.t.Context(), 0, 100)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, s := range feed {
		out = append(out, fmt.Sprintf("%s %s %s", s.Serial, s.State, s.Reason))
	}
	return out
}

func serialOf(t *testing.T, der []byte) ca.Serial {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca.Serial(cert.SerialNumber.FillBytes(make([]byte, ca.SerialSize)))
}

// TestRevoke (interop rule 8): by the account's key and by the certificate's, each
// with and without a reason.
func TestRevoke(t *testing.T) {
	for name, test := range map[string]struct {
		byKey   bool
		extra   string
		reason  ca.Reason
		blocked bool // the key afterwards
	}{
		"account":                      {false, ``, ca.Unspecified, false},
		"account, superseded":          {false, `,"reason":4`, ca.Superseded, false},
		"account says keyCompromise":   {false, `,"reason":1`, ca.KeyCompromise, false},
		"key":                          {true, ``, ca.Unspecified, false},
		"key, cessation":               {true, `,"reason":5`, ca.CessationOfOperation, false},
		"key, reason null":             {true, `,"reason":null`, ca.Unspecified, false},
		"the key proves keyCompromise": {true, `,"reason":1`, ca.KeyCompromise, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c, key := b.registered("one"), fixture.Key(t)
			der, url := c.issue(key, "host.example")
			who := c
			if test.byKey {
				who = c.holder(key)
			}
			if r := who.revoke(der, test.extra); r.status != http.StatusOK || len(r.body) != 0 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			want := fmt.Sprintf("%s revoked %s", serialOf(t, der), test.reason)
			if got := b.revocations(); len(got) != 1 || got[0] != want {
				t.Errorf("status feed %q, want %q", got, want)
			}
			for _, again := range []*client{c, c.holder(key)} {
				if r := again.revoke(der, ""); r.status != http.StatusBadRequest || r.problem(t).Type != urn+typeAlreadyRevoked {
					t.Errorf("revoked twice: %d %s", r.status, r.body)
				}
			}
			if chain := decodePEM(c.post(url, "").body); len(chain) == 0 || string(chain[0]) != string(der) {
				t.Error("the certificate resource does not answer any more")
			}
			// A blocked key is refused everywhere, for other tenants too.
			for _, tenant := range tenants {
				r := b.registered(tenant).finalize(key, "next.example")
				if refused := r.status != http.StatusOK; refused != test.blocked {
					t.Errorf("the key at tenant %s afterwards: %d %s", tenant, r.status, r.body)
				}
			}
		})
	}
}

func TestRevokeRefusals(t *testing.T) {
	b := newBench(t)
	c, other, foreign := b.registered("one"), b.registered("one"), b.registered("two")
	key, otherKey := fixture.Key(t), fixture.Key(t)
	der, _ := c.issue(key, "host.example")
	foreignDER, _ := foreign.issue(otherKey, "host.example")
	forged := append([]byte(nil), der...)
	forged[len(forged)-1] ^= 1 // same serial, same key, another signature
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	self, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: parsed.SerialNumber,
		Subject: parsed.Subject, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)},
		parsed, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	issuers, _ := core.Authorities(t)
	issuer, err := issuers.Issuer("one", "issuing")
	if err != nil {
		t.Fatal(err)
	}
	url := c.base + "/revoke-cert"
	type row struct {
		do     func() reply
		status int
		typ    string
	}
	rows := map[string]row{
		"another account":              {func() reply { return other.revoke(der, "") }, 403, typeUnauthorized},
		"another key":                  {func() reply { return c.holder(otherKey).revoke(der, "") }, 403, typeUnauthorized},
		"the account's key in jwk":     {func() reply { return c.holder(c.key).revoke(der, "") }, 403, typeUnauthorized},
		"a tenant's account":           {func() reply { return foreign.revoke(der, "") }, 404, typeMalformed},
		"another tenant's certificate": {func() reply { return c.revoke(foreignDER, "") }, 404, typeMalformed},
		"its key at another tenant":    {func() reply { return foreign.holder(key).revoke(der, "") }, 404, typeMalformed},
		"serial alone":                 {func() reply { return c.revoke(forged, "") }, 404, typeMalformed},
		"serial alone, by key":         {func() reply { return c.holder(key).revoke(forged, "") }, 404, typeMalformed},
		"self-signed, our serial":      {func() reply { return c.holder(key).revoke(self, "") }, 404, typeMalformed},
		"the CA's certificate":         {func() reply { return c.revoke(issuer.Facts().Chain[0], "") }, 404, typeMalformed},
		"not base64url":                {func() reply { return c.post(url, `{"certificate":"+/=="}`) }, 400, typeMalformed},
		"no certificate":               {func() reply { return c.post(url, `{}`) }, 400, typeMalformed},
		"not a certificate":            {func() reply { return c.revoke([]byte("certificate"), "") }, 400, typeMalformed},
		"no payload":                   {func() reply { return c.post(url, ``) }, 400, typeMalformed},
		"reason is a text":             {func() reply { return c.revoke(der, `,"reason":"keyCompromise"`) }, 400, typeMalformed},
		"reason is a fraction":         {func() reply { return c.revoke(der, `,"reason":1.5`) }, 400, typeMalformed},
		"made-up nonce":                {func() reply { return c.send(url, c.sign("bm9uY2U", url, `{}`)) }, 400, typeBadNonce},
		"another URL signed":           {func() reply { return c.send(url, c.sign(c.freshNonce(), c.base+"/new-order", `{}`)) }, 401, typeUnauthorized},
		"jwk and another's signature": {func() reply {
			h := c.holder(key)
			return h.send(url, c.holder(otherKey).signHeader(fmt.Sprintf(`{"alg":"ES256","jwk":%s,"nonce":%q,"url":%q}`, h.jwk(), h.freshNonce(), url), `{}`))
		}, 400, typeMalformed},
	}
	for _, reason := range []int{-1, 2, 6, 7, 8, 10, 11, 255, 257, 1 << 40} { // 257 is 1 in an octet
		rows[fmt.Sprint("reason ", reason)] = row{func() reply { return c.revoke(der, fmt.Sprintf(`,"reason":%d`, reason)) }, 400, typeBadRevocationReason}
	}
	for name, test := range rows {
		t.Run(name, func(t *testing.T) {
			r := test.do()
			p := r.problem(t)
			if r.status != test.status || (test.typ != "" && p.Type != urn+test.typ) {
				t.Errorf("%d %s (%s), want %d %s", r.status, p.Type, p.Detail, test.status, test.typ)
			}
			if test.typ == typeBadRevocationReason && !strings.Contains(p.Detail, "1 (keyCompromise)") {
				t.Errorf("the allowed reasons are not told: %q", p.Detail) // RFC 8555 section 7.6
			}
		})
	}
	if got := b.revocations(); len(got) != 0 {
		t.Errorf("a refused request revoked: %q", got)
	}
	c.post(c.kid, `{"status":"deactivated"}`)
	if p := c.revoke(der, "").problem(t); p.Type != urn+typeUnauthorized {
		t.Errorf("a deactivated account: %s", p.Type)
	}
	if r := c.holder(key).revoke(der, ""); r.status != http.StatusOK {
		t.Errorf("the key, after its account: %d %s", r.status, r.body)
	}
}

// TestRevokeStrikesNonce uses one nonce on two replicas: the commit of the first
// strikes it for the second.
func TestRevokeStrikesNonce(t *testing.T) {
	b := newBench(t)
	c, key := b.registered("one"), fixture.Key(t)
	der, _ := c.issue(key, "host.example")
	url, body := c.base+"/revoke-cert", `{"certificate":"`+base64.RawURLEncoding.EncodeToString(der)+`"}`
	anotherReplica := func() { b.door.struck = newStruckSet(0, time.Now) }

	nonce := c.freshNonce()
	if r := c.send(c.base+"/new-order", c.sign(nonce, c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"a.example"}]}`)); r.status != http.StatusCreated {
		t.Fatal(r.status)
	}
	for _, who := range []*client{c, c.holder(key)} {
		anotherReplica()
		if p := who.send(url, who.sign(nonce, url, body)).problem(t); p.Type != urn+typeBadNonce {
			t.Errorf("revoked with a used nonce: %s", p.Type)
		}
	}
	if got := b.revocations(); len(got) != 0 {
		t.Fatalf("revoked: %q", got)
	}
	nonce = c.freshNonce()
	if r := c.send(url, c.sign(nonce, url, body)); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	anotherReplica()
	if p := c.send(c.kid, c.sign(nonce, c.kid, `{"contact":[]}`)).problem(t); p.Type != urn+typeBadNonce {
		t.Errorf("the nonce of a revocation is used again: %s", p.Type)
	}
}

// TestCertificateKeyEnrollsNobody hands the core such a caller with everything
// else in order.
func TestCertificateKeyEnrollsNobody(t *testing.T) {
	b := newBench(t)
	c, key := b.registered("one"), fixture.Key(t)
	der, _ := c.issue(key, "host.example")
	cert, err := pkix.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	who, err := caller.FromCertificateKey(b.door.Callers, caller.CertificateKeySignature{Tenant: "one", Endpoint: "acme-one",
		SignatureKey: cert.Key.Hash(), Certificate: cert.Key.Hash(), At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	csr, err := base64.RawURLEncoding.DecodeString(c.csrWith(key, "", "host.example"))
	if err != nil {
		t.Fatal(err)
	}
	_, possession, err := claim.VerifyCSR(csr, false)
	if err != nil {
		t.Fatal(err)
	}
	proven, err := claim.FromAuthorization(b.door.Claims, claim.ValidatedAuthorization{ID: "A", Owner: who.ID(), Identifier: "host.example",
		Challenge: claim.HTTP01, Status: "valid", Validated: time.Now(), Expires: time.Now().Add(time.Hour), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	request := &ca.Request{Trace: ca.NewTrace(), Endpoint: "acme-one", Operation: ca.Enroll, Caller: who, Possession: possession, Claims: []claim.Claim{proven}}
	if result := b.door.Core.Enroll(t.Context(), request)[0]; !ca.IsKind(result.Err, ca.BadProof) {
		t.Errorf("enrolled by the certificate's key: %v", result.Err)
	}
	if _, err := b.door.Core.Check(t.Context(), request); !ca.IsKind(err, ca.BadProof) {
		t.Errorf("checked for the certificate's key: %v", err)
	}
	endpoint := b.door.endpoints["one/issuing/privatessl-tls-server"].Endpoint
	endpoint.Policies = [][]caller.Method{{caller.ACMEAccount}, {caller.CertificateKey}}
	_, err = ca.NewAuthority(ca.Parts{Endpoints: []ca.Endpoint{endpoint}, Policy: struct{ ca.Policy }{}, Linter: lint.Linter{},
		Issuers: b.door.Issuers, Ledger: b.store, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "certificate-key") {
		t.Errorf("a policy that names certificate-key: %v", err)
	}
}

// TestCoreRevokes asks the core past the door's own checks.
func TestCoreRevokes(t *testing.T) {
	b := newBench(t)
	c, key := b.registered("one"), fixture.Key(t)
	der, _ := c.issue(key, "host.example")
	otherDER, _ := c.issue(fixture.Key(t), "other.example")
	cert, err := pkix.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := caller.FromCertificateKey(b.door.Callers, caller.CertificateKeySignature{Tenant: "one", Endpoint: "acme-one",
		SignatureKey: cert.Key.Hash(), Certificate: cert.Key.Hash(), At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	operator := func(tenant string) caller.Caller { return core.Operator(t, tenant, time.Now()) }
	for name, test := range map[string]struct {
		who    caller.Caller
		der    []byte
		of     []byte
		reason ca.Reason
		want   ca.Kind
	}{
		"nobody":                        {caller.Caller{}, der, der, 0, ca.BadProof},
		"the key, another certificate":  {holder, otherDER, otherDER, 0, ca.Denied},
		"the key, serial alone":         {holder, nil, der, 0, ca.NotFound},
		"the key, another's serial":     {holder, der, otherDER, 0, ca.NotFound},
		"an operator, another's bytes":  {operator("one"), der, otherDER, 0, ca.NotFound},
		"another tenant's operator":     {operator("two"), nil, der, 0, ca.NotFound},
		"an operator, reason of no one": {operator("one"), nil, der, 7, ca.BadRequest}, // unused, RFC 5280 section 5.3.1
		"an operator, hold of no one":   {operator("one"), nil, der, ca.RemoveFromCRL, ca.Conflict},
	} {
		_, err := b.door.Core.Revoke(t.Context(), &ca.RevokeRequest{Trace: ca.NewTrace(), Tenant: "one", CA: "issuing",
			Serial: serialOf(t, test.of), Certificate: test.der, Reason: test.reason, Caller: test.who})
		if !ca.IsKind(err, test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if got := b.revocations(); len(got) != 0 {
		t.Errorf("revoked: %q", got)
	}
	_, err = b.door.Core.Revoke(t.Context(), &ca.RevokeRequest{Trace: ca.NewTrace(), Tenant: "one", CA: "issuing",
		Serial: serialOf(t, der), Reason: ca.KeyCompromise, Caller: operator("one")})
	if err != nil {
		t.Fatal(err)
	}
	if r := c.finalize(key, "next.example"); r.status == http.StatusOK {
		t.Error("an operator's keyCompromise does not block the key")
	}
}
