package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
)

func supersededSlot(tenant, id string, serial ca.Serial) slot {
	return slot{classSuperseded, tenant, id + "\x00" + string(serial[:])}
}

// supersede puts the certificate that an entry replaces on the list of those that are revoked for it.
func (w *work) supersede(s *Store, e *ca.Entry) {
	if !e.RevokeReplaced {
		return
	}
	c, old := &e.Certificate, e.Replaces
	w.steps = append(w.steps, step{slot: supersededSlot(c.Tenant, c.CA, old), sql: approving.SupersededAdd, always: true,
		args: []any{s.offset(), c.Tenant, c.CA, old[:], c.Serial[:], e.Overlap.Microseconds(), old.EndOfMonth()}})
}

// DueSuperseded implements ca.SupersededStore.
func (s *Store) DueSuperseded(ctx context.Context, limit int) ([]ca.SupersededCertificate, error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, approving.SupersededDue, s.offset(), limit)
	if err != nil {
		return nil, readError(err, "superseded certificate")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ca.SupersededCertificate, err error) {
		var serial, by []byte
		if err := row.Scan(&c.Tenant, &c.CA, &serial, &by, &c.Due); err != nil {
			return c, err
		}
		if c.Serial, err = serialOf(serial); err != nil {
			return c, err
		}
		c.Due = c.Due.UTC()
		c.By, err = serialOf(by)
		return c, err
	})
	return all, readError(err, "superseded certificate")
}

// StrikeSuperseded implements ca.SupersededStore.
func (s *Store) StrikeSuperseded(tenant, id string, serial ca.Serial) ca.Effect {
	return s.fixed(tenant, step{slot: supersededSlot(tenant, id, serial), sql: approving.SupersededStrike, args: []any{tenant, id, serial[:]}})
}

var _ ca.SupersededStore = (*Store)(nil)
