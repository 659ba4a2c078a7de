package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

func (s *Store) strike(tenant string, n state.Nonce) step {
	return step{slot: slot{classNonce, tenant, string(n.ID[:])}, nonce: &n, lost: state.ErrNonce}
}

// Strike implements state.Store.
func (s *Store) Strike(tenant string, n state.Nonce) ca.Effect {
	return s.fixed(tenant, s.strike(tenant, n))
}

// CreateAccount implements state.Store.
func (s *Store) CreateAccount(ctx context.Context, a *state.Account, n state.Nonce, effects ...ca.Effect) error {
	contact := a.Contact
	if contact == nil {
		contact = []string{}
	}
	var external []byte
	if a.External != nil {
		var err error
		if external, err = encode(a.External); err != nil {
			return err
		}
	}
	w := &work{steps: []step{s.strike(a.Tenant, n), {
		slot: slot{classAccount, a.Tenant, a.Endpoint + "\x00" + string(a.Thumbprint[:])}, sql: sql.AccountAdd,
		args: []any{a.Tenant, a.Endpoint, a.ID, string(a.Status), notNil(a.Key), a.Thumbprint[:], contact, a.TermsAgreed, a.CreatedAt,
			a.Agreed, external, a.Preauthorized},
		lost: ca.Errorf(ca.Conflict, "the key has an account already"),
	}}}
	if err := w.add(s, a.Tenant, 0, nil, effects); err != nil {
		return err
	}
	return s.submit(ctx, w)
}

// ChangeKey implements state.Store. Two accounts that take one key share a slot
// in a batch; across replicas the unique key decides, which is a Conflict too.
func (s *Store) ChangeKey(ctx context.Context, a *state.Account, before [32]byte, n state.Nonce) error {
	return s.submit(ctx, &work{steps: []step{s.strike(a.Tenant, n), {
		slot: slot{classAccount, a.Tenant, a.Endpoint + "\x00" + string(a.Thumbprint[:])}, sql: sql.KeyChange,
		args: []any{a.Tenant, a.Endpoint, a.ID, notNil(a.Key), a.Thumbprint[:], before[:], len(before) * state.MaxFormer},
		lost: ca.Errorf(ca.Conflict, "the account has another key by now, or the key another account"),
	}}})
}

// UpdateAccount implements state.Store.
func (s *Store) UpdateAccount(ctx context.Context, a *state.Account, n state.Nonce) error {
	contact := a.Contact
	if contact == nil {
		contact = []string{}
	}
	return s.submit(ctx, &work{steps: []step{s.strike(a.Tenant, n), {
		slot: slot{classAccount, a.Tenant, "id\x00" + a.ID}, sql: sql.AccountUpdate,
		args: []any{a.Tenant, a.Endpoint, a.ID, string(a.Status), contact, a.TermsAgreed, a.Agreed},
		lost: ca.Errorf(ca.Conflict, "the account is not valid"),
	}}})
}

// CreateOrder implements state.Store.
func (s *Store) CreateOrder(ctx context.Context, o *state.Order, authorizations []*state.Authorization, n state.Nonce) error {
	for _, a := range authorizations {
		if a.Tenant != o.Tenant || a.Endpoint != o.Endpoint {
			return ca.InternalError(errors.New("an authorization belongs to another endpoint than its order"))
		}
	}
	return s.submit(ctx, &work{steps: []step{s.strike(o.Tenant, n)}, orders: []*state.Order{o}, authorizations: authorizations})
}

// CreateAuthorization implements state.Store.
func (s *Store) CreateAuthorization(ctx context.Context, a *state.Authorization, n state.Nonce) error {
	challenges, err := encodeChallenges(a.Challenges)
	if err != nil {
		return err
	}
	return s.submit(ctx, &work{steps: []step{s.strike(a.Tenant, n),
		{slot: slot{classAccount, a.Tenant, "id\x00" + a.Account}, sql: sql.Preauthorize, args: []any{a.Tenant, a.Endpoint, a.Account},
			lost: ca.Errorf(ca.Conflict, "the account is not valid")},
		{slot: authorizationSlot(a.Tenant, a.ID), sql: sql.PreauthorizationAdd,
			args: []any{a.Tenant, a.Endpoint, a.ID, a.Account, a.Identifier.Type, a.Identifier.Value, a.Wildcard, string(a.Status), a.CreatedAt, a.Expires, challenges},
			lost: ca.Errorf(ca.Conflict, "the authorization id is taken")},
	}})
}

