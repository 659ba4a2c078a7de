package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
)

type serviceKey struct {
	tenant, ca, service string
	number              int
}

func keyOfService(c *ca.ServiceCertificate) serviceKey {
	return serviceKey{c.Tenant, c.CA, c.Service, c.Number}
}

// newer tells whether the service has a certificate with a number of at least n.
func (t *tx) newer(c *ca.ServiceCertificate, n int) bool {
	for k := range t.services {
		if k.tenant == c.Tenant && k.ca == c.CA && k.service == c.Service && k.number >= n {
			return true
		}
	}
	return false
}

// KeepServiceCertificate implements ca.ServiceCertificates.
func (s *Store) KeepServiceCertificate(c *ca.ServiceCertificate) ca.Effect {
	kept := *c
	return ca.NewEffect(&effect{owner: s, tenant: c.Tenant, issue: func(t *tx, e *ca.Entry) bool {
		if t.newer(&kept, kept.Number) {
			return false
		}
		added := kept
		added.DER, added.NotAfter, added.CreatedAt = bytes.Clone(e.Certificate.DER), e.Certificate.NotAfter, t.now
		set(t, t.services, keyOfService(&added), added)
		return true
	}})
}

// ServiceCertificates implements ca.ServiceCertificates.
func (s *Store) ServiceCertificates(_ context.Context, tenant, issuer, service string) (all []ca.ServiceCertificate, _ error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for k, c := range s.services {
		if k.tenant == tenant && k.ca == issuer && k.service == service {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b ca.ServiceCertificate) int { return cmp.Compare(a.Number, b.Number) })
	return all, nil
}

// ForgetServiceCertificate implements ca.ServiceCertificates.
func (s *Store) ForgetServiceCertificate(ctx context.Context, l *ca.Lease, c *ca.ServiceCertificate, a ca.Audit) error {
	return s.change(ctx, func(t *tx) error {
		if l != nil && !t.holds(l) {
			return ca.LeaseLost(l)
		}
		if _, ok := t.services[keyOfService(c)]; !ok || !t.newer(c, c.Number+1) {
			return ca.Errorf(ca.Conflict, "service certificate %d of CA %s is in use, or is gone", c.Number, c.CA)
		}
		remove(t, t.services, keyOfService(c))
		return nil
	}, a)
}

var _ ca.ServiceCertificates = (*Store)(nil)
