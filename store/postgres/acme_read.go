package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// Account implements state.Store.
func (s *Store) Account(ctx context.Context, tenant, endpoint, id string) (*state.Account, error) {
	return s.account(tenant, endpoint, s.pool.QueryRow(ctx, sql.AccountFind, tenant, endpoint, id))
}

// AccountByKey implements state.Store.
func (s *Store) AccountByKey(ctx context.Context, tenant, endpoint string, thumbprint [32]byte) (*state.Account, error) {
	return s.account(tenant, endpoint, s.pool.QueryRow(ctx, sql.AccountByKey, tenant, endpoint, thumbprint[:]))
}

func (s *Store) account(tenant, endpoint string, row pgx.Row) (*state.Account, error) {
	a := &state.Account{Tenant: tenant, Endpoint: endpoint}
	var thumbprint, external, former []byte
	if err := row.Scan(&a.ID, &a.Status, &a.Key, &thumbprint, &a.Contact, &a.TermsAgreed, &a.CreatedAt, &a.Agreed, &external, &a.Preauthorized, &former); err != nil {
		return nil, readError(err, "account")
	}
	if external != nil {
		if err := json.Unmarshal(external, &a.External); err != nil {
			return nil, ca.InternalError(fmt.Errorf("the external account of account %s: %w", a.ID, err))
		}
	}
	if len(thumbprint) != len(a.Thumbprint) || len(former)%len(a.Thumbprint) != 0 {
		return nil, ca.InternalError(fmt.Errorf("key thumbprints of %d and %d octets are stored", len(thumbprint), len(former)))
	}
	for one := range slices.Chunk(former, len(a.Thumbprint)) {
		a.Former = append(a.Former, [32]byte(one))
	}
	a.Thumbprint, a.CreatedAt = [32]byte(thumbprint), a.CreatedAt.UTC()
	if len(a.Contact) == 0 {
		a.Contact = nil
	}
	return a, nil
}

// orderRow takes the columns of an order that are not plain.
type orderRow struct {
	identifiers, serial []byte
	notBefore, notAfter *time.Time
}

func (r *orderRow) into(o *state.Order) []any {
	return []any{&o.Account, &o.Status, &r.identifiers, &r.notBefore, &r.notAfter, &o.CreatedAt, &o.Expires, &o.Authorizations,
		&o.Certificate, &o.CA, &r.serial, &o.Error, &o.Profile, &o.Replaces}
}

func (r *orderRow) finish(o *state.Order) (err error) {
	if err := json.Unmarshal(r.identifiers, &o.Identifiers); err != nil {
		return fmt.Errorf("the identifiers of order %s: %w", o.ID, err)
	}
	o.NotBefore, o.NotAfter, o.CreatedAt, o.Expires = orZero(r.notBefore), orZero(r.notAfter), o.CreatedAt.UTC(), o.Expires.UTC()
	if r.serial != nil {
		o.Serial, err = serialOf(r.serial)
	}
	return err
}

// Order implements state.Store. Order and authorizations come by one statement,
// so they belong together.
func (s *Store) Order(ctx context.Context, tenant, endpoint, id string) (*state.Order, []*state.Authorization, error) {
	rows, err := s.pool.Query(ctx, sql.OrderFind, tenant, endpoint, id)
	if err != nil {
		return nil, nil, readError(err, "order")
	}
	defer rows.Close()
	var o *state.Order
	found := map[string]*state.Authorization{}
	for rows.Next() {
		next := &state.Order{Tenant: tenant, Endpoint: endpoint, ID: id}
		var r orderRow
		var a struct {
			id, account, kind, value, status *string
			wildcard                         *bool
			created, expires                 *time.Time
			challenges                       []byte
		}
		into := append(r.into(next), &a.id, &a.account, &a.kind, &a.value, &a.wildcard, &a.status, &a.created, &a.expires, &a.challenges)
		if err := rows.Scan(into...); err != nil {
			return nil, nil, readError(err, "order")
		}
		if o == nil {
			if err := r.finish(next); err != nil {
				return nil, nil, ca.InternalError(err)
			}
			o = next
		}
		if a.id == nil {
			continue // the outer join found none
		}
		z := &state.Authorization{Tenant: tenant, Endpoint: endpoint, ID: *a.id, Account: *a.account,
			Identifier: state.Identifier{Type: *a.kind, Value: *a.value}, Wildcard: *a.wildcard, Status: state.Status(*a.status),
			CreatedAt: a.created.UTC(), Expires: a.expires.UTC()}
		if err := json.Unmarshal(a.challenges, &z.Challenges); err != nil {
			return nil, nil, ca.InternalError(fmt.Errorf("the challenges of authorization %s: %w", z.ID, err))
		}
		found[z.ID] = z
	}
	if err := rows.Err(); err != nil {
		return nil, nil, readError(err, "order")
	}
	if o == nil {
		return nil, nil, readError(pgx.ErrNoRows, "order")
	}
	ordered := make([]*state.Authorization, len(o.Authorizations))
	for i, id := range o.Authorizations {
		if ordered[i] = found[id]; ordered[i] == nil {
			return nil, nil, ca.InternalError(fmt.Errorf("order %s names an authorization that is not stored", o.ID))
		}
	}
	return o, ordered, nil
}

