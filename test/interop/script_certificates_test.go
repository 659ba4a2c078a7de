package interop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// csr makes a CSR as finalize takes it.
func (c *conversation) csr(key crypto.Signer, template x509.CertificateRequest) string {
	c.t.Helper()
	return `{"csr":"` + b64(c.csrDER(key, template)) + `"}`
}

func (c *conversation) csrDER(key crypto.Signer, template x509.CertificateRequest) []byte {
	c.t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		c.t.Fatal(err)
	}
	return der
}

// finalizing sends CSRs, wrong and unusual ones, each to an order of its own
// (section 7.4).
func (c *conversation) finalizing() {
	c.t.Helper()
	by, other := c.registered(), c.registered()
	early, _ := c.ordered(by, "early.example")
	good := c.csr(newKey(c.t), named("early.example"))
	c.say("finalize: early", by, early.Finalize, good)
	c.say("finalize: early, without a CSR", by, early.Finalize, "{}")
	o, _ := c.proven(by, "fin.example")
	c.say("finalize: another's", other, o.Finalize, good)
	c.say("finalize: unknown", by, o.Finalize+"0", good)
	c.say("finalize: POST-as-GET", by, o.Finalize, "")
	requests := c.requests(by)
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		o, at := c.proven(by, "fin.example")
		r := c.say("finalize: "+name, by, o.Finalize, requests[name])
		switch {
		case r.status == http.StatusOK:
			c.becomes(by, at, "valid", "invalid")
			c.say("order: finalized with "+name, by, at, "")
		case r.object().Status == "": // an order whose CSR is refused stays ready
			c.say("order: refused with "+name, by, at, "")
		}
	}
	o, at := c.proven(by, "fin.example")
	good = c.csr(newKey(c.t), named("fin.example"))
	c.send(by, o.Finalize, good)
	c.becomes(by, at, "valid")
	c.say("finalize: twice", by, o.Finalize, good)
	c.say("finalize: twice, with another CSR", by, o.Finalize, c.csr(newKey(c.t), named("fin.example")))
	o, at = c.proven(by, "xn--bcher-kva.example")
	c.say("finalize: an A-label", by, o.Finalize, c.csr(newKey(c.t), named("XN--bcher-kva.example")))
	c.becomes(by, at, "valid")
}

// requests are finalize payloads for an order of fin.example.
func (c *conversation) requests(by *party) map[string]string {
	c.t.Helper()
	with := func(change func(*x509.CertificateRequest)) string {
		r := named("fin.example")
		change(&r)
		return c.csr(newKey(c.t), r)
	}
	text := func(s string) string { return `{"csr":"` + s + `"}` }
	der := c.csrDER(newKey(c.t), named("fin.example"))
	broken := append(der[:len(der)-1:len(der)-1], der[len(der)-1]^1)
	return map[string]string{
		"{}": "{}", "[]": "[]", "x": "x", "csr null": `{"csr":null}`, "csr empty": text(""), "csr a number": `{"csr":1}`, "csr not base64url": text("+/+/"), "csr not DER": text("AAAA"),
		"csr padded": text(b64(der) + "="), "csr with a plus": text(b64(der) + "+"), "csr in PEM": text(b64(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))),
		"csr with more after it": text(b64(append(der[:len(der):len(der)], 0))), "csr cut short": text(b64(der[:len(der)-4])), "csr whose signature is wrong": text(b64(broken)), "csr that is huge": text(b64(make([]byte, 70<<10))),
		"csr of the account's key": c.csr(by.key, named("fin.example")), "csr of Ed25519": c.csr(newParty(c.t, jose.EdDSA).key, named("fin.example")), "csr of P-384": c.csr(newParty(c.t, jose.ES384).key, named("fin.example")),
		"csr of P-521": c.csr(newParty(c.t, jose.ES512).key, named("fin.example")), "csr of RSA": c.csr(newParty(c.t, jose.RS256).key, named("fin.example")),
		"a name": c.csr(newKey(c.t), named("fin.example")), "a name too many": c.csr(newKey(c.t), named("fin.example", "c.fin.example")), "another name": c.csr(newKey(c.t), named("c.fin.example")),
		"a wildcard instead": c.csr(newKey(c.t), named("*.fin.example")), "another CN": with(func(r *x509.CertificateRequest) { r.Subject.CommonName = "c.fin.example" }),
		"an address more": with(func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{{127, 0, 0, 1}} }), "a mailbox more": with(func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@fin.example"} }),
		"a URI more": with(func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "https", Host: "fin.example"}} }), "no name": c.csr(newKey(c.t), x509.CertificateRequest{}),
		"CN alone": c.csr(newKey(c.t), x509.CertificateRequest{Subject: pkix.Name{CommonName: "fin.example"}}), "CN and SAN": with(func(r *x509.CertificateRequest) { r.Subject.CommonName = "fin.example" }),
		"CN that is no name": with(func(r *x509.CertificateRequest) { r.Subject.CommonName = "A Server" }), "an organization": with(func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"X"} }),
		"upper case": c.csr(newKey(c.t), named("FIN.example")), "a name twice": c.csr(newKey(c.t), named("fin.example", "fin.example")),
	}
}

