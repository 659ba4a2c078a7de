package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/enrollgate/enrollgate/ca"
)

// PublishCRL implements ca.CRLs. The parts are written in a transaction of
// their own, so that the batch with the guards is short; nobody sees them before.
func (s *Store) PublishCRL(ctx context.Context, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
	if err := c.Check(); err != nil {
		return err
	}
	parts := 0
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if s.pooled {
			if _, err := tx.Exec(ctx, sql.Pin, s.durability, statementTimeout, lockTimeout); err != nil {
				return err
			}
		}
		for rest := c.DER; len(rest) > 0; parts++ {
			part := rest[:min(len(rest), ca.CRLPart)]
			rest = rest[len(part):]
			if _, err := tx.Exec(ctx, sql.CRLPartAdd, c.Tenant, c.CA, c.Scope, c.SHA256[:], parts, part); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return answerOf(err)
	}
	at := c.CA + "\x00" + c.Scope
	urls := c.URLs
	if urls == nil {
		urls = []string{}
	}
	w := &work{audit: []ca.Audit{a}, steps: []step{
		{slot: slot{classCRL, c.Tenant, at}, sql: sql.CRLPublish,
			lost: c.TooLate(),
			args: []any{s.offset(), c.Tenant, c.CA, c.Scope, c.Number, c.Position, c.Base, c.SHA256[:], parts, c.ThisUpdate, c.NextUpdate, urls,
				c.Entries, c.Size}},
		{slot: slot{classCRL, c.Tenant, at + "\x00"}, sql: sql.CRLPartsDrop, always: true, args: []any{c.Tenant, c.CA, c.Scope, ca.CRLsKept}},
	}}
	if l != nil {
		held := s.held(l)
		held.lost = ca.LeaseLost(l)
		w.steps = append(w.steps, held)
	}
	return s.submit(ctx, w)
}

// CRLHeads implements ca.CRLs.
func (s *Store) CRLHeads(ctx context.Context) ([]ca.CRLHead, error) {
	rows, err := s.pool.Query(ctx, sql.CRLHeads)
	if err != nil {
		return nil, readError(err, "CRL")
	}
	heads, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ca.CRLHead])
	return heads, readError(err, "CRL")
}

// CRL implements ca.CRLs.
func (s *Store) CRL(ctx context.Context, tenant, caID, scope string, number int64) (*ca.CRL, error) {
	c := &ca.CRL{Tenant: tenant, CA: caID, Scope: scope, Number: number}
	var digest []byte
	err := s.pool.QueryRow(ctx, sql.CRLFind, tenant, caID, scope, number).
		Scan(&c.Base, &c.Position, &c.ThisUpdate, &c.NextUpdate, &c.URLs, &c.Entries, &digest, &c.Size)
	if err != nil {
		return nil, readError(err, "CRL")
	}
	c.ThisUpdate, c.NextUpdate = c.ThisUpdate.UTC(), c.NextUpdate.UTC()
	copy(c.SHA256[:], digest) // the table holds 32 octets
	if len(c.URLs) == 0 {
		c.URLs = nil
	}
	rows, err := s.pool.Query(ctx, sql.CRLParts, tenant, caID, scope, digest)
	if err != nil {
		return nil, readError(err, "CRL")
	}
	c.DER = make([]byte, 0, c.Size)
	var part pgtype.DriverBytes // valid until the next row: copied once
	if _, err := pgx.ForEachRow(rows, []any{&part}, func() error {
		c.DER = append(c.DER, part...)
		return nil
	}); err != nil {
		return nil, readError(err, "CRL")
	}
	if len(c.DER) == 0 {
		return nil, ca.Errorf(ca.NotFound, "the bytes of the CRL were dropped; a newer one was published")
	}
	if err := c.Check(); err != nil {
		return nil, ca.InternalError(fmt.Errorf("postgres: %w", err))
	}
	return c, nil
}

var _ ca.CRLs = (*Store)(nil)
