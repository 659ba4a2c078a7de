package admin

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/service"
)

// Authority is one generation of a CA as lists show it.
type Authority struct {
	Tenant       string    `json:"tenant"`
	CA           string    `json:"ca"`
	Generation   int       `json:"generation"`
	Current      bool      `json:"current"` // the one that signs
	Subject      string    `json:"subject"`
	Root         string    `json:"root"` // subject of the trust anchor
	Key          string    `json:"key"`  // key URI; it never holds a secret
	KeyAlgorithm string    `json:"key_algorithm"`
	KeyID        string    `json:"key_id"` // hexadecimal
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	DaysLeft     int       `json:"days_left"` // whole days; below 0 once expired
	CreatedAt    time.Time `json:"created_at,omitzero"`
	RA           *RA       `json:"ra,omitempty"` // the CA's, with its current generation
}

// RA is the current certificate of a CA's registration authority as lists show it.
type RA struct {
	Number   int       `json:"number"`
	Serial   string    `json:"serial"`
	Key      string    `json:"key,omitempty"` // key URI; none where the key is sealed in the store
	NotAfter time.Time `json:"not_after"`
	DaysLeft int       `json:"days_left"` // as those of the CA
}

// Listed is what lists of CAs ask of a store.
type Listed interface {
	ca.Generations
	ca.ServiceCertificates
}

// Authorities lists every generation of every CA of the tenants, by tenant, CA
// and generation.
func Authorities(ctx context.Context, store Listed, tenants []string, now time.Time) ([]Authority, error) {
	all := []Authority{}
	for _, tenant := range tenants {
		generations, err := store.Generations(ctx, tenant)
		if err != nil {
			return nil, err
		}
		activations, err := store.Activations(ctx, tenant)
		if err != nil {
			return nil, err
		}
		for i := range generations {
			a, err := DescribeAuthority(&generations[i], now)
			if err != nil {
				return nil, err
			}
			if a.Current = a.Generation == ca.Signing(activations, a.CA, now); a.Current {
				if a.RA, err = currentRA(ctx, store, a, now); err != nil {
					return nil, err
				}
			}
			all = append(all, *a)
		}
	}
	return all, nil
}

// currentRA gives the certificate in use of a CA's registration authority, nil for none.
func currentRA(ctx context.Context, store ca.ServiceCertificates, a *Authority, now time.Time) (*RA, error) {
	all, err := store.ServiceCertificates(ctx, a.Tenant, a.CA, service.RAName)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	c := all[len(all)-1]
	cert, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return &RA{Number: c.Number, Serial: hex.EncodeToString(cert.Serial), Key: c.KeyURI, NotAfter: c.NotAfter, DaysLeft: daysLeft(c.NotAfter, now)}, nil
}

// daysLeft is in whole days, below 0 once it ended.
func daysLeft(end, now time.Time) int {
	left := end.Sub(now)
	days := int(left / (24 * time.Hour))
	if left < 0 {
		days--
	}
	return days
}

// DescribeAuthority reads one generation; Current stays false.
func DescribeAuthority(g *ca.Generation, now time.Time) (*Authority, error) {
	cert, err := pkix.ParseCertificate(g.DER)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	root, err := pkix.ParseCertificate(g.Root)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return &Authority{Tenant: g.Tenant, CA: g.CA, Generation: g.Number, Subject: cert.Subject.String(), Root: root.Subject.String(), Key: g.KeyURI,
		KeyAlgorithm: cert.Key.Algorithm(), KeyID: hex.EncodeToString(cert.Key.KeyID()), NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		DaysLeft: daysLeft(cert.NotAfter, now), CreatedAt: g.CreatedAt}, nil
}

// ChainOf gives the certificates that verify an issued one, the issuer's first
// and the trust anchor last, in DER. NotFound where no generation signed it.
func ChainOf(ctx context.Context, store ca.Generations, c *ca.Certificate) ([][]byte, error) {
	cert, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	generations, err := store.Generations(ctx, c.Tenant)
	if err != nil {
		return nil, err
	}
	for _, g := range generations {
		if g.CA != c.CA {
			continue
		}
		issuer, err := pkix.ParseCertificate(g.DER)
		if err != nil {
			return nil, ca.InternalError(err)
		}
		if string(cert.Issuer) != string(issuer.Subject) || cert.CheckSignatureFrom(issuer.Key) != nil {
			continue // another generation's
		}
		chain := append([][]byte{g.DER}, g.Chain...)
		if string(g.DER) != string(g.Root) {
			chain = append(chain, g.Root)
		}
		return chain, nil
	}
	return nil, ca.Errorf(ca.NotFound, "no generation of CA %s signed the certificate", c.CA)
}
