package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// effect is what the store's ca.Effect values wrap; take tells whether the
// guard held. issue takes its place where the effect needs an entry.
type effect struct {
	owner  *Store
	tenant string // "": belongs to no tenant
	take   func(*tx) bool
	issue  func(*tx, *ca.Entry) bool
}

func (s *Store) own(tenant string, effects []ca.Effect, issuing bool) ([]*effect, error) {
	var own []*effect
	for _, e := range effects {
		x, ok := e.Private().(*effect)
		if !ok || x == nil || x.owner != s || x.tenant != "" && x.tenant != tenant {
			return nil, ca.InternalError(errors.New("memory: an effect was not made by this store for this tenant"))
		}
		if x.issue != nil && !issuing {
			return nil, ca.InternalError(errors.New("memory: an effect needs a certificate that is being issued"))
		}
		own = append(own, x)
	}
	return own, nil
}

func (t *tx) take(effects []*effect, entry int, e *ca.Entry) error {
	for i, x := range effects {
		held := false
		if x.issue != nil {
			held = x.issue(t, e)
		} else {
			held = x.take(t)
		}
		if !held {
			return &ca.LostEffect{Entry: entry, Index: i}
		}
	}
	return nil
}

func keyOf(tenant, issuer string, s ca.Serial) certKey { return certKey{tenant, issuer, string(s[:])} }

// Record commits the entries of one call whole or not at all.
func (s *Store) Record(ctx context.Context, entries ...*ca.Entry) ([]ca.Recorded, error) {
	effects := make([][]*effect, len(entries))
	w := &write{}
	for i, e := range entries {
		var err error
		if effects[i], err = s.own(e.Certificate.Tenant, e.Effects, true); err != nil {
			return nil, err
		}
		w.audits = append(w.audits, e.Audit)
	}
	var answers []ca.Recorded
	w.change = func(t *tx) (err error) {
		if answers, err = t.replay(entries); answers != nil || err != nil {
			w.silent = true
			return err
		}
		for i, e := range entries {
			if s.blocked[e.KeyHash] {
				return &ca.Error{Kind: ca.Denied, Public: "the key was revoked because it was compromised; make a new key", Field: "key", Rule: "blocked key"}
			}
			if err := t.take(effects[i], i, e); err != nil {
				return err
			}
		}
		for _, e := range entries {
			if err := t.takeUnique(e); err != nil {
				return err
			}
			t.supersede(e)
			c, err := t.add(e)
			if err != nil {
				return err
			}
			answers = append(answers, ca.Recorded{Certificate: *c})
		}
		return nil
	}
	if err := s.queue.Submit(ctx, w); err != nil {
		return nil, err
	}
	return answers, nil
}

// replay gives the recorded answers where every entry has one.
func (t *tx) replay(entries []*ca.Entry) (answers []ca.Recorded, err error) {
	keys := map[idemKey]bool{}
	for _, e := range entries {
		if e.Idempotency.Window <= 0 {
			continue
		}
		key := idemKey{e.Certificate.Tenant, string(e.Idempotency.Key[:])}
		if keys[key] {
			return nil, ca.Errorf(ca.Conflict, "the same request is there twice")
		}
		keys[key] = true
		a, ok := t.answered[key]
		if !ok || !t.now.Before(a.expires) {
			continue
		}
		if a.digest != e.Idempotency.Digest {
			return nil, ca.TransactionTaken()
		}
		c := t.certificates[keyOf(e.Certificate.Tenant, a.ca, a.serial)].Certificate
		c.DER = bytes.Clone(c.DER)
		answers = append(answers, ca.Recorded{Certificate: c, Replayed: true})
	}
	if len(answers) > 0 && len(answers) < len(entries) {
		return nil, ca.PartlyAnswered()
	}
	return answers, nil
}

// Answered finds what was recorded under a live idempotency key.
func (s *Store) Answered(ctx context.Context, tenant string, id *ca.Idempotency) (*ca.Certificate, error) {
	s.mu.RLock()
	a, ok := s.answered[idemKey{tenant, string(id.Key[:])}]
	s.mu.RUnlock()
	switch {
	case !ok || !s.now().Before(a.expires):
		return nil, ca.Errorf(ca.NotFound, "no such request was answered")
	case a.digest != id.Digest:
		return nil, ca.TransactionTaken()
	}
	return s.Certificate(ctx, tenant, a.ca, a.serial)
}

// add records one entry.
func (t *tx) add(e *ca.Entry) (*ca.Certificate, error) {
	c := e.Certificate
	key := keyOf(c.Tenant, c.CA, c.Serial)
	if t.certificates[key] != nil {
		return nil, ca.InternalError(fmt.Errorf("memory: serial %s is taken", c.Serial))
	}
	if _, kept := t.profiles[e.ProfileHash]; !kept {
		return nil, ca.InternalError(fmt.Errorf("memory: profile %x was not kept", e.ProfileHash))
	}
	c.DER, c.State, c.IssuedAt = bytes.Clone(c.DER), ca.Issued, t.now
	set(t, t.certificates, key, &certificate{c, slices.Clone(e.AltNames), e.KeyHash, bytes.Clone(e.Decision), e.ProfileHash})
	if id := e.Idempotency; id.Window > 0 {
		set(t, t.answered, idemKey{c.Tenant, string(id.Key[:])}, answered{id.Digest, c.CA, c.Serial, t.now.Add(id.Window)})
	}
	c.DER = bytes.Clone(c.DER)
	return &c, nil
}

func (s *Store) find(tenant, issuer string, serial ca.Serial) (certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.certificates[keyOf(tenant, issuer, serial)]
	if c == nil {
		return certificate{}, ca.Errorf(ca.NotFound, "there is no such certificate")
	}
	return *c, nil
}

// Certificate finds one certificate with its current state.
func (s *Store) Certificate(_ context.Context, tenant, issuer string, serial ca.Serial) (*ca.Certificate, error) {
	c, err := s.find(tenant, issuer, serial)
	if err != nil {
		return nil, err
	}
	c.DER = bytes.Clone(c.DER)
	return &c.Certificate, nil
}

// Decision finds the recorded decision of a certificate.
func (s *Store) Decision(_ context.Context, tenant, issuer string, serial ca.Serial) ([]byte, [32]byte, error) {
	c, err := s.find(tenant, issuer, serial)
	if err != nil {
		return nil, [32]byte{}, err
	}
	return bytes.Clone(c.decision), c.profileHash, nil
}

// AltNames gives the names recorded with a certificate; none where there is no such certificate.
func (s *Store) AltNames(tenant, issuer string, serial ca.Serial) []pkix.GeneralName {
	c, err := s.find(tenant, issuer, serial)
	if err != nil {
		return nil
	}
	return slices.Clone(c.names)
}
