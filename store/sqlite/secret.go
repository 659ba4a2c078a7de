package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/seal"
)

var (
	_ seal.Store     = (*Store)(nil)
	_ ca.Generations = (*Store)(nil)
)

// DataKeys lists the wrapped data keys by purpose and version.
func (s *Store) DataKeys(ctx context.Context) ([]seal.WrappedKey, error) {
	rows, err := s.read[selectDataKeys].QueryContext(ctx)
	return collect(rows, err, func(rows *sql.Rows) (k seal.WrappedKey, err error) {
		var at int64
		err = rows.Scan(&k.Purpose, &k.Version, &k.Wrapped, &at)
		k.CreatedAt = fromMicros(at)
		return k, err
	})
}

// AddDataKey stores a wrapped data key with its audit row.
func (s *Store) AddDataKey(ctx context.Context, k seal.WrappedKey, a ca.Audit) error {
	return s.change(ctx, func(b *batch) error {
		if _, err := b.exec(putKEK, k.KEK[:]); err != nil {
			return err
		}
		return b.must("the data key's version is taken, or the sealing key was rotated", insertDataKey, string(k.Purpose), k.Version,
			octets(k.Wrapped), micros(b.now), k.KEK[:])
	}, a)
}

// Rewrap puts data keys under another key-encryption key.
func (s *Store) Rewrap(ctx context.Context, from, to []seal.WrappedKey, a ca.Audit) error {
	const lost = "the data keys are not what they were: somebody else rotated a key; look and try again"
	if len(from) == 0 || len(from) != len(to) {
		return ca.InternalError(errors.New("sqlite: a rewrap needs as many new keys as old ones"))
	}
	return s.change(ctx, func(b *batch) error {
		var n int
		if _, err := b.scan(countDataKeys, nil, &n); err != nil {
			return err
		}
		if n != len(from) {
			return ca.Errorf(ca.Conflict, lost)
		}
		if _, err := b.exec(putKEK, from[0].KEK[:]); err != nil {
			return err
		}
		if err := b.must(lost, changeKEK, from[0].KEK[:], to[0].KEK[:]); err != nil {
			return err
		}
		for i := range from {
			if err := b.must(lost, rewrapDataKey, string(from[i].Purpose), from[i].Version, from[i].Wrapped, octets(to[i].Wrapped)); err != nil {
				return err
			}
		}
		return nil
	}, a)
}

// AddGeneration records a CA generation together with its audit row.
func (s *Store) AddGeneration(ctx context.Context, g *ca.Generation, a ca.Audit) error {
	chain, err := json.Marshal(g.Chain)
	if err != nil {
		return ca.InternalError(err)
	}
	return s.change(ctx, func(b *batch) error {
		return b.must("the CA has this generation already", insertGeneration, g.Tenant, g.CA, g.Number, g.KeyURI,
			octets(g.DER), string(chain), octets(g.Root), micros(b.now))
	}, a)
}

// Generations lists the generations of every CA of a tenant, by CA and number.
func (s *Store) Generations(ctx context.Context, tenant string) ([]ca.Generation, error) {
	rows, err := s.read[selectGenerations].QueryContext(ctx, tenant)
	return collect(rows, err, func(rows *sql.Rows) (ca.Generation, error) {
		g := ca.Generation{Tenant: tenant}
		var chain []byte
		var at int64
		if err := rows.Scan(&g.CA, &g.Number, &g.KeyURI, &g.DER, &chain, &g.Root, &at); err != nil {
			return g, err
		}
		g.CreatedAt = fromMicros(at)
		return g, json.Unmarshal(chain, &g.Chain)
	})
}

// Activate records which generation of a CA signs, together with its audit row.
func (s *Store) Activate(ctx context.Context, a *ca.Activation, audit ca.Audit) error {
	return s.change(ctx, func(b *batch) error {
		return b.must("the CA has no such generation, or another decision about it was made meanwhile", insertActivation,
			a.Tenant, a.CA, a.Position, a.Generation, micros(a.From), micros(b.now))
	}, audit)
}

// Activations lists the decisions about every CA of a tenant, by CA and position.
func (s *Store) Activations(ctx context.Context, tenant string) ([]ca.Activation, error) {
	rows, err := s.read[selectActivations].QueryContext(ctx, tenant)
	return collect(rows, err, func(rows *sql.Rows) (ca.Activation, error) {
		a := ca.Activation{Tenant: tenant}
		var from, at int64
		err := rows.Scan(&a.CA, &a.Position, &a.Generation, &from, &at)
		a.From, a.CreatedAt = fromMicros(from), fromMicros(at)
		return a, err
	})
}
