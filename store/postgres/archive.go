package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
)

// FindCertificates implements ca.Archive.
func (s *Store) FindCertificates(ctx context.Context, f *ca.Filter) ([]ca.Certificate, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	statement, args := findArguments(f)
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, readError(err, "certificate")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ca.Certificate, error) {
		c := ca.Certificate{Tenant: f.Tenant, CA: f.CA}
		var serial []byte
		err := row.Scan(&serial, &c.DER, &c.NotBefore, &c.NotAfter, &c.Profile, &c.Requester, &c.Endpoint, &c.Trace, &c.IssuedAt, &c.State)
		if err != nil {
			return c, err
		}
		c.NotBefore, c.NotAfter, c.IssuedAt = c.NotBefore.UTC(), c.NotAfter.UTC(), c.IssuedAt.UTC()
		c.Serial, err = serialOf(serial)
		return c, err
	})
	return all, readError(err, "certificate")
}

// findArguments chooses the statement that the most selective part of a filter drives.
func findArguments(f *ca.Filter) (string, []any) {
	first, last := f.Serials()
	args := []any{f.Tenant, f.CA, int32(first.Month()), int32(last.Month()), first[:], last[:], nullable(f.ExpiresIn.From), nullable(f.ExpiresIn.To),
		given(f.Profile), given(f.Requester), given(f.Subject), f.KeyID, given(string(f.State)), f.Limit}
	switch {
	case len(f.Name.Raw) > 0:
		above := ""
		if f.NameSuffix {
			above = "\x7f" // no text of a name has it
		}
		return sql.FindByName, append(args, int16(f.Name.Kind), f.Name.Raw, above)
	case len(f.KeyID) > 0:
		return sql.FindByKey, args
	case f.Subject != "":
		return sql.FindBySubject, args
	case f.Requester != "":
		return sql.FindByRequester, args
	case f.State != "" && f.State != ca.Issued:
		return sql.FindByState, args
	}
	return sql.Find, args
}

func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Revocation implements ca.Archive.
func (s *Store) Revocation(ctx context.Context, tenant, caID string, serial ca.Serial) (*ca.Status, error) {
	st := &ca.Status{Tenant: tenant, CA: caID, Serial: serial}
	var invalid *time.Time
	err := s.pool.QueryRow(ctx, sql.RevocationFind, tenant, caID, serial[:]).Scan(&st.State, &st.Reason, &invalid, &st.At)
	if err != nil {
		return nil, readError(err, "change of the certificate's status")
	}
	st.At, st.Invalid = st.At.UTC(), orZero(invalid)
	return st, nil
}

// AuditByTrace implements ca.Archive.
func (s *Store) AuditByTrace(ctx context.Context, tenant, trace string) ([]ca.Audit, error) {
	return s.auditFound(ctx, sql.AuditByTrace, trace, tenant)
}

// AuditOf implements ca.Archive.
func (s *Store) AuditOf(ctx context.Context, tenant string, serial ca.Serial) ([]ca.Audit, error) {
	return s.auditFound(ctx, sql.AuditBySerial, serial.String(), tenant)
}

func (s *Store) auditFound(ctx context.Context, statement, key, tenant string) ([]ca.Audit, error) {
	rows, err := s.pool.Query(ctx, statement, key, tenant, ca.MaxFound)
	if err != nil {
		return nil, readError(err, "audit row")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ca.Audit, error) {
		a := ca.Audit{Tenant: tenant}
		err := row.Scan(&a.Event, &a.Actor, &a.Trace, &a.Detail, &a.At)
		a.At = a.At.UTC()
		return a, err
	})
	return all, readError(err, "audit row")
}

var _ ca.Archive = (*Store)(nil)
