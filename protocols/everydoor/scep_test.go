package everydoor_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/scep"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// scepDoor is PKCSReq with a challengePassword.
type scepDoor struct {
	g       *gateway
	core    *witness
	router  chi.Router
	holders []holder
	ra      *authority
	own     map[string]cms.Certificate // by key: that clients sign messages with
	sent    int
}

// authority is a registration authority with one key.
type authority struct {
	certificate cms.Certificate
	key         *rsa.PrivateKey
}

func (a *authority) Current(context.Context) (*scep.RAKey, error) {
	return &scep.RAKey{Certificate: a.certificate.Raw, Signer: a.key, Decrypter: func(context.Context) crypto.Decrypter { return a.key }}, nil
}

func (a *authority) ByRecipient(ctx context.Context, _ pkix.RawName, _, _ []byte) (*scep.RAKey, error) {
	return a.Current(ctx)
}

func newSCEP(g *gateway) *scepDoor {
	g.Helper()
	registry, holders := g.register(g.memory, credential.OneTime, caller.SCEP)
	key := fixture.Must(rsa.GenerateKey(rand.Reader, 2048))(g)
	d := &scepDoor{g: g, core: &witness{Authority: g.core}, router: chi.NewRouter(), holders: holders, ra: &authority{selfSigned(g, key), key}, own: map[string]cms.Certificate{}}
	var endpoints []ca.Endpoint
	for _, p := range g.profiles {
		endpoints = append(endpoints, p.scep)
	}
	served := fixture.Must(scep.New(scep.Options{Endpoints: endpoints, Core: d.core, Issuers: g.issuer, Generations: g.issuer.Generations, RAs: func(string, string) scep.RA { return d.ra },
		CRL: func(ca.Issuer) ([]byte, bool) { return nil, false }, Certificates: g.memory, Credentials: registry,
		Callers: caller.NewVerifier(caller.SCEP), Claims: claim.NewVerifier(caller.SCEP), Log: slog.New(slog.DiscardHandler), Now: clock}))(g)
	served.Routes(d.router)
	return d
}

// selfSigned is the certificate that a key signs for itself (RFC 8894 section 2.3).
func selfSigned(t testing.TB, key crypto.Signer) cms.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(77), Subject: stdpkix.Name{CommonName: "client"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	return fixture.Must(cms.ReadCertificate(fixture.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)))(t)
}

func (d *scepDoor) Name() string { return "SCEP" }

func (d *scepDoor) Carries(_ *bound, i *identity) string {
	switch {
	case i.evidence == byChallenge:
		return "SCEP proves no names by challenges"
	case i.evidence != bySecret:
		return "SCEP lets in by secret"
	}
	return ""
}

func (d *scepDoor) Enroll(t *testing.T, p *bound, i *identity) outcome {
	t.Helper()
	signer, secret := d.g.keys[i.keyType][keyOfSCEP], d.holders[i.holder].secret.Text()
	return d.send(t, p, pkcsReq, d.g.csr(i, keyOfSCEP, challengePassword(secret)), signer, d.client(t, signer), secret)
}

// Types of messages (RFC 8894 section 3.2.1.2).
const (
	pkcsReq    = "19"
	renewalReq = "17"
)

// client is the certificate that a key signs for itself.
func (d *scepDoor) client(t *testing.T, signer crypto.Signer) cms.Certificate {
	t.Helper()
	spki := string(fixture.Must(x509.MarshalPKIXPublicKey(signer.Public()))(t))
	own, ok := d.own[spki]
	if !ok {
		own = selfSigned(t, signer)
		d.own[spki] = own
	}
	return own
}

// send asks by a message that a key signs, named by a certificate.
func (d *scepDoor) send(t *testing.T, p *bound, kind string, csr []byte, signer crypto.Signer, own cms.Certificate, secret string) outcome {
	t.Helper()
	hash := crypto.SHA256
	if _, ok := signer.(ed25519.PrivateKey); ok {
		hash = crypto.SHA512 // RFC 8419 section 2.3
	}
	d.sent++
	envelope := fixture.Must(cms.Encrypt(cms.OIDData, csr, cms.AES128CBC, cms.Floor{}, cms.KeyTransport{Certificate: d.ra.certificate}))(t)
	message := fixture.Must(cms.Sign(cms.OIDData, envelope, [][]byte{own.Raw}, nil, cms.Signer{Key: signer, Certificate: own, Hash: hash, PlainRSA: true, Attributes: cms.Attributes{
		scepAttribute(2, casn1.PrintableString, kind), scepAttribute(7, casn1.PrintableString, fmt.Sprintf("%d", d.sent)), scepAttribute(5, casn1.OCTET_STRING, "0123456789abcdef")}}))(t)
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, scep.Prefix+"/"+tenant+"/"+issuing+"/"+p.ID()+"?operation=PKIOperation", bytes.NewReader(message))
	d.core.refusal = nil
	answer := httptest.NewRecorder()
	d.router.ServeHTTP(answer, q)
	if answer.Code != http.StatusOK {
		return d.core.refused(fmt.Sprintf("%d %s", answer.Code, answer.Body))
	}
	reply := fixture.Must(cms.ReadSigned(answer.Body.Bytes(), cms.Limits{}))(t)
	if len(reply.Content) == 0 {
		said := fixture.Must(reply.Signer())(t).Signed
		info, _ := said.Value(pkix.OID{2, 16, 840, 1, 113733, 1, 9, 4}) // failInfo: a PrintableString of a digit
		why, _ := said.Value(pkix.OID{1, 3, 6, 1, 5, 5, 7, 24, 1})      // failInfoText
		return d.core.refused(fmt.Sprintf("failInfo %s: %s", info[2:], why))
	}
	var key cms.Key = &cms.Password{Secret: []byte(secret)}
	if decrypter, ok := signer.(*rsa.PrivateKey); ok {
		key = cms.RSAKey{Certificate: own, Decrypter: decrypter}
	}
	all, _, err := cms.ReadDegenerate(fixture.Must(fixture.Must(cms.ReadEnveloped(reply.Content, cms.Limits{}))(t).Decrypt(cms.Floor{}, key))(t), cms.Limits{})
	if err != nil || len(all) != 1 {
		t.Fatalf("%d certificates, %v", len(all), err)
	}
	return issued(t, all[0])
}

// scepAttribute is one of RFC 8894 section 3.2.1.
func scepAttribute(number int, tag casn1.Tag, value string) cms.Attribute {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
	return cms.NewAttribute(pkix.OID{2, 16, 840, 1, 113733, 1, 9, number}, b.BytesOrPanic()) // a tag with octets always encodes
}

// challengePassword is the attribute of a CSR (RFC 2985 section 5.4.1).
func challengePassword(secret string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(pkix.OIDChallengePassword)
		b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(secret)) })
		})
	})
	return b.BytesOrPanic() // as above
}
