package memory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/seal"
)

// KeepProfile stores a validated profile's canonical text under its SHA-256, once.
func (s *Store) KeepProfile(ctx context.Context, hash [32]byte, text []byte) error {
	if sha256.Sum256(text) != hash {
		return ca.InternalError(fmt.Errorf("memory: the profile text does not have the SHA-256 %x", hash))
	}
	return s.change(ctx, func(t *tx) error {
		set(t, t.profiles, hash, bytes.Clone(text))
		return nil
	})
}

// Profile finds a kept profile text.
func (s *Store) Profile(_ context.Context, hash [32]byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	text, ok := s.profiles[hash]
	if !ok {
		return nil, ca.Errorf(ca.NotFound, "there is no such profile")
	}
	return bytes.Clone(text), nil
}

// Acquire takes a free or expired lease, or renews one that holder has.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (*ca.Lease, error) {
	var l ca.Lease
	err := s.change(ctx, func(t *tx) error {
		old := t.leases[name]
		held := t.now.Before(old.Until)
		if held && old.Holder != holder {
			return ca.Errorf(ca.Conflict, "somebody else holds the lease %s", name)
		}
		l = ca.Lease{Name: name, Holder: holder, Fence: old.Fence, Until: t.now.Add(ttl)}
		if !held {
			l.Fence++
		}
		set(t, t.leases, name, l)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &l, nil
}

// Release gives a lease up early; its fence stays known.
func (s *Store) Release(ctx context.Context, l *ca.Lease) error {
	return s.change(ctx, func(t *tx) error {
		if now := t.leases[l.Name]; now.Holder == l.Holder && now.Fence == l.Fence {
			now.Until = time.Time{}
			set(t, t.leases, l.Name, now)
		}
		return nil
	})
}

// Held makes the effect that lets a commit through only while the lease is held.
func (s *Store) Held(l *ca.Lease) ca.Effect {
	held := *l
	return ca.NewEffect(&effect{owner: s, take: func(t *tx) bool { return t.holds(&held) }})
}

// holds tells whether the lease is still its holder's.
func (t *tx) holds(l *ca.Lease) bool {
	now := t.leases[l.Name]
	return now.Holder == l.Holder && now.Fence == l.Fence && t.now.Before(now.Until)
}

// Post makes the effect that adds a message to a commit.
func (s *Store) Post(tenant, topic string, payload []byte) ca.Effect {
	return ca.NewEffect(&effect{owner: s, tenant: tenant, take: func(t *tx) bool {
		assign(t, &t.posted, t.posted+1)
		m := ca.Message{ID: t.posted, Tenant: tenant, Topic: topic, Payload: bytes.Clone(payload), At: t.now}
		assign(t, &t.outbox, append(slices.Clip(t.outbox), m))
		return true
	}})
}

// Waiting gives at most limit undelivered messages, oldest first.
func (s *Store) Waiting(_ context.Context, limit int) ([]ca.Message, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.outbox[:min(limit, len(s.outbox))]), nil
}

// Delivered forgets a message.
func (s *Store) Delivered(ctx context.Context, tenant string, id int64) error {
	return s.change(ctx, func(t *tx) error {
		left := slices.DeleteFunc(slices.Clone(t.outbox), func(m ca.Message) bool { return m.Tenant == tenant && m.ID == id })
		assign(t, &t.outbox, left)
		return nil
	})
}

// DataKeys lists the wrapped data keys, by purpose and version.
func (s *Store) DataKeys(context.Context) (keys []seal.WrappedKey, _ error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, k := range s.dataKeys {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b seal.WrappedKey) int {
		return cmp.Or(cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.Version, b.Version))
	})
	return keys, nil
}

// AddDataKey stores a wrapped data key with its audit row. The first fixes the
// key-encryption key.
func (s *Store) AddDataKey(ctx context.Context, k seal.WrappedKey, a ca.Audit) error {
	return s.change(ctx, func(t *tx) error {
		key := dataKey{k.Purpose, k.Version}
		if _, taken := t.dataKeys[key]; taken {
			return ca.Errorf(ca.Conflict, "the data key's version is taken")
		}
		for _, have := range t.dataKeys {
			if have.KEK != k.KEK {
				return ca.Errorf(ca.Conflict, "the data keys are wrapped by another key-encryption key")
			}
		}
		k.Wrapped, k.CreatedAt = bytes.Clone(k.Wrapped), t.now
		set(t, t.dataKeys, key, k)
		return nil
	}, a)
}

// Rewrap replaces every wrapped key while the store holds exactly from.
func (s *Store) Rewrap(ctx context.Context, from, to []seal.WrappedKey, a ca.Audit) error {
	return s.change(ctx, func(t *tx) error {
		if len(from) != len(t.dataKeys) || len(to) != len(from) {
			return ca.Errorf(ca.Conflict, "the store's data keys have changed")
		}
		for i, old := range from {
			key := dataKey{old.Purpose, old.Version}
			have, ok := t.dataKeys[key]
			if !ok || have.KEK != old.KEK || !bytes.Equal(have.Wrapped, old.Wrapped) {
				return ca.Errorf(ca.Conflict, "the store's data keys have changed")
			}
			have.KEK, have.Wrapped = to[i].KEK, bytes.Clone(to[i].Wrapped)
			set(t, t.dataKeys, key, have)
		}
		return nil
	}, a)
}

// AddGeneration records a CA generation together with its audit row.
func (s *Store) AddGeneration(ctx context.Context, g *ca.Generation, a ca.Audit) error {
	return s.change(ctx, func(t *tx) error {
		key := genKey{g.Tenant, g.CA, g.Number}
		if _, taken := t.generations[key]; taken {
			return ca.Errorf(ca.Conflict, "the CA has this generation already")
		}
		added := *g
		added.CreatedAt = t.now
		set(t, t.generations, key, added)
		return nil
	}, a)
}

// Generations lists the generations of every CA of a tenant, by CA and number.
func (s *Store) Generations(_ context.Context, tenant string) (all []ca.Generation, _ error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for key, g := range s.generations {
		if key.tenant == tenant {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b ca.Generation) int { return cmp.Or(cmp.Compare(a.CA, b.CA), cmp.Compare(a.Number, b.Number)) })
	return all, nil
}

// Activate records which generation of a CA signs, together with its audit row.
func (s *Store) Activate(ctx context.Context, a *ca.Activation, audit ca.Audit) error {
	return s.change(ctx, func(t *tx) error {
		key := genKey{a.Tenant, a.CA, a.Position}
		_, taken := t.activations[key]
		if _, known := t.generations[genKey{a.Tenant, a.CA, a.Generation}]; taken || !known {
			return ca.Errorf(ca.Conflict, "the CA has no such generation, or another decision about it was made meanwhile")
		}
		added := *a
		added.CreatedAt = t.now
		set(t, t.activations, key, added)
		return nil
	}, audit)
}

// Activations lists the decisions about every CA of a tenant, by CA and position.
func (s *Store) Activations(_ context.Context, tenant string) (all []ca.Activation, _ error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for key, a := range s.activations {
		if key.tenant == tenant {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b ca.Activation) int {
		return cmp.Or(cmp.Compare(a.CA, b.CA), cmp.Compare(a.Position, b.Position))
	})
	return all, nil
}
