package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
)

// PublishCRL implements ca.CRLs. The parts are commits of their own, so that
// what waits behind them does not wait for all; nobody sees them before the
// last commit, which has the guards.
func (s *Store) PublishCRL(ctx context.Context, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
	if err := c.Check(); err != nil {
		return err
	}
	parts := 0
	for rest := c.DER; len(rest) > 0; parts++ {
		part := rest[:min(len(rest), ca.CRLPart)]
		rest = rest[len(part):]
		err := s.change(ctx, func(b *batch) error {
			if err := b.holds(l); err != nil {
				return err
			}
			_, err := b.exec(insertCRLPart, c.Tenant, c.CA, c.Scope, c.SHA256[:], parts, part)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.change(ctx, func(b *batch) error {
		if err := b.holds(l); err != nil {
			return err
		}
		won, err := b.exec(putCRLHead, c.Tenant, c.CA, c.Scope, c.Number, c.Position, c.Base, c.SHA256[:], parts)
		if err != nil {
			return err
		}
		if won == 0 {
			return c.TooLate()
		}
		if _, err := b.exec(insertCRL, c.Tenant, c.CA, c.Scope, c.Number, c.Base, c.Position, micros(c.ThisUpdate), micros(c.NextUpdate),
			strings.Join(c.URLs, "\n"), c.Entries, c.SHA256[:], c.Size, micros(b.now)); err != nil {
			return err
		}
		_, err = b.exec(dropCRLParts, c.Tenant, c.CA, c.Scope, ca.CRLsKept)
		return err
	}, a)
}

// holds lets a commit through only while the lease, where there is one, is held.
func (b *batch) holds(l *ca.Lease) error {
	if l == nil {
		return nil
	}
	held, err := b.exec(heldLease, l.Name, l.Holder, l.Fence, micros(b.now))
	if err == nil && held == 0 {
		return ca.LeaseLost(l)
	}
	return err
}

// CRLHeads implements ca.CRLs.
func (s *Store) CRLHeads(ctx context.Context) ([]ca.CRLHead, error) {
	rows, err := s.read[selectCRLHeads].QueryContext(ctx)
	return collect(rows, err, func(rows *sql.Rows) (h ca.CRLHead, err error) {
		return h, rows.Scan(&h.Tenant, &h.CA, &h.Scope, &h.Number, &h.Position, &h.Complete, &h.Delta)
	})
}

// CRL implements ca.CRLs.
func (s *Store) CRL(ctx context.Context, tenant, issuer, scope string, number int64) (*ca.CRL, error) {
	c := &ca.CRL{Tenant: tenant, CA: issuer, Scope: scope, Number: number}
	var this, next int64
	var urls string
	var digest []byte
	err := s.read[selectCRL].QueryRowContext(point(ctx), tenant, issuer, scope, number).
		Scan(&c.Base, &c.Position, &this, &next, &urls, &c.Entries, &digest, &c.Size)
	if err != nil {
		return nil, readError(err, "there is no such CRL")
	}
	c.ThisUpdate, c.NextUpdate = fromMicros(this), fromMicros(next)
	copy(c.SHA256[:], digest) // the table holds 32 octets
	if urls != "" {
		c.URLs = strings.Split(urls, "\n")
	}
	rows, err := s.read[selectCRLParts].QueryContext(ctx, tenant, issuer, scope, digest)
	c.DER = make([]byte, 0, c.Size)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var part sql.RawBytes
		err = rows.Scan(&part)
		c.DER = append(c.DER, part...)
		return none, err
	})
	switch {
	case err != nil:
		return nil, err
	case len(c.DER) == 0:
		return nil, ca.Errorf(ca.NotFound, "the bytes of the CRL were dropped; a newer one was published")
	}
	if err := c.Check(); err != nil {
		return nil, ca.InternalError(fmt.Errorf("sqlite: %w", err))
	}
	return c, nil
}

var _ ca.CRLs = (*Store)(nil)
