package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// parking is one call of Park.
type parking struct {
	*ca.Parking
	effects []*effect
	names   []byte
	id      string // of the request that the same one was parked as before
	issuer  string // with serial: of the certificate that the same request got
	serial  []byte
}

// Park records a request that waits for an operator.
func (s *Store) Park(ctx context.Context, p *ca.Parking) (*ca.Parked, error) {
	own, err := s.own(p.Request.Tenant, p.Effects, false)
	if err != nil {
		return nil, err
	}
	r := &parking{Parking: p, effects: own}
	if r.names, err = json.Marshal(p.Request.Names); err != nil {
		return nil, ca.InternalError(err)
	}
	w := &write{audits: []ca.Audit{p.Audit}}
	w.guard = func(b *batch) error {
		taken, err := r.taken(b)
		if err != nil || taken {
			w.replay = taken
			return err
		}
		return r.insert(b)
	}
	if err := s.queue.Submit(ctx, w); err != nil {
		return nil, err
	}
	if w.replay && r.serial != nil {
		c, err := s.Certificate(ctx, p.Request.Tenant, r.issuer, ca.Serial(r.serial))
		return &ca.Parked{Certificate: c, Replayed: true}, err
	}
	id := p.Request.ID
	if w.replay {
		id = r.id
	}
	found, err := s.PendingRequest(ctx, p.Request.Tenant, id)
	if err != nil {
		return nil, err
	}
	return &ca.Parked{Request: *found, Replayed: w.replay}, nil
}

// taken looks for what was recorded under the idempotency key.
func (r *parking) taken(b *batch) (bool, error) {
	tenant, id := r.Request.Tenant, &r.Idempotency
	if r.id, r.serial = "", nil; id.Window <= 0 {
		return false, nil
	}
	var digest []byte
	var live bool
	parked, err := b.scan(selectPendingKey, []any{micros(b.now), tenant, id.Key[:]}, &r.id, &digest, &live)
	if err != nil {
		return false, err
	}
	found := parked && live
	if !found {
		if found, err = b.scan(selectIdempotency, []any{tenant, id.Key[:], micros(b.now)}, &digest, &r.issuer, &r.serial); err != nil {
			return false, err
		}
	}
	switch {
	case found && string(digest) != string(id.Digest[:]), r.serial != nil && len(r.serial) != ca.SerialSize:
		return false, ca.TransactionTaken()
	case !found && parked:
		_, err = b.exec(freePendingKey, tenant, id.Key[:])
	}
	return found, err
}

func (r *parking) insert(b *batch) error {
	if err := b.take(r.effects, 0, nil); err != nil {
		return err
	}
	q, id := &r.Request, &r.Idempotency
	var key any
	if id.Window > 0 {
		key = id.Key[:]
	}
	_, err := b.exec(insertPending, q.Tenant, q.ID, q.Door, q.Endpoint, q.CA, q.Profile, q.Requester, string(q.Operation), q.Transaction, q.Trace, q.Subject,
		string(r.names), q.Key, q.KeyHash[:], micros(b.now), micros(b.now.Add(r.Lifetime)), octets(q.Sealed), key, id.Digest[:], id.Window.Microseconds())
	return err
}

// PendingRequest finds one parked request.
func (s *Store) PendingRequest(ctx context.Context, tenant, id string) (*ca.PendingRequest, error) {
	p, err := scanPending(s.read[selectPending].QueryRowContext(point(ctx), tenant, id))
	if err != nil {
		return nil, readError(err, "there is no such request")
	}
	return &p, nil
}

// PendingTransaction finds the newest parked request of a transaction.
func (s *Store) PendingTransaction(ctx context.Context, tenant, endpoint, transaction string) (*ca.PendingRequest, error) {
	p, err := scanPending(s.read[selectPendingTransaction].QueryRowContext(point(ctx), tenant, endpoint, transaction))
	if err != nil {
		return nil, readError(err, "there is no such request")
	}
	return &p, nil
}

// PendingRequests lists those of a tenant in a state.
func (s *Store) PendingRequests(ctx context.Context, tenant string, state ca.PendingState, after string, limit int) ([]ca.PendingRequest, error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	return s.pending(ctx, selectPendingPage, tenant, string(state), after, limit)
}

// DuePending lists what somebody must move on.
func (s *Store) DuePending(ctx context.Context, limit int) ([]ca.PendingRequest, error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	due, err := s.pending(ctx, selectPendingApproved, limit)
	if err != nil || len(due) == limit {
		return due, err
	}
	late, err := s.pending(ctx, selectPendingOverdue, micros(s.now()), limit-len(due))
	return append(due, late...), err
}

func (s *Store) pending(ctx context.Context, q query, args ...any) ([]ca.PendingRequest, error) {
	rows, err := s.read[q].QueryContext(ctx, args...)
	return collect(rows, err, func(rows *sql.Rows) (ca.PendingRequest, error) { return scanPending(rows) })
}

// CountPending counts the requests that wait, by tenant.
func (s *Store) CountPending(ctx context.Context) (map[string]int64, error) {
	type count struct {
		tenant string
		n      int64
	}
	rows, err := s.read[countPending].QueryContext(ctx)
	all, err := collect(rows, err, func(rows *sql.Rows) (c count, err error) { return c, rows.Scan(&c.tenant, &c.n) })
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for _, c := range all {
		counts[c.tenant] = c.n
	}
	return counts, nil
}

// Settle moves a parked request on.
func (s *Store) Settle(ctx context.Context, p *ca.Settlement) error {
	own, err := s.own(p.Tenant, p.Effects, false)
	if err != nil {
		return err
	}
	var approval any
	if p.Approval != nil {
		approval = p.Approval
	}
	return s.queue.Submit(ctx, &write{audits: []ca.Audit{p.Audit}, guard: func(b *batch) error {
		if err := b.take(own, 0, nil); err != nil {
			return err
		}
		return b.must("the request is not "+string(p.From)+" any more", settlePending, p.Tenant, p.ID, string(p.From), string(p.To), p.By, micros(b.now),
			p.Reason, approval, int64(p.Kind))
	}})
}

// IssuePending makes the effect that gives an approved request its certificate.
func (s *Store) IssuePending(tenant, id string) ca.Effect {
	return ca.NewEffect(&effect{owner: s, tenant: tenant, query: issuePending, issues: true, args: func(b *batch, e *ca.Entry) []any {
		return []any{e.Certificate.Serial[:], micros(b.now), tenant, id, e.Certificate.CA}
	}})
}

func scanPending(row interface{ Scan(...any) error }) (p ca.PendingRequest, err error) {
	var names, hash, serial []byte
	var created, expires int64
	var decided sql.NullInt64
	if err := row.Scan(&p.Tenant, &p.ID, &p.State, &p.Door, &p.Endpoint, &p.CA, &p.Profile, &p.Requester, &p.Operation, &p.Transaction, &p.Trace,
		&p.Subject, &names, &p.Key, &hash, &created, &expires, &decided, &p.DecidedBy, &p.Reason, &serial, &p.Kind, &p.Sealed, &p.Approval); err != nil {
		return p, err
	}
	copy(p.KeyHash[:], hash)
	copy(p.Serial[:], serial)
	p.CreatedAt, p.Expires, p.DecidedAt = fromMicros(created), fromMicros(expires), time.Time{}
	if decided.Valid {
		p.DecidedAt = fromMicros(decided.Int64)
	}
	return p, json.Unmarshal(names, &p.Names)
}

var _ ca.PendingStore = (*Store)(nil)
