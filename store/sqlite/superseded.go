package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/enrollgate/enrollgate/ca"
)

// supersede puts the certificate that an entry replaces on the list of those that are revoked for it.
func (b *batch) supersede(e *ca.Entry) error {
	if !e.RevokeReplaced {
		return nil
	}
	old, c := e.Replaces, &e.Certificate
	_, err := b.exec(putSuperseded, c.Tenant, c.CA, int64(old.Month()), old[:], c.Serial[:], micros(b.now.Add(e.Overlap)), micros(old.EndOfMonth()))
	return err
}

// DueSuperseded lists what is to be revoked now.
func (s *Store) DueSuperseded(ctx context.Context, limit int) ([]ca.SupersededCertificate, error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	rows, err := s.read[selectSuperseded].QueryContext(ctx, micros(s.now()), limit)
	return collect(rows, err, func(rows *sql.Rows) (c ca.SupersededCertificate, err error) {
		var serial, by []byte
		var due int64
		if err := rows.Scan(&c.Tenant, &c.CA, &serial, &by, &due); err != nil {
			return c, err
		}
		if len(serial) != ca.SerialSize || len(by) != ca.SerialSize {
			return c, fmt.Errorf("a superseded certificate has serials of %d and %d octets", len(serial), len(by))
		}
		c.Serial, c.By, c.Due = ca.Serial(serial), ca.Serial(by), fromMicros(due)
		return c, nil
	})
}

// StrikeSuperseded makes the effect that takes one off the list.
func (s *Store) StrikeSuperseded(tenant, id string, serial ca.Serial) ca.Effect {
	return s.effect(tenant, strikeSuperseded, func(*batch, *ca.Entry) []any { return []any{tenant, id, serial[:]} })
}

var _ ca.SupersededStore = (*Store)(nil)
