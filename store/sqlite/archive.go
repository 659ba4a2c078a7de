package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
)

// FindCertificates implements ca.Archive.
func (s *Store) FindCertificates(ctx context.Context, f *ca.Filter) ([]ca.Certificate, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	q, args := findArguments(f)
	rows, err := s.read[q].QueryContext(ctx, args...)
	return collect(rows, err, func(rows *sql.Rows) (ca.Certificate, error) {
		c := ca.Certificate{Tenant: f.Tenant, CA: f.CA}
		var serial []byte
		var from, until, at int64
		err := rows.Scan(&serial, &c.DER, &from, &until, &c.Profile, &c.Requester, &c.Endpoint, &c.Trace, &at, &c.State)
		copy(c.Serial[:], serial) // the table holds 16 octets
		c.NotBefore, c.NotAfter, c.IssuedAt = fromMicros(from), fromMicros(until), fromMicros(at)
		return c, err
	})
}

// findArguments chooses the statement that the most selective part of a filter drives.
func findArguments(f *ca.Filter) (query, []any) {
	first, last := f.Serials()
	args := []any{f.Tenant, f.CA, int64(first.Month()), int64(last.Month()), first[:], last[:], micros(f.ExpiresIn.From), micros(f.ExpiresIn.To),
		given(f.Profile), given(f.Requester), given(f.Subject), nil, given(string(f.State)), f.Limit}
	if len(f.KeyID) > 0 {
		args[11] = f.KeyID
	}
	switch {
	case len(f.Name.Raw) > 0:
		low := backwards(f.Name.Raw)
		high := low
		if f.NameSuffix {
			high = append(slices.Clone(low), 0xff) // above every ASCII text that begins so
		}
		return findByName, append(args, int64(f.Name.Kind), low, high)
	case len(f.KeyID) > 0:
		return findByKey, args
	case f.Subject != "":
		return findBySubject, args
	case f.Requester != "":
		return findByRequester, args
	case f.State != "" && f.State != ca.Issued:
		return findByState, args
	}
	return findBySerial, args
}

func given(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// backwards gives the octets of a name from last to first, so that names that
// end alike lie together in the index.
func backwards(b []byte) []byte {
	out := octets(bytes.Clone(b))
	slices.Reverse(out)
	return out
}

// Revocation implements ca.Archive.
func (s *Store) Revocation(ctx context.Context, tenant, issuer string, serial ca.Serial) (*ca.Status, error) {
	st := &ca.Status{Tenant: tenant, CA: issuer, Serial: serial}
	var invalid sql.NullInt64
	var at int64
	err := s.read[selectRevocation].QueryRowContext(point(ctx), tenant, issuer, int64(serial.Month()), serial[:]).Scan(&st.State, &st.Reason, &invalid, &at)
	if err != nil {
		return nil, readError(err, "the certificate's status never changed")
	}
	st.Invalid, st.At = fromNullMicros(invalid), fromMicros(at)
	return st, nil
}

// AuditByTrace implements ca.Archive.
func (s *Store) AuditByTrace(ctx context.Context, tenant, trace string) ([]ca.Audit, error) {
	return s.auditRows(ctx, selectAuditByTrace, trace, tenant)
}

// AuditOf implements ca.Archive.
func (s *Store) AuditOf(ctx context.Context, tenant string, serial ca.Serial) ([]ca.Audit, error) {
	return s.auditRows(ctx, selectAuditBySerial, serial.String(), tenant)
}

func (s *Store) auditRows(ctx context.Context, q query, key, tenant string) ([]ca.Audit, error) {
	rows, err := s.read[q].QueryContext(ctx, key, tenant, ca.MaxFound)
	return collect(rows, err, func(rows *sql.Rows) (ca.Audit, error) {
		a := ca.Audit{Tenant: tenant}
		var at int64
		err := rows.Scan(&a.Event, &a.Actor, &a.Trace, &a.Detail, &at)
		a.At = fromMicros(at)
		return a, err
	})
}

var _ ca.Archive = (*Store)(nil)
