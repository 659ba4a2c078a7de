package main

import (
	"crypto/ecdsa"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
)

const limitDecide = "decide, per certificate"

// deciding gives what a decision under the profile of ACME servers costs: a
// request for one name that was proven, lint aside. 30 µs is the target.
func deciding(key *ecdsa.PrivateKey, csr []byte) (func() error, error) {
	written, _, err := profile.BuiltinByID("privatessl-tls-server")
	if err != nil {
		return nil, err
	}
	p, err := profile.Compile(written)
	if err != nil {
		return nil, err
	}
	asked, possession, err := claim.VerifyCSR(csr, false)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	r := &ca.Request{Operation: ca.Enroll, Possession: possession, Asserted: ca.Asserted{Subject: asked.Subject, AltNames: asked.AltNames, Extensions: asked.Extensions}}
	for _, n := range asked.AltNames {
		c, err := claim.FromOffline(claim.NewOfflineVerifier(), claim.Offline{Kind: claim.DNS, Value: string(n.Raw), Method: claim.HTTP01, At: now})
		if err != nil {
			return nil, err
		}
		r.Claims = append(r.Claims, c)
	}
	t, err := serverTemplate(key)
	if err != nil {
		return nil, err
	}
	public, err := pkix.NewPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	issuer := &ca.Facts{Tenant: "default", CA: "issuing", Generation: 1, Subject: t.Issuer, KeyID: public.KeyID(), Key: public, Signature: t.Signature,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(5, 0, 0), AIA: []string{"http://pki.example/ca.cer"}, CDP: []string{"http://pki.example/ca.crl"},
		OCSP: []string{"http://pki.example/ocsp"}}
	return func() error { _, err := p.Decide(r, issuer, now); return err }, nil
}
