package main

import (
	"crypto/ecdsa"
	"io"
	"log/slog"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

const (
	limitLint     = "lint, per certificate"
	limitFullLint = "lint, first certificate of a shape"
)

// linting gives what lint does with a P-256 server certificate: of a shape
// that it has seen, and with nothing remembered.
func linting(key *ecdsa.PrivateKey) (known, full func() error, err error) {
	t, err := serverTemplate(key)
	if err != nil {
		return nil, nil, err
	}
	tbs, err := t.MarshalTBS()
	if err != nil {
		return nil, nil, err
	}
	remembering, err := lint.New(lint.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, nil, err
	}
	return func() error { return remembering.Lint(tbs, t, "") }, func() error { return lint.Linter{}.Lint(tbs, t, "") }, nil
}

// serverTemplate is what the ACME profiles make, issued by its own key.
func serverTemplate(key *ecdsa.PrivateKey) (*pkix.Template, error) {
	public, err := pkix.NewPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	algorithm, err := pkix.SignatureFor(public)
	if err != nil {
		return nil, err
	}
	until := time.Now().AddDate(1, 0, 0)
	serial := ca.NewSerial(until)
	t := &pkix.Template{Serial: serial[:], Signature: algorithm, NotBefore: time.Now(), NotAfter: until, Key: public}
	for name, to := range map[string]*pkix.RawName{"Bench CA": &t.Issuer, "host.bench.example": &t.Subject} {
		if *to, err = pkix.MarshalName([]pkix.RDN{{{Type: pkix.OID{2, 5, 4, 3}, Tag: 12, Value: []byte(name)}}}); err != nil {
			return nil, err
		}
	}
	for _, make := range []func() (pkix.Extension, error){
		func() (pkix.Extension, error) { return pkix.MarshalBasicConstraints(false, -1) },
		func() (pkix.Extension, error) { return pkix.MarshalKeyUsage(pkix.DigitalSignature) },
		func() (pkix.Extension, error) {
			return pkix.MarshalExtKeyUsage([]pkix.OID{pkix.ExtKeyUsages["serverAuth"]}, false)
		},
		func() (pkix.Extension, error) { return pkix.MarshalSubjectKeyID(public.KeyID()) },
		func() (pkix.Extension, error) { return pkix.MarshalAuthorityKeyID(public.KeyID()) },
		func() (pkix.Extension, error) {
			return pkix.MarshalAuthorityInfoAccess([]string{"http://pki.example/ocsp"}, []string{"http://pki.example/ca.cer"})
		},
		func() (pkix.Extension, error) {
			return pkix.MarshalCRLDistributionPoints([]string{"http://pki.example/ca.crl"})
		},
		func() (pkix.Extension, error) {
			return pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS("host.bench.example")}, false)
		},
	} {
		e, err := make()
		if err != nil {
			return nil, err
		}
		t.Extensions = append(t.Extensions, e)
	}
	return t, nil
}
