package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

var _ state.Store = (*Store)(nil)

// struck commits a door's change together with its nonce. The nonce is looked
// up first and struck last, so that neither a used one nor a change that is
// refused has changed anything before: such members are dropped from their
// batch, and strangers cannot make it roll back. Where the change is refused,
// the nonce is not struck either.
func (s *Store) struck(ctx context.Context, tenant string, n state.Nonce, guard func(*batch) error) error {
	return s.change(ctx, func(b *batch) error {
		var one int
		used, err := b.scan(selectNonce, []any{tenant, n.ID[:]}, &one)
		if err != nil {
			return err
		}
		if used {
			return state.ErrNonce
		}
		if err := guard(b); err != nil {
			return err
		}
		_, err = b.exec(insertNonce, tenant, n.ID[:], micros(n.Expires))
		return err
	})
}

// Strike makes the effect that strikes a nonce.
func (s *Store) Strike(tenant string, n state.Nonce) ca.Effect {
	return s.effect(tenant, insertNonce, func(*batch, *ca.Entry) []any { return []any{tenant, n.ID[:], micros(n.Expires)} })
}

// CreateAccount adds an account; Conflict where the key has one already.
func (s *Store) CreateAccount(ctx context.Context, a *state.Account, n state.Nonce, effects ...ca.Effect) error {
	contact, err := json.Marshal(a.Contact)
	if err != nil {
		return ca.InternalError(err)
	}
	var external any
	if a.External != nil {
		if external, err = json.Marshal(a.External); err != nil {
			return ca.InternalError(err)
		}
	}
	own, err := s.own(a.Tenant, effects, false)
	if err != nil {
		return err
	}
	return s.struck(ctx, a.Tenant, n, func(b *batch) error {
		if err := b.take(own, 0, nil); err != nil {
			return err
		}
		return b.must("the key has an account already", insertAccount, a.Tenant, a.Endpoint, a.ID, string(a.Status), octets(a.Key),
			a.Thumbprint[:], string(contact), a.TermsAgreed, micros(a.CreatedAt), a.Agreed, external, a.Preauthorized)
	})
}

// ChangeKey gives an account another key.
func (s *Store) ChangeKey(ctx context.Context, a *state.Account, before [32]byte, n state.Nonce) error {
	return s.struck(ctx, a.Tenant, n, func(b *batch) error {
		return b.must("the account has another key by now, or the key another account", changeKey, octets(a.Key), a.Thumbprint[:],
			a.Tenant, a.ID, a.Endpoint, before[:], 2*len(before)*state.MaxFormer)
	})
}

// Account finds an account by its id.
func (s *Store) Account(ctx context.Context, tenant, endpoint, id string) (*state.Account, error) {
	return scanAccount(s.read[selectAccount].QueryRowContext(point(ctx), tenant, id, endpoint))
}

// AccountByKey finds an account by the thumbprint of its key (RFC 7638).
func (s *Store) AccountByKey(ctx context.Context, tenant, endpoint string, thumbprint [32]byte) (*state.Account, error) {
	return scanAccount(s.read[selectAccountByKey].QueryRowContext(point(ctx), tenant, endpoint, thumbprint[:]))
}

func scanAccount(row *sql.Row) (*state.Account, error) {
	a := &state.Account{}
	var thumbprint, contact, external, former []byte
	var created int64
	err := row.Scan(&a.Tenant, &a.Endpoint, &a.ID, &a.Status, &a.Key, &thumbprint, &contact, &a.TermsAgreed, &created, &a.Agreed, &external, &a.Preauthorized, &former)
	if err != nil {
		return nil, readError(err, "there is no such account")
	}
	copy(a.Thumbprint[:], thumbprint)
	a.CreatedAt = fromMicros(created)
	if err := json.Unmarshal(contact, &a.Contact); err != nil {
		return nil, ca.InternalError(err)
	}
	if external != nil {
		if err := json.Unmarshal(external, &a.External); err != nil {
			return nil, ca.InternalError(err)
		}
	}
	octets, err := hex.DecodeString(string(former))
	if err != nil {
		return nil, ca.InternalError(err)
	}
	for one := range slices.Chunk(octets, len(a.Thumbprint)) {
		a.Former = append(a.Former, [32]byte(one))
	}
	return a, nil
}

// UpdateAccount changes contact, terms and status of a valid account.
func (s *Store) UpdateAccount(ctx context.Context, a *state.Account, n state.Nonce) error {
	contact, err := json.Marshal(a.Contact)
	if err != nil {
		return ca.InternalError(err)
	}
	return s.struck(ctx, a.Tenant, n, func(b *batch) error {
		return b.must("the account is not valid", updateAccount, string(a.Status), string(contact), a.TermsAgreed, a.Agreed, a.Tenant, a.ID, a.Endpoint)
	})
}
