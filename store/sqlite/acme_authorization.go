package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

func authorizationRow(a *state.Authorization, order any, position int) ([]any, error) {
	identifier, err := json.Marshal(a.Identifier)
	if err != nil {
		return nil, err
	}
	challenges, err := json.Marshal(a.Challenges)
	if err != nil {
		return nil, err
	}
	return []any{a.Tenant, a.Endpoint, a.ID, a.Account, string(identifier), a.Wildcard, string(a.Status),
		micros(a.CreatedAt), micros(a.Expires), string(challenges), order, position}, nil
}

func scanAuthorization(row interface{ Scan(...any) error }) (*state.Authorization, error) {
	a := &state.Authorization{}
	var identifier, challenges []byte
	var created, expires int64
	err := row.Scan(&a.Tenant, &a.Endpoint, &a.ID, &a.Account, &identifier, &a.Wildcard, &a.Status, &created, &expires, &challenges)
	if err != nil {
		return nil, err
	}
	a.CreatedAt, a.Expires = fromMicros(created), fromMicros(expires)
	if err := json.Unmarshal(identifier, &a.Identifier); err != nil {
		return nil, err
	}
	return a, json.Unmarshal(challenges, &a.Challenges)
}

// Authorization finds an authorization by its id.
func (s *Store) Authorization(ctx context.Context, tenant, endpoint, id string) (*state.Authorization, error) {
	a, err := scanAuthorization(s.read[selectAuthorization].QueryRowContext(point(ctx), tenant, id, endpoint))
	if err != nil {
		return nil, readError(err, "there is no such authorization")
	}
	return a, nil
}

// CreateAuthorization adds an authorization without an order.
func (s *Store) CreateAuthorization(ctx context.Context, a *state.Authorization, n state.Nonce) error {
	row, err := authorizationRow(a, nil, 0)
	if err != nil {
		return ca.InternalError(err)
	}
	return s.struck(ctx, a.Tenant, n, func(b *batch) error {
		if err := b.must("the account is not valid", preauthorize, a.Tenant, a.Account, a.Endpoint); err != nil {
			return err
		}
		return b.must("the authorization id is taken", insertAuthorization, row...)
	})
}

// Preauthorizations lists the valid authorizations that an account has without an order.
func (s *Store) Preauthorizations(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error) {
	rows, err := s.read[selectPreauthorizations].QueryContext(point(ctx), tenant, account, endpoint, micros(s.now()))
	return collect(rows, err, func(rows *sql.Rows) (*state.Authorization, error) { return scanAuthorization(rows) })
}

// HeldAuthorizations lists the valid authorizations that an account has.
func (s *Store) HeldAuthorizations(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error) {
	rows, err := s.read[selectHeldAuthorizations].QueryContext(point(ctx), tenant, account, endpoint, micros(s.now()), state.HeldOrders)
	all, err := collect(rows, err, func(rows *sql.Rows) (*state.Authorization, error) { return scanAuthorization(rows) })
	if err != nil {
		return nil, err
	}
	alone, err := s.Preauthorizations(ctx, tenant, endpoint, account)
	return append(all, alone...), err
}

// ChangeChallenge stores status and challenges of a pending authorization whose
// stored ones are still before's: they are compared as the JSON that was stored.
func (s *Store) ChangeChallenge(ctx context.Context, before, after *state.Authorization, n state.Nonce) error {
	was, err := json.Marshal(before.Challenges)
	if err != nil {
		return ca.InternalError(err)
	}
	is, err := json.Marshal(after.Challenges)
	if err != nil {
		return ca.InternalError(err)
	}
	return s.struck(ctx, before.Tenant, n, func(b *batch) error {
		return b.must("the authorization has changed meanwhile", changeChallenge, string(after.Status), string(is), micros(after.Expires), before.Tenant, before.ID, before.Endpoint, string(was))
	})
}

// EndChallenge stores the outcome of a validation of a pending authorization.
func (s *Store) EndChallenge(ctx context.Context, after *state.Authorization) error {
	is, err := json.Marshal(after.Challenges)
	if err != nil {
		return ca.InternalError(err)
	}
	return s.change(ctx, func(b *batch) error {
		return b.must("the authorization is not pending", endChallenge, string(after.Status), string(is), micros(after.Expires), after.Tenant, after.ID, after.Endpoint)
	})
}

// DeactivateAuthorization ends a pending or valid authorization.
func (s *Store) DeactivateAuthorization(ctx context.Context, tenant, endpoint, id string, n state.Nonce) error {
	return s.struck(ctx, tenant, n, func(b *batch) error {
		return b.must("the authorization has ended already", deactivateAuthorization, tenant, id, endpoint)
	})
}
