package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
)

var _ credential.Store = (*Store)(nil)

// AddCredential implements credential.Store.
func (s *Store) AddCredential(ctx context.Context, r *credential.Record, a ca.Audit) error {
	return s.change(ctx, func(t *tx) error {
		key := nameKey{r.Tenant, r.ID}
		_, taken := t.credentials[key]
		for _, other := range t.credentials {
			taken = taken || r.Lookup != nil && other.Tenant == r.Tenant && bytes.Equal(other.Lookup, r.Lookup)
		}
		if taken {
			return ca.Errorf(ca.Conflict, "the credential's id is taken")
		}
		r.CreatedAt = t.now.UTC().Truncate(time.Microsecond)
		set(t, t.credentials, key, *r)
		return nil
	}, a)
}

// Credential implements credential.Store.
func (s *Store) Credential(_ context.Context, tenant, id string) (*credential.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, ok := s.credentials[nameKey{tenant, id}]
	if !ok {
		return nil, ca.Errorf(ca.NotFound, "there is no such credential")
	}
	return &r, nil
}

// CredentialByLookup implements credential.Store.
func (s *Store) CredentialByLookup(_ context.Context, tenant string, lookups [][]byte) (*credential.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.credentials {
		if r.Tenant == tenant && r.Lookup != nil && slices.ContainsFunc(lookups, func(l []byte) bool { return bytes.Equal(l, r.Lookup) }) {
			return &r, nil
		}
	}
	return nil, ca.Errorf(ca.NotFound, "there is no such credential")
}

// Credentials implements credential.Store.
func (s *Store) Credentials(_ context.Context, tenant, after string, limit int) (all []credential.Record, _ error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, r := range s.credentials {
		if r.Tenant == tenant && r.ID > after {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b credential.Record) int { return cmp.Compare(a.ID, b.ID) })
	return all[:min(limit, len(all))], nil
}

// RevokeCredential implements credential.Store.
func (s *Store) RevokeCredential(ctx context.Context, tenant, id string, a ca.Audit) error {
	return s.change(ctx, func(t *tx) error {
		r, ok := t.credentials[nameKey{tenant, id}]
		if !ok || !r.RevokedAt.IsZero() {
			return ca.Errorf(ca.Conflict, "there is no such credential, or it was revoked before")
		}
		r.RevokedAt = t.now.UTC().Truncate(time.Microsecond)
		set(t, t.credentials, nameKey{tenant, id}, r)
		return nil
	}, a)
}

// Burn implements credential.Store.
func (s *Store) Burn(tenant, id string) ca.Effect {
	return ca.NewEffect(&effect{owner: s, tenant: tenant, take: func(t *tx) bool {
		r, ok := t.credentials[nameKey{tenant, id}]
		if !ok || r.At(t.now) != credential.Live {
			return false
		}
		if r.Left != credential.Unlimited {
			r.Left--
		}
		set(t, t.credentials, nameKey{tenant, id}, r)
		return true
	}})
}