func named(names ...string) x509.CertificateRequest { return x509.CertificateRequest{DNSNames: names} }

// certified gives a certificate, its URL and key.
func (c *conversation) certified(by *party, names ...string) (leaf []byte, at string, key *ecdsa.PrivateKey) {
	c.t.Helper()
	o, order := c.proven(by, names...)
	key = newKey(c.t)
	c.send(by, o.Finalize, c.csr(key, x509.CertificateRequest{DNSNames: names}))
	at = c.becomes(by, order, "valid").Certificate
	block, _ := pem.Decode(c.send(by, at, "").body)
	if block == nil {
		c.t.Fatalf("no certificate at %s", at)
	}
	return block.Bytes, at, key
}

// revoking downloads certificates, asks when to renew them, and revokes (sections
// 7.4.2 and 7.6, RFC 9773).
func (c *conversation) revoking() {
	c.t.Helper()
	by, other, url := c.registered(), c.registered(), c.urls["revokeCert"]
	der, at, key := c.certified(by, "revoking.example")
	c.say("certificate: read", by, at, "")
	c.say("certificate: read with a payload", by, at, "{}")
	c.say("certificate: another's", other, at, "")
	c.say("certificate: unknown", by, at+"0", "")
	c.say("certificate: alternate that is not there", by, at+"/7", "")
	c.keep("certificate: GET", c.ask(http.MethodGet, at, "", ""))
	c.say("certificate: by its key", &party{alg: jose.ES256, key: key}, at, "")
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	id := b64(leaf.AuthorityKeyId) + "." + b64(serialOctets(leaf.SerialNumber))
	c.keep("renewal information: read", c.ask(http.MethodGet, c.urls["renewalInfo"]+"/"+id, "", ""))
	for _, wrong := range []string{"AAAA.AAAA", "AAAA", "", "garbage.garbage.garbage", id + "="} {
		c.keep("renewal information: of "+map[bool]string{true: "it, padded", false: wrong}[wrong == id+"="], c.ask(http.MethodGet, c.urls["renewalInfo"]+"/"+wrong, "", ""))
	}
	c.say("order: replaces it", by, c.urls["newOrder"], `{"replaces":"`+id+`",`+identifiers("revoking.example")[1:])
	c.say("order: replaces another's", other, c.urls["newOrder"], `{"replaces":"`+id+`",`+identifiers("revoking.example")[1:])
	c.say("order: replaces it with another name", by, c.urls["newOrder"], `{"replaces":"`+id+`",`+identifiers("else.example")[1:])

	payload := func(der []byte, more string) string { return `{"certificate":"` + b64(der) + `"` + more + `}` }
	for i, wrong := range []string{"", "{}", "[]", "x", `{"certificate":""}`, `{"certificate":1}`, `{"certificate":null}`, `{"certificate":"+/+/"}`, `{"certificate":"AAAA"}`,
		`{"certificate":"` + base64.URLEncoding.EncodeToString(append(der, 0)[:len(der)]) + `="}`, payload(append(der[:len(der):len(der)], 0), ""), payload(der[:len(der)-4], ""),
		payload(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), ""), payload(c.selfSigned(), "")} {
		c.say(fmt.Sprintf("revoke: payload %d", i), by, url, wrong)
	}
	for _, reason := range []string{"-1", "7", "11", "1000", "1.5", `"1"`, `{}`} {
		c.say("revoke: reason "+reason, by, url, payload(der, `,"reason":`+reason))
	}
	c.say("revoke: by another account", other, url, payload(der, ""))
	c.say("revoke: by another key", newParty(c.t, jose.ES256), url, payload(der, ""))
	c.say("revoke: by the account's key as jwk", &party{alg: by.alg, key: by.key}, url, payload(der, ""))
	c.say("revoke: as it should be", by, url, payload(der, ""))
	c.say("revoke: again", by, url, payload(der, ""))
	c.say("revoke: again, by its key", &party{alg: jose.ES256, key: key}, url, payload(der, ""))
	c.say("revoke: again, with a reason that is none", by, url, payload(der, `,"reason":7`))
	c.say("certificate: read when revoked", by, at, "")
	c.keep("renewal information: of a revoked one", c.ask(http.MethodGet, c.urls["renewalInfo"]+"/"+id, "", ""))
	for _, reason := range []string{"0", "1", "2", "3", "4", "5", "6", "8", "9", "10", "null"} {
		der, _, key := c.certified(by, "reasons.example")
		who := by
		if reason == "1" {
			who = &party{alg: jose.ES256, key: key}
		}
		c.say("revoke: reason "+reason, who, url, payload(der, `,"reason":`+reason))
	}
	der, _, _ = c.certified(by, "holder.example")
	c.proven(other, "holder.example")
	c.say("revoke: by who holds the name", other, url, payload(der, ""))
}

// serialOctets is a serial as DER has it: with a leading zero where it would be negative.
func serialOctets(n *big.Int) []byte {
	out := n.Bytes()
	if len(out) > 0 && out[0] >= 0x80 {
		out = append([]byte{0}, out...)
	}
	return out
}

// selfSigned is a certificate of nobody's.
func (c *conversation) selfSigned() []byte {
	c.t.Helper()
	key := newKey(c.t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1 << 40), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"revoking.example"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	return der
}
