package doctor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	xpkix "crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// installation is a store with one CA and what it publishes.
type installation struct {
	testing.TB
	stored, known int64
	durability    []ca.Durability
	skew          time.Duration
	replicas      []ca.Replica
	heads         []ca.CRLHead
	issued        []ca.Certificate
	broken        error

	key    *ecdsa.PrivateKey
	issuer *x509.Certificate
	leaf   *x509.Certificate
	served map[string][]byte
}

const base = "http://pki.example"

func (i *installation) Schema(context.Context) (stored, known int64, err error) {
	return i.stored, i.known, i.broken
}
func (i *installation) Durability(context.Context) ([]ca.Durability, error) {
	return i.durability, i.broken
}
func (i *installation) Now(context.Context) (time.Time, error) { return now.Add(i.skew), i.broken }
func (i *installation) Replicas(context.Context, time.Duration) ([]ca.Replica, error) {
	return i.replicas, i.broken
}
func (i *installation) CRLHeads(context.Context) ([]ca.CRLHead, error) { return i.heads, i.broken }
func (i *installation) FindCertificates(context.Context, *ca.Filter) ([]ca.Certificate, error) {
	return i.issued, i.broken
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certificate makes one that parent signs, itself where that is nil.
func certificate(t testing.TB, c, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func newInstallation(t testing.TB) *installation {
	i := &installation{TB: t, stored: 7, known: 7, key: newKey(t), served: map[string][]byte{},
		durability: []ca.Durability{{Setting: "fsync", Value: "on", Safe: true}},
		heads:      []ca.CRLHead{{Tenant: "default", CA: "issuing", Scope: "g1", Number: 5, Complete: 5}}}
	i.issuer = certificate(t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: xpkix.Name{CommonName: "CA"}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3}}, nil, i.key, i.key)
	i.leaf = certificate(t, &x509.Certificate{SerialNumber: big.NewInt(0x7bcd), NotBefore: now.AddDate(0, 0, -30), NotAfter: now.AddDate(0, 0, 60)}, i.issuer, newKey(t), i.key)
	i.issued = []ca.Certificate{{DER: i.leaf.Raw}}
	i.served[base+"/aia"] = i.issuer.Raw
	i.crl(5, now.Add(-time.Hour), 7*24*time.Hour, i.key)
	i.ocsp(ocsp.Good, now.Add(time.Hour))
	return i
}

func (i *installation) crl(number int64, from time.Time, life time.Duration, key *ecdsa.PrivateKey) {
	i.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: from, NextUpdate: from.Add(life)}, i.issuer, i.key)
	if err != nil {
		i.Fatal(err)
	}
	if key != i.key { // a signature that is wrong
		der[len(der)-1] ^= 1
	}
	i.served[base+"/crl"] = der
}

func (i *installation) ocsp(status int, until time.Time) {
	i.Helper()
	der, err := ocsp.CreateResponse(i.issuer, i.issuer, ocsp.Response{Status: status, SerialNumber: i.leaf.SerialNumber, ThisUpdate: now.Add(-time.Hour), NextUpdate: until,
		RevokedAt: now}, i.key)
	if err != nil {
		i.Fatal(err)
	}
	i.served[base+"/ocsp"] = der
}

func (i *installation) fetch(_ context.Context, url string, body []byte) ([]byte, string, error) {
	if (url == base+"/ocsp") != (body != nil) {
		i.Errorf("%s was asked with %d octets", url, len(body))
	}
	content, ok := i.served[url]
	if !ok {
		return nil, "", errors.New("connection refused")
	}
	return content, "text/plain", nil
}

// want finds the one finding about something and its status.
func want(t testing.TB, f Findings, what string, status Status) {
	t.Helper()
	for _, one := range f {
		if one.What != what {
			continue
		}
		if one.Status != status || (one.Status == OK) != (one.Do == "") || one.Found == "" {
			t.Errorf("%+v, want %s", one, status)
		}
		return
	}
	t.Errorf("nothing was found about %s: %+v", what, f)
}
