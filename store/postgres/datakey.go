package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/seal"
)

// DataKeys implements seal.Store.
func (s *Store) DataKeys(ctx context.Context) ([]seal.WrappedKey, error) {
	rows, err := s.pool.Query(ctx, sql.DataKeys)
	if err != nil {
		return nil, readError(err, "data key")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k seal.WrappedKey, err error) {
		err = row.Scan(&k.Purpose, &k.Version, &k.Wrapped, &k.CreatedAt)
		k.CreatedAt = k.CreatedAt.UTC()
		return k, err
	})
	return all, readError(err, "data key")
}

// The slot of the key-encryption key sorts before those of data keys, so that
// its row is locked first.
var kekSlot = slot{classUses, "", "data-key"}

// AddDataKey implements seal.Store.
func (s *Store) AddDataKey(ctx context.Context, k seal.WrappedKey, a ca.Audit) error {
	taken := ca.Errorf(ca.Conflict, "version %d of the %s key exists already, or the sealing key was rotated", k.Version, k.Purpose)
	return s.submit(ctx, &work{audit: []ca.Audit{a}, steps: []step{
		{slot: kekSlot, sql: sql.KEKPut, args: []any{k.KEK[:]}, always: true},
		{slot: slot{classUses, "", fmt.Sprintf("data-key:%s:%d", k.Purpose, k.Version)}, sql: sql.DataKeyAdd, lost: taken,
			args: []any{s.offset(), string(k.Purpose), k.Version, notNil(k.Wrapped), k.KEK[:]}},
	}})
}

// Rewrap implements seal.Store.
func (s *Store) Rewrap(ctx context.Context, from, to []seal.WrappedKey, a ca.Audit) error {
	if len(from) == 0 || len(from) != len(to) {
		return ca.InternalError(errors.New("postgres: a rewrap needs as many new keys as old ones"))
	}
	lost := ca.Errorf(ca.Conflict, "the data keys are not what they were: somebody else rotated a key; look and try again")
	w := &work{audit: []ca.Audit{a}, steps: []step{
		{slot: kekSlot, sql: sql.KEKPut, args: []any{from[0].KEK[:]}, always: true},
		{slot: slot{classUses, "", "data-key!change"}, sql: sql.KEKChange, args: []any{from[0].KEK[:], to[0].KEK[:]}, lost: lost},
		{slot: slot{classUses, "", "data-key!count"}, sql: sql.DataKeyCount, args: []any{len(from)}, lost: lost},
	}}
	for i := range from {
		w.steps = append(w.steps, step{slot: slot{classUses, "", fmt.Sprintf("data-key:%s:%d", from[i].Purpose, from[i].Version)},
			sql: sql.DataKeyRewrap, args: []any{string(from[i].Purpose), from[i].Version, from[i].Wrapped, to[i].Wrapped}, lost: lost})
	}
	return s.submit(ctx, w)
}
