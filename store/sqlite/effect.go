package sqlite

import (
	"errors"

	"github.com/enrollgate/enrollgate/ca"
)

// effect is what the driver's ca.Effect values wrap: one guard-and-set
// statement. The entry is nil in a revocation.
type effect struct {
	owner  *Store
	tenant string // "": belongs to no tenant
	query  query
	args   func(b *batch, e *ca.Entry) []any
	issues bool // needs an entry: it records which certificate was issued
}

// own unwraps effects and refuses those of another store or tenant.
func (s *Store) own(tenant string, effects []ca.Effect, issuing bool) ([]*effect, error) {
	var own []*effect
	for _, e := range effects {
		x, ok := e.Private().(*effect)
		switch {
		case !ok || x == nil || x.owner != s:
			return nil, ca.InternalError(errors.New("sqlite: an effect was not made by this store"))
		case x.tenant != "" && x.tenant != tenant:
			return nil, ca.InternalError(errors.New("sqlite: an effect was made for another tenant"))
		case x.issues && !issuing:
			return nil, ca.InternalError(errors.New("sqlite: an effect needs a certificate that is being issued"))
		}
		own = append(own, x)
	}
	return own, nil
}

// take runs effects in their order.
func (b *batch) take(effects []*effect, entry int, e *ca.Entry) error {
	for i, x := range effects {
		n, err := b.exec(x.query, x.args(b, e)...)
		if err != nil {
			return err
		}
		if n == 0 {
			return &ca.LostEffect{Entry: entry, Index: i}
		}
	}
	return nil
}

func (s *Store) effect(tenant string, q query, args func(*batch, *ca.Entry) []any) ca.Effect {
	return ca.NewEffect(&effect{owner: s, tenant: tenant, query: q, args: args})
}
