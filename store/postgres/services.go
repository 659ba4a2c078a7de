package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
)

func serviceSlot(c *ca.ServiceCertificate) slot {
	return slot{classService, c.Tenant, c.CA + "\x00" + c.Service}
}

// KeepServiceCertificate implements ca.ServiceCertificates.
func (s *Store) KeepServiceCertificate(c *ca.ServiceCertificate) ca.Effect {
	kept := *c
	return ca.NewEffect(&effect{store: s, tenant: c.Tenant, step: func(e *ca.Entry) (step, error) {
		if e == nil {
			return step{}, errors.New("a service certificate can only be kept together with its issuance")
		}
		return step{slot: serviceSlot(&kept), sql: sql.ServiceAdd, args: []any{s.offset(), kept.Tenant, kept.CA, kept.Service, kept.Number,
			notNil(e.Certificate.DER), e.Certificate.NotAfter, kept.Sealed, kept.KeyURI}}, nil
	}})
}

// ServiceCertificates implements ca.ServiceCertificates.
func (s *Store) ServiceCertificates(ctx context.Context, tenant, caID, service string) ([]ca.ServiceCertificate, error) {
	rows, err := s.pool.Query(ctx, sql.Services, tenant, caID, service)
	if err != nil {
		return nil, readError(err, "service certificate")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ca.ServiceCertificate, error) {
		c := ca.ServiceCertificate{Tenant: tenant, CA: caID, Service: service}
		err := row.Scan(&c.Number, &c.DER, &c.NotAfter, &c.Sealed, &c.KeyURI, &c.CreatedAt)
		c.NotAfter, c.CreatedAt = c.NotAfter.UTC(), c.CreatedAt.UTC()
		return c, err
	})
	return all, readError(err, "service certificate")
}

// ForgetServiceCertificate implements ca.ServiceCertificates.
func (s *Store) ForgetServiceCertificate(ctx context.Context, l *ca.Lease, c *ca.ServiceCertificate, a ca.Audit) error {
	w := &work{audit: []ca.Audit{a}, steps: []step{{slot: serviceSlot(c), sql: sql.ServiceForget, args: []any{c.Tenant, c.CA, c.Service, c.Number},
		lost: ca.Errorf(ca.Conflict, "service certificate %d of CA %s is in use, or is gone", c.Number, c.CA)}}}
	if l != nil {
		held := s.held(l)
		held.lost = ca.LeaseLost(l)
		w.steps = append(w.steps, held)
	}
	return s.submit(ctx, w)
}

var _ ca.ServiceCertificates = (*Store)(nil)
