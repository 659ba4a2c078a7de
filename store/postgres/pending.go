package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
)

// errParked says that a live idempotency key stands in the way of a parking.
var errParked = errors.New("the request is recorded already")

// Park implements ca.PendingStore.
func (s *Store) Park(ctx context.Context, p *ca.Parking) (*ca.Parked, error) {
	q, id := &p.Request, &p.Idempotency
	var key []byte
	at := slot{classPending, q.Tenant, "id\x00" + q.ID}
	w := &work{audit: []ca.Audit{p.Audit}}
	if id.Window > 0 {
		key, at.key = id.Key[:], "key\x00"+string(id.Key[:])
		w.steps = append(w.steps, step{slot: at, sql: approving.PendingFree, always: true, args: []any{s.offset(), q.Tenant, key}})
	}
	names := q.Names
	if names == nil {
		names = []string{}
	}
	// Before the effects: who repeats a request gets its answer even though they cannot take place once more.
	w.steps = append(w.steps, step{slot: at, sql: approving.PendingAdd, lost: errParked, args: []any{s.offset(), q.Tenant, q.ID, q.Door, q.Endpoint, q.CA, q.Profile, q.Requester,
		string(q.Operation), q.Transaction, q.Trace, q.Subject, names, q.Key, q.KeyHash[:], p.Lifetime.Microseconds(), notNil(q.Sealed), key, id.Digest[:], id.Window.Microseconds()}})
	if err := w.add(s, q.Tenant, 0, nil, p.Effects); err != nil {
		return nil, err
	}
	for range 3 { // a key can be live at the commit and gone when its answer is read
		err := s.submit(ctx, w)
		if err == nil {
			found, err := s.PendingRequest(ctx, q.Tenant, q.ID)
			if err != nil {
				return nil, err
			}
			return &ca.Parked{Request: *found}, nil
		}
		if !errors.Is(err, errParked) {
			return nil, err
		}
		if found, err := s.parkedBefore(ctx, p); found != nil || err != nil {
			return found, err
		}
	}
	return nil, ca.UnavailableError(errors.New("an idempotency key came and went three times"), time.Second)
}

// parkedBefore finds what is recorded under the idempotency key; nil where
// nothing is any more.
func (s *Store) parkedBefore(ctx context.Context, p *ca.Parking) (*ca.Parked, error) {
	tenant, key := p.Request.Tenant, p.Idempotency.Key[:]
	var id, issuer string
	var digest, serial []byte
	err := s.pool.QueryRow(ctx, approving.PendingByKey, s.offset(), tenant, key).Scan(&id, &digest)
	if errors.Is(err, pgx.ErrNoRows) {
		err = s.pool.QueryRow(ctx, sql.ReplayFind, s.offset(), tenant, key).Scan(&digest, &issuer, &serial)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, readError(err, "recorded answer")
	case string(digest) != string(p.Idempotency.Digest[:]):
		return nil, ca.TransactionTaken()
	}
	if id != "" {
		found, err := s.PendingRequest(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		return &ca.Parked{Request: *found, Replayed: true}, nil
	}
	recorded, err := serialOf(serial)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	c, err := s.Certificate(ctx, tenant, issuer, recorded)
	if err != nil {
		return nil, err
	}
	return &ca.Parked{Certificate: c, Replayed: true}, nil
}

// PendingRequest implements ca.PendingStore.
func (s *Store) PendingRequest(ctx context.Context, tenant, id string) (*ca.PendingRequest, error) {
	p, err := scanPending(s.pool.QueryRow(ctx, approving.PendingFind, tenant, id))
	if err != nil {
		return nil, readError(err, "request")
	}
	return &p, nil
}

// PendingTransaction implements ca.PendingStore.
func (s *Store) PendingTransaction(ctx context.Context, tenant, endpoint, transaction string) (*ca.PendingRequest, error) {
	p, err := scanPending(s.pool.QueryRow(ctx, approving.PendingOfTransaction, tenant, endpoint, transaction))
	if err != nil {
		return nil, readError(err, "request")
	}
	return &p, nil
}

// PendingRequests implements ca.PendingStore.
func (s *Store) PendingRequests(ctx context.Context, tenant string, state ca.PendingState, after string, limit int) ([]ca.PendingRequest, error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	return s.pending(ctx, approving.PendingPage, tenant, string(state), after, limit)
}

// DuePending implements ca.PendingStore.
func (s *Store) DuePending(ctx context.Context, limit int) ([]ca.PendingRequest, error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	due, err := s.pending(ctx, approving.PendingApproved, limit)
	if err != nil || len(due) == limit {
		return due, err
	}
	late, err := s.pending(ctx, approving.PendingOverdue, s.offset(), limit-len(due))
	return append(due, late...), err
}

func (s *Store) pending(ctx context.Context, statement string, args ...any) ([]ca.PendingRequest, error) {
	rows, err := s.pool.Query(ctx, statement, args...)
	if err != nil {
		return nil, readError(err, "request")
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ca.PendingRequest, error) { return scanPending(row) })
	return all, readError(err, "request")
}

// CountPending implements ca.PendingStore.
func (s *Store) CountPending(ctx context.Context) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx, approving.PendingCount)
	if err != nil {
		return nil, readError(err, "request")
	}
	counts := map[string]int64{}
	var tenant string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&tenant, &n}, func() error {
		counts[tenant] = n
		return nil
	})
	return counts, readError(err, "request")
}

// Settle implements ca.PendingStore.
func (s *Store) Settle(ctx context.Context, p *ca.Settlement) error {
	w := &work{audit: []ca.Audit{p.Audit}}
	if err := w.add(s, p.Tenant, 0, nil, p.Effects); err != nil {
		return err
	}
	w.steps = append(w.steps, step{slot: slot{classPending, p.Tenant, "id\x00" + p.ID}, sql: approving.PendingSettle,
		lost: ca.Errorf(ca.Conflict, "the request is not %s any more", p.From),
		args: []any{s.offset(), p.Tenant, p.ID, string(p.From), string(p.To), p.By, p.Reason, p.Approval, int16(p.Kind)}})
	return s.submit(ctx, w)
}

// IssuePending implements ca.PendingStore.
func (s *Store) IssuePending(tenant, id string) ca.Effect {
	return ca.NewEffect(&effect{store: s, tenant: tenant, step: func(e *ca.Entry) (step, error) {
		if e == nil {
			return step{}, errors.New("a request can only be issued together with a certificate")
		}
		return step{slot: slot{classPending, tenant, "id\x00" + id}, sql: approving.PendingIssue,
			args: []any{s.offset(), tenant, id, e.Certificate.CA, e.Certificate.Serial[:]}}, nil
	}})
}

func scanPending(row pgx.Row) (p ca.PendingRequest, err error) {
	var hash, serial []byte
	var decided *time.Time
	var kind int16
	if err := row.Scan(&p.Tenant, &p.ID, &p.State, &p.Door, &p.Endpoint, &p.CA, &p.Profile, &p.Requester, &p.Operation, &p.Transaction, &p.Trace,
		&p.Subject, &p.Names, &p.Key, &hash, &p.CreatedAt, &p.Expires, &decided, &p.DecidedBy, &p.Reason, &serial, &kind, &p.Sealed, &p.Approval); err != nil {
		return p, err
	}
	copy(p.KeyHash[:], hash)
	copy(p.Serial[:], serial)
	p.CreatedAt, p.Expires, p.DecidedAt, p.Kind = p.CreatedAt.UTC(), p.Expires.UTC(), orZero(decided), ca.Kind(kind)
	return p, nil
}

var _ ca.PendingStore = (*Store)(nil)
