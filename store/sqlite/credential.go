package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
)

var (
	_ credential.Store  = (*Store)(nil)
	_ credential.Upkeep = (*Store)(nil)
)

// AddCredential implements credential.Store.
func (s *Store) AddCredential(ctx context.Context, r *credential.Record, a ca.Audit) error {
	endpoints, err := json.Marshal(r.Endpoints)
	if err != nil {
		return ca.InternalError(err)
	}
	bindings, err := json.Marshal(r.Binding)
	if err != nil {
		return ca.InternalError(err)
	}
	var granted, left, found any
	if r.Granted != credential.Unlimited {
		granted, left = r.Granted, r.Left
	}
	if r.Lookup != nil {
		found = r.Lookup
	}
	return s.change(ctx, func(b *batch) error {
		r.CreatedAt = b.now.UTC().Truncate(time.Microsecond)
		return b.must("the credential's id is taken", insertCredential, r.Tenant, r.ID, string(r.Kind), string(r.Door), r.Binding.Profile,
			string(endpoints), string(bindings), octets(r.Secret), granted, left, micros(r.Expires), micros(b.now), micros(r.RevokedAt), found)
	}, a)
}

// Credential implements credential.Store.
func (s *Store) Credential(ctx context.Context, tenant, id string) (*credential.Record, error) {
	return oneCredential(s.read[selectCredential].QueryRowContext(point(ctx), tenant, id))
}

// CredentialByLookup implements credential.Store.
func (s *Store) CredentialByLookup(ctx context.Context, tenant string, lookups [][]byte) (*credential.Record, error) {
	for _, l := range lookups {
		r, err := oneCredential(s.read[selectCredentialByLookup].QueryRowContext(point(ctx), tenant, octets(l)))
		if !ca.IsKind(err, ca.NotFound) {
			return r, err
		}
	}
	return nil, ca.Errorf(ca.NotFound, "there is no such credential")
}

func oneCredential(row *sql.Row) (*credential.Record, error) {
	r, err := scanCredential(row)
	if err != nil {
		return nil, readError(err, "there is no such credential")
	}
	return &r, nil
}

// Credentials implements credential.Store.
func (s *Store) Credentials(ctx context.Context, tenant, after string, limit int) ([]credential.Record, error) {
	rows, err := s.read[selectCredentials].QueryContext(ctx, tenant, after, limit)
	return collect(rows, err, func(rows *sql.Rows) (credential.Record, error) { return scanCredential(rows) })
}

func scanCredential(row interface{ Scan(...any) error }) (r credential.Record, err error) {
	var profile string
	var endpoints, bindings []byte
	var granted, left, revoked sql.NullInt64
	var expires, created int64
	if err := row.Scan(&r.Tenant, &r.ID, &r.Kind, &r.Door, &profile, &endpoints, &bindings, &r.Secret, &granted, &left, &expires, &created, &revoked); err != nil {
		return r, err
	}
	r.Granted, r.Left = credential.Unlimited, credential.Unlimited
	if granted.Valid {
		r.Granted, r.Left = int(granted.Int64), int(left.Int64)
	}
	r.Expires, r.CreatedAt, r.RevokedAt = fromMicros(expires), fromMicros(created), fromNullMicros(revoked)
	if err := json.Unmarshal(endpoints, &r.Endpoints); err != nil {
		return r, err
	}
	return r, json.Unmarshal(bindings, &r.Binding)
}

// RevokeCredential implements credential.Store.
func (s *Store) RevokeCredential(ctx context.Context, tenant, id string, a ca.Audit) error {
	return s.change(ctx, func(b *batch) error {
		return b.must("there is no such credential, or it was revoked before", revokeCredential, micros(b.now), tenant, id)
	}, a)
}

// Burn implements credential.Store.
func (s *Store) Burn(tenant, id string) ca.Effect {
	return s.effect(tenant, burnUse, func(b *batch, _ *ca.Entry) []any { return []any{tenant, id, micros(b.now)} })
}

// SweepCredentials implements credential.Upkeep.
func (s *Store) SweepCredentials(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	if err := bounded(limit); err != nil {
		return 0, err
	}
	return s.fenced(ctx, l, func(b *batch) (int64, error) { return b.exec(sweepCredentials, micros(b.now.Add(-kept)), limit) })
}