// OrderByCertificate implements state.Store.
func (s *Store) OrderByCertificate(ctx context.Context, tenant, endpoint, certificate string) (*state.Order, error) {
	o := &state.Order{Tenant: tenant, Endpoint: endpoint}
	var r orderRow
	err := s.pool.QueryRow(ctx, sql.OrderByCertificate, tenant, endpoint, certificate).Scan(append([]any{&o.ID}, r.into(o)...)...)
	if err != nil {
		return nil, readError(err, "certificate")
	}
	if err := r.finish(o); err != nil {
		return nil, ca.InternalError(err)
	}
	return o, nil
}

// Authorization implements state.Store.
func (s *Store) Authorization(ctx context.Context, tenant, endpoint, id string) (*state.Authorization, error) {
	a := &state.Authorization{Tenant: tenant, Endpoint: endpoint, ID: id}
	var challenges []byte
	err := s.pool.QueryRow(ctx, sql.AuthorizationFind, tenant, endpoint, id).Scan(&a.Account, &a.Identifier.Type, &a.Identifier.Value,
		&a.Wildcard, &a.Status, &a.CreatedAt, &a.Expires, &challenges)
	if err != nil {
		return nil, readError(err, "authorization")
	}
	a.CreatedAt, a.Expires = a.CreatedAt.UTC(), a.Expires.UTC()
	if err := json.Unmarshal(challenges, &a.Challenges); err != nil {
		return nil, ca.InternalError(fmt.Errorf("the challenges of authorization %s: %w", id, err))
	}
	return a, nil
}

// Orders implements state.Store.
func (s *Store) Orders(ctx context.Context, tenant, endpoint, account, after string, limit int) ([]string, error) {
	rows, err := s.pool.Query(ctx, sql.OrdersOf, s.offset(), tenant, endpoint, account, after, limit)
	if err != nil {
		return nil, readError(err, "order")
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return ids, readError(err, "order")
}

// Preauthorizations implements state.Store.
func (s *Store) Preauthorizations(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error) {
	return s.authorizations(ctx, tenant, endpoint, sql.Preauthorizations, s.offset(), tenant, endpoint, account)
}

// HeldAuthorizations implements state.Store.
func (s *Store) HeldAuthorizations(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error) {
	return s.authorizations(ctx, tenant, endpoint, sql.HeldAuthorizations, s.offset(), tenant, endpoint, account, state.HeldOrders)
}

func (s *Store) authorizations(ctx context.Context, tenant, endpoint, statement string, args ...any) ([]*state.Authorization, error) {
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, readError(err, "authorization")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*state.Authorization, error) {
		a := &state.Authorization{Tenant: tenant, Endpoint: endpoint}
		var challenges []byte
		if err := row.Scan(&a.ID, &a.Account, &a.Identifier.Type, &a.Identifier.Value, &a.Wildcard, &a.Status, &a.CreatedAt, &a.Expires, &challenges); err != nil {
			return nil, err
		}
		a.CreatedAt, a.Expires = a.CreatedAt.UTC(), a.Expires.UTC()
		return a, json.Unmarshal(challenges, &a.Challenges)
	})
	return all, readError(err, "authorization")
}
