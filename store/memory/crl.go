package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
)

type (
	scopeKey struct{ tenant, ca, scope string }
	crlKey   struct {
		scopeKey
		number int64
	}
)

// PublishCRL implements ca.CRLs. Nothing is ever dropped: all is gone with the Store.
func (s *Store) PublishCRL(ctx context.Context, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
	if err := c.Check(); err != nil {
		return err
	}
	return s.change(ctx, func(t *tx) error {
		if l != nil && !t.holds(l) {
			return ca.LeaseLost(l)
		}
		key := scopeKey{c.Tenant, c.CA, c.Scope}
		h := t.crlHeads[key]
		if c.Number <= h.Number || c.Position < h.Position || c.Base > h.Complete {
			return c.TooLate()
		}
		h = ca.CRLHead{Tenant: c.Tenant, CA: c.CA, Scope: c.Scope, Number: c.Number, Position: c.Position, Complete: h.Complete, Delta: h.Delta}
		if c.Base == 0 {
			h.Complete = c.Number
		} else {
			h.Delta = c.Number
		}
		set(t, t.crlHeads, key, h)
		kept := *c
		kept.DER, kept.URLs = bytes.Clone(c.DER), slices.Clone(c.URLs)
		set(t, t.crls, crlKey{key, c.Number}, kept)
		return nil
	}, a)
}

// CRLHeads implements ca.CRLs.
func (s *Store) CRLHeads(context.Context) (heads []ca.CRLHead, _ error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, h := range s.crlHeads {
		heads = append(heads, h)
	}
	slices.SortFunc(heads, func(a, b ca.CRLHead) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.CA, b.CA), cmp.Compare(a.Scope, b.Scope))
	})
	return heads, nil
}

// CRL implements ca.CRLs.
func (s *Store) CRL(_ context.Context, tenant, issuer, scope string, number int64) (*ca.CRL, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.crls[crlKey{scopeKey{tenant, issuer, scope}, number}]
	if !ok {
		return nil, ca.Errorf(ca.NotFound, "there is no such CRL")
	}
	return &c, nil
}

var _ ca.CRLs = (*Store)(nil)
