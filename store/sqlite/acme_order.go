package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// CreateOrder adds an order together with its authorizations.
func (s *Store) CreateOrder(ctx context.Context, o *state.Order, authorizations []*state.Authorization, n state.Nonce) error {
	identifiers, err := json.Marshal(o.Identifiers)
	if err != nil {
		return ca.InternalError(err)
	}
	ids, err := json.Marshal(o.Authorizations)
	if err != nil {
		return ca.InternalError(err)
	}
	rows := make([][]any, len(authorizations))
	for i, a := range authorizations {
		if rows[i], err = authorizationRow(a, o.ID, i); err != nil {
			return ca.InternalError(err)
		}
	}
	var certificate, issuer, serial any
	if o.Certificate != "" {
		certificate, issuer, serial = o.Certificate, o.CA, o.Serial[:]
	}
	return s.struck(ctx, o.Tenant, n, func(b *batch) error {
		if err := b.must("the order id is taken", insertOrder, o.Tenant, o.Endpoint, o.ID, o.Account, string(o.Status), string(identifiers),
			string(ids), micros(o.NotBefore), micros(o.NotAfter), micros(o.CreatedAt), micros(o.Expires), certificate, issuer, serial, o.Error, o.Profile, o.Replaces); err != nil {
			return err
		}
		for _, row := range rows {
			if err := b.must("the authorization id is taken", insertAuthorization, row...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Order finds an order and its authorizations, in the order of its identifiers.
func (s *Store) Order(ctx context.Context, tenant, endpoint, id string) (*state.Order, []*state.Authorization, error) {
	o, err := scanOrder(s.read[selectOrder].QueryRowContext(point(ctx), tenant, id, endpoint))
	if err != nil {
		return nil, nil, err
	}
	rows, err := s.read[selectAuthorizations].QueryContext(point(ctx), tenant, id)
	all, err := collect(rows, err, func(rows *sql.Rows) (*state.Authorization, error) { return scanAuthorization(rows) })
	if err != nil {
		return nil, nil, err
	}
	return o, all, nil
}

// Orders lists the ids of an account's orders that are not invalid.
func (s *Store) Orders(ctx context.Context, tenant, endpoint, account, after string, limit int) ([]string, error) {
	rows, err := s.read[selectOrdersOf].QueryContext(point(ctx), tenant, account, after, endpoint, micros(s.now()), limit)
	return collect(rows, err, func(rows *sql.Rows) (id string, err error) { return id, rows.Scan(&id) })
}

// OrderByCertificate finds the order that a certificate resource came from.
func (s *Store) OrderByCertificate(ctx context.Context, tenant, endpoint, certificate string) (*state.Order, error) {
	return scanOrder(s.read[selectOrderByCertificate].QueryRowContext(point(ctx), tenant, certificate, endpoint))
}

func scanOrder(row *sql.Row) (*state.Order, error) {
	o := &state.Order{}
	var identifiers, ids, serial []byte
	var from, until sql.NullInt64
	var created, expires int64
	var certificate, issuer sql.NullString
	err := row.Scan(&o.Tenant, &o.Endpoint, &o.ID, &o.Account, &o.Status, &identifiers, &ids, &from, &until, &created, &expires,
		&certificate, &issuer, &serial, &o.Error, &o.Profile, &o.Replaces)
	if err != nil {
		return nil, readError(err, "there is no such order")
	}
	o.NotBefore, o.NotAfter, o.CreatedAt, o.Expires = fromNullMicros(from), fromNullMicros(until), fromMicros(created), fromMicros(expires)
	o.Certificate, o.CA = certificate.String, issuer.String
	copy(o.Serial[:], serial)
	if err := json.Unmarshal(identifiers, &o.Identifiers); err != nil {
		return nil, ca.InternalError(err)
	}
	if err := json.Unmarshal(ids, &o.Authorizations); err != nil {
		return nil, ca.InternalError(err)
	}
	return o, nil
}

// FinishOrder makes the effect that turns a ready order into a valid one.
func (s *Store) FinishOrder(tenant, endpoint, order, certificate string, key [32]byte) ca.Effect {
	return ca.NewEffect(&effect{owner: s, tenant: tenant, query: finishOrder, issues: true, args: func(b *batch, e *ca.Entry) []any {
		return []any{certificate, e.Certificate.CA, e.Certificate.Serial[:], tenant, order, endpoint, micros(b.now), key[:]}
	}})
}

// ParkOrder makes the effect that turns a ready order into a processing one.
func (s *Store) ParkOrder(tenant, endpoint, order string, key [32]byte, until time.Time) ca.Effect {
	return s.effect(tenant, parkOrder, func(b *batch, _ *ca.Entry) []any {
		return []any{micros(until), tenant, order, endpoint, micros(b.now), key[:]}
	})
}

// FinishParkedOrder makes the effect that turns a processing order into a valid one.
func (s *Store) FinishParkedOrder(tenant, endpoint, order, certificate string) ca.Effect {
	return ca.NewEffect(&effect{owner: s, tenant: tenant, query: finishParkedOrder, issues: true, args: func(b *batch, e *ca.Entry) []any {
		return []any{certificate, e.Certificate.CA, e.Certificate.Serial[:], tenant, order, endpoint}
	}})
}

// RejectOrder makes the effect that turns a processing order into an invalid one.
func (s *Store) RejectOrder(tenant, endpoint, order string, problem []byte) ca.Effect {
	return s.effect(tenant, rejectOrder, func(*batch, *ca.Entry) []any { return []any{problem, tenant, order, endpoint} })
}
