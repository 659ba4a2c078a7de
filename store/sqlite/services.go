package sqlite

import (
	"context"
	"database/sql"

	"github.com/enrollgate/enrollgate/ca"
)

// KeepServiceCertificate implements ca.ServiceCertificates.
func (s *Store) KeepServiceCertificate(c *ca.ServiceCertificate) ca.Effect {
	kept := *c
	return ca.NewEffect(&effect{owner: s, tenant: c.Tenant, query: insertService, issues: true, args: func(b *batch, e *ca.Entry) []any {
		return []any{kept.Tenant, kept.CA, kept.Service, kept.Number, octets(e.Certificate.DER), micros(e.Certificate.NotAfter), kept.Sealed, kept.KeyURI, micros(b.now)}
	}})
}

// ServiceCertificates implements ca.ServiceCertificates.
func (s *Store) ServiceCertificates(ctx context.Context, tenant, issuer, service string) ([]ca.ServiceCertificate, error) {
	rows, err := s.read[selectServices].QueryContext(ctx, tenant, issuer, service)
	return collect(rows, err, func(rows *sql.Rows) (ca.ServiceCertificate, error) {
		c := ca.ServiceCertificate{Tenant: tenant, CA: issuer, Service: service}
		var end, at int64
		err := rows.Scan(&c.Number, &c.DER, &end, &c.Sealed, &c.KeyURI, &at)
		c.NotAfter, c.CreatedAt = fromMicros(end), fromMicros(at)
		return c, err
	})
}

// ForgetServiceCertificate implements ca.ServiceCertificates.
func (s *Store) ForgetServiceCertificate(ctx context.Context, l *ca.Lease, c *ca.ServiceCertificate, a ca.Audit) error {
	gone := *c
	return s.change(ctx, func(b *batch) error {
		if err := b.holds(l); err != nil {
			return err
		}
		n, err := b.exec(forgetService, gone.Tenant, gone.CA, gone.Service, gone.Number)
		if err == nil && n == 0 {
			err = ca.Errorf(ca.Conflict, "service certificate %d of CA %s is in use, or is gone", gone.Number, gone.CA)
		}
		return err
	}, a)
}

var _ ca.ServiceCertificates = (*Store)(nil)
