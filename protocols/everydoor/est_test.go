package everydoor_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/est"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// estDoor is simpleenroll, by HTTP Basic or with a device certificate.
type estDoor struct {
	g       *gateway
	core    *witness
	router  chi.Router
	holders []holder
}

func newEST(g *gateway) *estDoor {
	g.Helper()
	registry, holders := g.register(g.memory, credential.Password, caller.EST)
	d := &estDoor{g, &witness{Authority: g.core}, chi.NewRouter(), holders}
	var endpoints []ca.Endpoint
	own := map[string]est.Own{}
	for _, p := range g.profiles {
		endpoints = append(endpoints, p.est)
		own[p.est.ID] = est.Own{DeviceRoots: []*x509.Certificate{g.root}}
	}
	served := fixture.Must(est.New(est.Options{Endpoints: endpoints, Own: own, Core: d.core, Issuers: g.issuer, Generations: g.issuer.Generations, Certificates: g.memory, Credentials: registry,
		Callers: caller.NewVerifier(caller.EST), Claims: claim.NewVerifier(caller.EST), Log: slog.New(slog.DiscardHandler), Now: clock}))(g)
	served.Routes(d.router)
	return d
}

func (d *estDoor) Name() string { return "EST" }

func (d *estDoor) Carries(_ *bound, i *identity) string {
	switch {
	case i.evidence == byChallenge:
		return "EST proves no names by challenges"
	case i.evidence == bySecret:
		return "EST lets in by password and certificate"
	case !i.notBefore.IsZero() || !i.notAfter.IsZero():
		return "a PKCS #10 request asks for no dates"
	}
	return ""
}

func (d *estDoor) Enroll(t *testing.T, p *bound, i *identity) outcome {
	t.Helper()
	var device *x509.Certificate
	if i.evidence == byDevice {
		device = d.g.devices[i.device].certificate
	}
	return d.send(t, p, "simpleenroll", d.g.csr(i, keyOfEST), d.holders[i.holder], device)
}

// send asks with a password, or with a client certificate.
func (d *estDoor) send(t *testing.T, p *bound, operation string, csr []byte, who holder, client *x509.Certificate) outcome {
	t.Helper()
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, est.Prefix+"/"+tenant+"/"+issuing+"/"+p.ID()+"/"+operation,
		bytes.NewReader([]byte(base64.StdEncoding.EncodeToString(csr))))
	q.Header.Set("Content-Type", "application/pkcs10")
	q.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true}
	if client != nil {
		q.TLS.PeerCertificates = []*x509.Certificate{client}
	} else {
		q.SetBasicAuth(who.ID, who.secret.Text())
	}
	d.core.refusal = nil
	answer := httptest.NewRecorder()
	d.router.ServeHTTP(answer, q)
	if answer.Code != http.StatusOK {
		return d.core.refused(fmt.Sprintf("%d %s", answer.Code, answer.Body))
	}
	return issued(t, onlyCertificate(t, answer.Body.Bytes()))
}

// onlyCertificate reads the certificate of a base64 certs-only message (RFC 5652
// sections 3 and 5.1).
func onlyCertificate(t *testing.T, body []byte) []byte {
	t.Helper()
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content struct {
			Version      int
			Digests      []asn1.RawValue `asn1:"set"`
			Content      asn1.RawValue
			Certificates asn1.RawValue   `asn1:"tag:0"`
			Signers      []asn1.RawValue `asn1:"set"`
		} `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(fixture.Must(base64.StdEncoding.DecodeString(string(body)))(t), &outer); err != nil {
		t.Fatal(err)
	}
	return outer.Content.Certificates.Bytes
}
