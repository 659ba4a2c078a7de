// Package recent remembers for a moment what the ACME door of this process has
// just written or read, so that a client that goes through its enrollment in one
// go does not have every step read back from the store. It is a [state.Store]
// over another one.
//
// No issuance is decided by it: finalizing is guarded in its commit by the nonce,
// the order's and its authorizations' status and the account's, and a challenge
// by the nonce and the authorization's stored challenges. An account that was
// deactivated through another replica can until it is forgotten here do all else
// that it could before: read, open orders, answer and deactivate authorizations,
// and revoke its certificates. What another replica changes is
// seen here late, at most [AccountLasts] for an account and [ObjectLasts] for an
// order or authorization that this process itself wrote; what it only reads of
// those is never remembered, so that a client which polls sees the other
// replica's progress.
package recent

import (
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// How long what is remembered counts.
const (
	AccountLasts = 5 * time.Second
	ObjectLasts  = 2 * time.Second

	limit = 8192 // of each kind
)

type key struct{ tenant, endpoint, id string }

// Store is a state.Store with a short memory. Create it with New.
type Store struct {
	state.Store
	now            func() time.Time
	accounts       *Memory[key, state.Account]
	orders         *Memory[key, state.Order]
	authorizations *Memory[key, state.Authorization]
}

// New makes a Store over another one.
func New(under state.Store, now func() time.Time) *Store {
	return &Store{Store: under, now: now, accounts: NewMemory[key, state.Account](AccountLasts, limit, now),
		orders: NewMemory[key, state.Order](ObjectLasts, limit, now), authorizations: NewMemory[key, state.Authorization](ObjectLasts, limit, now)}
}

// CreateAccount implements state.Store.
func (s *Store) CreateAccount(ctx context.Context, a *state.Account, n state.Nonce, effects ...ca.Effect) error {
	if err := s.Store.CreateAccount(ctx, a, n, effects...); err != nil {
		return err
	}
	s.accounts.Put(key{a.Tenant, a.Endpoint, a.ID}, copyAccount(a))
	return nil
}

// Account implements state.Store.
func (s *Store) Account(ctx context.Context, tenant, endpoint, id string) (*state.Account, error) {
	k, since := key{tenant, endpoint, id}, s.now()
	if a, ok := s.accounts.Get(k); ok {
		a = copyAccount(&a)
		return &a, nil
	}
	a, err := s.Store.Account(ctx, tenant, endpoint, id)
	if err == nil {
		s.accounts.PutRead(k, copyAccount(a), since)
	}
	return a, err
}

// UpdateAccount implements state.Store.
func (s *Store) UpdateAccount(ctx context.Context, a *state.Account, n state.Nonce) error {
	k := key{a.Tenant, a.Endpoint, a.ID}
	err := s.Store.UpdateAccount(ctx, a, n)
	s.accounts.Drop(k) // read again: an update does not change all of it, or another replica was first
	return err
}

// ChangeKey implements state.Store.
func (s *Store) ChangeKey(ctx context.Context, a *state.Account, before [32]byte, n state.Nonce) error {
	err := s.Store.ChangeKey(ctx, a, before, n)
	s.Forget(a.Tenant, a.Endpoint, a.ID)
	return err
}

// CreateAuthorization implements state.Store.
func (s *Store) CreateAuthorization(ctx context.Context, a *state.Authorization, n state.Nonce) error {
	err := s.Store.CreateAuthorization(ctx, a, n)
	s.Forget(a.Tenant, a.Endpoint, a.Account)
	if err == nil {
		s.authorizations.Put(keyOf(a), *a)
	}
	return err
}

// Forget has an account read from the store the next time: its key may have
// been changed through another replica.
func (s *Store) Forget(tenant, endpoint, account string) {
	s.accounts.Drop(key{tenant, endpoint, account})
}

func copyAccount(a *state.Account) state.Account {
	out := *a
	out.Contact = slices.Clone(a.Contact)
	return out
}

// CreateOrder implements state.Store.
func (s *Store) CreateOrder(ctx context.Context, o *state.Order, authorizations []*state.Authorization, n state.Nonce) error {
	if err := s.Store.CreateOrder(ctx, o, authorizations, n); err != nil {
		return err
	}
	for _, a := range authorizations {
		s.authorizations.Put(keyOf(a), *a)
	}
	s.orders.Put(key{o.Tenant, o.Endpoint, o.ID}, *o)
	return nil
}

// Order implements state.Store.
func (s *Store) Order(ctx context.Context, tenant, endpoint, id string) (*state.Order, []*state.Authorization, error) {
	o, known := s.orders.Get(key{tenant, endpoint, id})
	authorizations := make([]*state.Authorization, len(o.Authorizations))
	for i, each := range o.Authorizations {
		a, ok := s.authorizations.Get(key{tenant, endpoint, each})
		authorizations[i], known = &a, known && ok
	}
	if !known {
		return s.Store.Order(ctx, tenant, endpoint, id)
	}
	return &o, authorizations, nil
}

// Authorization implements state.Store.
func (s *Store) Authorization(ctx context.Context, tenant, endpoint, id string) (*state.Authorization, error) {
	if a, ok := s.authorizations.Get(key{tenant, endpoint, id}); ok {
		return &a, nil
	}
	return s.Store.Authorization(ctx, tenant, endpoint, id)
}

// ChangeChallenge implements state.Store.
func (s *Store) ChangeChallenge(ctx context.Context, before, after *state.Authorization, n state.Nonce) error {
	return s.changed(after, s.Store.ChangeChallenge(ctx, before, after, n))
}

// EndChallenge implements state.Store.
func (s *Store) EndChallenge(ctx context.Context, after *state.Authorization) error {
	return s.changed(after, s.Store.EndChallenge(ctx, after))
}

func (s *Store) changed(after *state.Authorization, err error) error {
	if err != nil {
		s.authorizations.Drop(keyOf(after)) // it is not what was thought
		return err
	}
	s.authorizations.Put(keyOf(after), *after)
	return nil
}

// DeactivateAuthorization implements state.Store.
func (s *Store) DeactivateAuthorization(ctx context.Context, tenant, endpoint, id string, n state.Nonce) error {
	err := s.Store.DeactivateAuthorization(ctx, tenant, endpoint, id, n)
	s.authorizations.Drop(key{tenant, endpoint, id})
	return err
}

// FinishOrder implements state.Store. Whether it comes to a commit is not known
// here, so the order is forgotten.
func (s *Store) FinishOrder(tenant, endpoint, order, certificate string, thumbprint [32]byte) ca.Effect {
	s.orders.Drop(key{tenant, endpoint, order})
	return s.Store.FinishOrder(tenant, endpoint, order, certificate, thumbprint)
}

// ParkOrder implements state.Store. The order is forgotten as in FinishOrder, and
// how it goes on is decided elsewhere.
func (s *Store) ParkOrder(tenant, endpoint, order string, thumbprint [32]byte, until time.Time) ca.Effect {
	s.orders.Drop(key{tenant, endpoint, order})
	return s.Store.ParkOrder(tenant, endpoint, order, thumbprint, until)
}

func keyOf(a *state.Authorization) key { return key{a.Tenant, a.Endpoint, a.ID} }