// ChangeChallenge implements state.Store.
func (s *Store) ChangeChallenge(ctx context.Context, before, after *state.Authorization, n state.Nonce) error {
	was, err := encodeChallenges(before.Challenges)
	if err != nil {
		return err
	}
	is, err := encodeChallenges(after.Challenges)
	if err != nil {
		return err
	}
	return s.submit(ctx, &work{steps: []step{s.strike(before.Tenant, n), {
		slot: authorizationSlot(before.Tenant, before.ID), sql: sql.ChallengeChange,
		args: []any{before.Tenant, before.Endpoint, before.ID, was, is, string(after.Status), after.Expires}, lost: authorizationChanged(),
	}}})
}

// EndChallenge implements state.Store.
func (s *Store) EndChallenge(ctx context.Context, after *state.Authorization) error {
	is, err := encodeChallenges(after.Challenges)
	if err != nil {
		return err
	}
	return s.one(ctx, step{slot: authorizationSlot(after.Tenant, after.ID), sql: sql.ChallengeEnd,
		args: []any{after.Tenant, after.Endpoint, after.ID, string(after.Status), is, after.Expires}}, authorizationChanged())
}

// DeactivateAuthorization implements state.Store.
func (s *Store) DeactivateAuthorization(ctx context.Context, tenant, endpoint, id string, n state.Nonce) error {
	return s.submit(ctx, &work{steps: []step{s.strike(tenant, n), {
		slot: authorizationSlot(tenant, id), sql: sql.AuthorizationDeactivate,
		args: []any{tenant, endpoint, id}, lost: authorizationChanged(),
	}}})
}

func authorizationSlot(tenant, id string) slot { return slot{classAuthorization, tenant, id} }

func authorizationChanged() error {
	return ca.Errorf(ca.Conflict, "the authorization has changed: read it again")
}

// FinishOrder implements state.Store.
func (s *Store) FinishOrder(tenant, endpoint, order, certificate string, key [32]byte) ca.Effect {
	return ca.NewEffect(&effect{store: s, tenant: tenant, step: func(e *ca.Entry) (step, error) {
		if e == nil {
			return step{}, errors.New("an order can only be finished together with a certificate")
		}
		return step{slot: slot{classOrder, tenant, order}, sql: sql.OrderFinish,
			args: []any{s.offset(), tenant, endpoint, order, certificate, e.Certificate.CA, e.Certificate.Serial[:], key[:]}}, nil
	}})
}

// ParkOrder implements state.Store.
func (s *Store) ParkOrder(tenant, endpoint, order string, key [32]byte, until time.Time) ca.Effect {
	return s.fixed(tenant, step{slot: slot{classOrder, tenant, order}, sql: approving.OrderPark, args: []any{s.offset(), tenant, endpoint, order, until, key[:]}})
}

// FinishParkedOrder implements state.Store.
func (s *Store) FinishParkedOrder(tenant, endpoint, order, certificate string) ca.Effect {
	return ca.NewEffect(&effect{store: s, tenant: tenant, step: func(e *ca.Entry) (step, error) {
		if e == nil {
			return step{}, errors.New("an order can only be finished together with a certificate")
		}
		return step{slot: slot{classOrder, tenant, order}, sql: approving.OrderFinishParked,
			args: []any{tenant, endpoint, order, certificate, e.Certificate.CA, e.Certificate.Serial[:]}}, nil
	}})
}

// RejectOrder implements state.Store.
func (s *Store) RejectOrder(tenant, endpoint, order string, problem []byte) ca.Effect {
	return s.fixed(tenant, step{slot: slot{classOrder, tenant, order}, sql: approving.OrderReject, args: []any{tenant, endpoint, order, problem}})
}

// encodeChallenges gives one text for equal challenges, whatever zone their
// times carry, because ChangeChallenge compares texts.
func encodeChallenges(all []state.Challenge) ([]byte, error) {
	all = slices.Clone(all)
	for i := range all {
		all[i].Validated, all[i].Deadline = all[i].Validated.UTC(), all[i].Deadline.UTC()
	}
	return encode(all)
}

func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return text, nil
}
