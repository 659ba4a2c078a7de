package probe

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// path is a certificate with the one that issued it, after every check of RFC 5280
// section 6.1.
type path struct{ leaf, issuer *x509.Certificate }

// check holds what was enrolled against what was asked for and the trust anchor.
func (o *Options) check(e *Enrolled) (p *path, note string, err error) {
	var chain []*x509.Certificate
	for i, der := range e.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, "", fmt.Errorf("certificate %d of the chain: %w", i+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, "", errors.New("the gateway gave no certificate")
	}
	leaf, now := chain[0], o.Now()
	if key, ok := leaf.PublicKey.(interface{ Equal(x crypto.PublicKey) bool }); !ok || !key.Equal(e.Key) {
		return nil, "", errors.New("the certificate has another key than was asked for")
	}
	if got, want := slices.Sorted(slices.Values(leaf.DNSNames)), slices.Sorted(slices.Values(e.Names)); !slices.Equal(got, want) ||
		len(leaf.IPAddresses)+len(leaf.EmailAddresses)+len(leaf.URIs) > 0 {
		return nil, "", failure("Look at subject_alt_name of the profile, and at `enrollgate explain` with the serial number.",
			"the certificate has the names %s and not %s", names(leaf), strings.Join(want, ", "))
	}
	if now.Before(leaf.NotBefore) || !now.Before(leaf.NotAfter) {
		return nil, "", failure("Compare the clocks of this machine and of the gateway; the profile's validity.backdate is for clients whose clocks run late.",
			"the certificate is valid from %s to %s, and here it is %s", stamp(leaf.NotBefore), stamp(leaf.NotAfter), stamp(now))
	}
	intermediates := x509.NewCertPool()
	for i, c := range chain[1:] {
		if err := chain[i].CheckSignatureFrom(c); err != nil { // RFC 8555 section 9.1: each certifies the one before
			return nil, "", fmt.Errorf("certificate %d of the chain did not issue the one before it: %w", i+2, err)
		}
		intermediates.AddCert(c)
	}
	paths, err := leaf.Verify(x509.VerifyOptions{Roots: o.Roots, Intermediates: intermediates, DNSName: e.Names[0], CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return nil, "", failure("Give the root that certificates of this CA chain to by --root; see which that is with `enrollgate ca list`.", "%w", err)
	}
	p = &path{leaf, leaf}
	if len(paths[0]) > 1 {
		p.issuer = paths[0][1]
	}
	return p, fmt.Sprintf("%d certificates to %s, until %s", len(paths[0]), paths[0][len(paths[0])-1].Subject, stamp(leaf.NotAfter)), nil
}

func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	all = append(all, c.EmailAddresses...)
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	return strings.Join(all, ", ")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
