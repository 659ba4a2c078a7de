package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
)

// one commits a single guarded step; where it is lost, the answer is lost.
func (s *Store) one(ctx context.Context, st step, lost error, audit ...ca.Audit) error {
	st.lost = lost
	return s.submit(ctx, &work{steps: []step{st}, audit: audit})
}

// KeepProfile implements ca.Ledger. The hash must be the text's SHA-256.
func (s *Store) KeepProfile(ctx context.Context, hash [32]byte, text []byte) error {
	if sha256.Sum256(text) != hash {
		return ca.InternalError(errors.New("a profile text does not have the hash it is kept under"))
	}
	if s.profiles.has(hash) {
		return nil
	}
	err := s.submit(ctx, &work{steps: []step{{slot: slot{classUses, "", "profile:" + string(hash[:])}, sql: sql.ProfileKeep, always: true,
		args: []any{s.offset(), hash[:], notNil(text)}}}})
	if err == nil {
		s.profiles.add(hash)
	}
	return err
}

// Profile implements ca.Ledger.
func (s *Store) Profile(ctx context.Context, hash [32]byte) (text []byte, err error) {
	err = s.pool.QueryRow(ctx, sql.Profile, hash[:]).Scan(&text)
	return text, readError(err, "profile text")
}

// AddGeneration implements ca.Generations.
func (s *Store) AddGeneration(ctx context.Context, g *ca.Generation, a ca.Audit) error {
	chain := g.Chain
	if chain == nil {
		chain = [][]byte{}
	}
	return s.one(ctx, step{slot: slot{classGeneration, g.Tenant, g.CA + "\x00" + strconv.Itoa(g.Number)}, sql: sql.GenerationAdd,
		args: []any{s.offset(), g.Tenant, g.CA, g.Number, g.KeyURI, notNil(g.DER), chain, notNil(g.Root)}},
		ca.Errorf(ca.Conflict, "generation %d of CA %s exists already", g.Number, g.CA), a)
}

// Generations implements ca.Generations.
func (s *Store) Generations(ctx context.Context, tenant string) ([]ca.Generation, error) {
	rows, err := s.pool.Query(ctx, sql.Generations, tenant)
	if err != nil {
		return nil, readError(err, "CA generation")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ca.Generation, error) {
		g := ca.Generation{Tenant: tenant}
		err := row.Scan(&g.CA, &g.Number, &g.KeyURI, &g.DER, &g.Chain, &g.Root, &g.CreatedAt)
		g.CreatedAt = g.CreatedAt.UTC()
		if len(g.Chain) == 0 {
			g.Chain = nil
		}
		return g, err
	})
	return all, readError(err, "CA generation")
}

// Activate implements ca.Generations.
func (s *Store) Activate(ctx context.Context, a *ca.Activation, audit ca.Audit) error {
	return s.one(ctx, step{slot: slot{classActivation, a.Tenant, a.CA + "\x00" + strconv.Itoa(a.Position)}, sql: sql.Activate,
		args: []any{s.offset(), a.Tenant, a.CA, a.Position, a.Generation, a.From}},
		ca.Errorf(ca.Conflict, "CA %s has no generation %d, or another decision about it was made meanwhile", a.CA, a.Generation), audit)
}

// Activations implements ca.Generations.
func (s *Store) Activations(ctx context.Context, tenant string) ([]ca.Activation, error) {
	rows, err := s.pool.Query(ctx, sql.Activations, tenant)
	if err != nil {
		return nil, readError(err, "activation")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ca.Activation, error) {
		a := ca.Activation{Tenant: tenant}
		err := row.Scan(&a.CA, &a.Position, &a.Generation, &a.From, &a.CreatedAt)
		a.From, a.CreatedAt = a.From.UTC(), a.CreatedAt.UTC()
		return a, err
	})
	return all, readError(err, "activation")
}

// Acquire implements ca.Leases. A lease is no record, and taking it twice is no
// harm: it needs neither a batch nor a link in the audit chain.
func (s *Store) Acquire(ctx context.Context, name, holder string, ttl time.Duration) (*ca.Lease, error) {
	l := &ca.Lease{Name: name, Holder: holder}
	err := s.pool.QueryRow(ctx, sql.LeaseAcquire, s.offset(), name, holder, ttl).Scan(&l.Fence, &l.Until)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, ca.Errorf(ca.Conflict, "somebody else holds the lease %s", name)
	case err != nil:
		return nil, answerOf(err)
	}
	l.Until = l.Until.UTC()
	return l, nil
}

// Release implements ca.Leases.
func (s *Store) Release(ctx context.Context, l *ca.Lease) error {
	if _, err := s.pool.Exec(ctx, sql.LeaseRelease, s.offset(), l.Name, l.Holder, l.Fence); err != nil {
		return answerOf(err)
	}
	return nil
}

// Held implements ca.Leases.
func (s *Store) Held(l *ca.Lease) ca.Effect {
	return s.fixed("", s.held(l))
}

func (s *Store) held(l *ca.Lease) step {
	return step{slot: slot{classLease, "", l.Name}, sql: sql.LeaseHeld, args: []any{s.offset(), l.Name, l.Holder, l.Fence}}
}

// Post implements ca.Outbox.
func (s *Store) Post(tenant, topic string, payload []byte) ca.Effect {
	return ca.NewEffect(&effect{store: s, tenant: tenant, post: &ca.Message{Tenant: tenant, Topic: topic, Payload: payload}})
}

// Waiting implements ca.Outbox.
func (s *Store) Waiting(ctx context.Context, limit int) ([]ca.Message, error) {
	rows, err := s.pool.Query(ctx, sql.OutboxWaiting, limit)
	if err != nil {
		return nil, readError(err, "message")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m ca.Message, err error) {
		err = row.Scan(&m.ID, &m.Tenant, &m.Topic, &m.Payload, &m.At)
		m.At = m.At.UTC()
		return m, err
	})
	return all, readError(err, "message")
}

// Delivered implements ca.Outbox. Deleting twice is no error, so it needs no batch.
func (s *Store) Delivered(ctx context.Context, tenant string, id int64) error {
	if _, err := s.pool.Exec(ctx, sql.OutboxDelivered, tenant, id); err != nil {
		return answerOf(err)
	}
	return nil
}
