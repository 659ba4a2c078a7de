package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
)

var (
	_ credential.Store  = (*Store)(nil)
	_ credential.Upkeep = (*Store)(nil)
)

// AddCredential implements credential.Store.
func (s *Store) AddCredential(ctx context.Context, r *credential.Record, a ca.Audit) error {
	bindings, err := encode(r.Binding)
	if err != nil {
		return err
	}
	endpoints := r.Endpoints
	if endpoints == nil {
		endpoints = []string{}
	}
	var granted, left *int
	if r.Granted != credential.Unlimited {
		granted, left = &r.Granted, &r.Left
	}
	return s.one(ctx, step{slot: slot{classUses, r.Tenant, r.ID}, sql: sql.CredentialAdd,
		args: []any{s.offset(), r.Tenant, r.ID, string(r.Kind), string(r.Door), r.Binding.Profile, endpoints, bindings, notNil(r.Secret), granted, left,
			r.Expires, nullable(r.RevokedAt), r.Lookup},
		scan: func(row pgx.Row) error {
			err := row.Scan(&r.CreatedAt)
			r.CreatedAt = r.CreatedAt.UTC()
			return err
		}}, ca.Errorf(ca.Conflict, "the credential's id is taken"), a)
}

// Credential implements credential.Store.
func (s *Store) Credential(ctx context.Context, tenant, id string) (*credential.Record, error) {
	return oneCredential(s.pool.QueryRow(ctx, sql.CredentialFind, tenant, id))
}

// CredentialByLookup implements credential.Store.
func (s *Store) CredentialByLookup(ctx context.Context, tenant string, lookups [][]byte) (*credential.Record, error) {
	for _, l := range lookups {
		r, err := oneCredential(s.pool.QueryRow(ctx, sql.CredentialByLookup, tenant, notNil(l)))
		if !ca.IsKind(err, ca.NotFound) {
			return r, err
		}
	}
	return nil, ca.Errorf(ca.NotFound, "there is no such credential")
}

func oneCredential(row pgx.Row) (*credential.Record, error) {
	r, err := scanCredential(row)
	if err != nil {
		return nil, readError(err, "credential")
	}
	return &r, nil
}

// Credentials implements credential.Store.
func (s *Store) Credentials(ctx context.Context, tenant, after string, limit int) ([]credential.Record, error) {
	rows, err := s.pool.Query(ctx, sql.Credentials, tenant, after, limit)
	if err != nil {
		return nil, readError(err, "credential")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (credential.Record, error) { return scanCredential(row) })
	return all, readError(err, "credential")
}

func scanCredential(row pgx.Row) (r credential.Record, err error) {
	var bindings []byte
	var granted, left *int
	var revoked *time.Time
	if err := row.Scan(&r.Tenant, &r.ID, &r.Kind, &r.Door, &r.Endpoints, &bindings, &r.Secret, &granted, &left, &r.Expires, &r.CreatedAt, &revoked); err != nil {
		return r, err
	}
	r.Granted, r.Left = credential.Unlimited, credential.Unlimited
	if granted != nil && left != nil {
		r.Granted, r.Left = *granted, *left
	}
	if len(r.Endpoints) == 0 {
		r.Endpoints = nil
	}
	r.Expires, r.CreatedAt, r.RevokedAt = r.Expires.UTC(), r.CreatedAt.UTC(), orZero(revoked)
	if err := json.Unmarshal(bindings, &r.Binding); err != nil {
		return r, fmt.Errorf("the binding of credential %s: %w", r.ID, err)
	}
	return r, nil
}

// RevokeCredential implements credential.Store.
func (s *Store) RevokeCredential(ctx context.Context, tenant, id string, a ca.Audit) error {
	return s.one(ctx, step{slot: slot{classUses, tenant, id}, sql: sql.CredentialRevoke, args: []any{s.offset(), tenant, id}},
		ca.Errorf(ca.Conflict, "there is no such credential, or it was revoked before"), a)
}

// Burn implements credential.Store.
func (s *Store) Burn(tenant, id string) ca.Effect {
	return s.fixed(tenant, step{slot: slot{classUses, tenant, id}, sql: sql.Burn, args: []any{s.offset(), tenant, id}})
}

// SweepCredentials implements credential.Upkeep.
func (s *Store) SweepCredentials(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, sql.SweepCredentials, s.offset(), kept, limit)
}
