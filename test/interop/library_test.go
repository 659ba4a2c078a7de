package interop

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

// library is golang.org/x/crypto/acme, which leaves the steps to its user.
type library struct {
	door *door
	acme *acme.Client
	keys map[string]*ecdsa.PrivateKey // by method
}

func newLibrary(t *testing.T, d *door) client {
	l := library{d, &acme.Client{Key: newKey(t), DirectoryURL: d.directory, HTTPClient: trusting(t, d.root)}, map[string]*ecdsa.PrivateKey{}}
	if _, err := l.acme.Register(t.Context(), &acme.Account{}, acme.AcceptTOS); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l library) obtain(t *testing.T, method string, names ...string) product {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	order, err := l.acme.AuthorizeOrder(ctx, acme.DomainIDs(names...))
	if err != nil {
		t.Fatal(err)
	}
	responder := &http01{}
	if method == "http-01" {
		responder.listen(t, l.door.port)
	}
	for _, url := range order.AuthzURLs {
		z, err := l.acme.GetAuthorization(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range z.Challenges {
			if c.Type == method {
				l.answer(t, responder, z.Identifier.Value, c)
				if _, err := l.acme.Accept(ctx, c); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if order, err = l.acme.WaitOrder(ctx, order.URI); err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := l.acme.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
	if err != nil {
		t.Fatal(err)
	}
	l.keys[method] = key
	return l.keep(t, product{method: method, names: names}, chain, key)
}

// answer puts a challenge's response where it is looked for.
func (l library) answer(t *testing.T, responder *http01, name string, c *acme.Challenge) {
	t.Helper()
	if c.Type == "dns-01" {
		text, err := l.acme.DNS01ChallengeRecord(c.Token)
		if err != nil {
			t.Fatal(err)
		}
		l.door.zone.add("_acme-challenge."+name, text)
		t.Cleanup(func() { l.door.zone.remove("_acme-challenge."+name, text) })
		return
	}
	text, err := l.acme.HTTP01ChallengeResponse(c.Token)
	if err != nil {
		t.Fatal(err)
	}
	responder.mu.Lock()
	defer responder.mu.Unlock()
	responder.answers[l.acme.HTTP01ChallengePath(c.Token)] = text
}

// renew is another order: the library knows no renewal.
func (l library) renew(t *testing.T, p product) product { return l.obtain(t, p.method, p.names...) }

func (l library) revoke(t *testing.T, p product, signer signer, why reason) {
	var err error
	block, _ := pem.Decode([]byte(read(t, p.certificate)))
	if signer == byCertificate {
		// A client without an account: the key is all that it has.
		stranger := &acme.Client{DirectoryURL: l.door.directory, HTTPClient: l.acme.HTTPClient}
		err = stranger.RevokeCert(t.Context(), l.keys[p.method], block.Bytes, acme.CRLReasonCode(why.code))
	} else {
		err = l.acme.RevokeCert(t.Context(), nil, block.Bytes, acme.CRLReasonCode(why.code))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l library) keep(t *testing.T, p product, chain [][]byte, key *ecdsa.PrivateKey) product {
	t.Helper()
	var certificates bytes.Buffer
	for _, der := range chain {
		if err := pem.Encode(&certificates, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, p, certificates.Bytes(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
