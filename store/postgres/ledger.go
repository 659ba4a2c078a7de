package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
)

// errLost is the loss of a statement that the driver itself put into a batch.
var errLost = errors.New("a guard of the store does not hold")

// Record implements ca.Ledger.
func (s *Store) Record(ctx context.Context, entries ...*ca.Entry) ([]ca.Recorded, error) {
	w := &work{entries: entries}
	keys := map[slot]bool{}
	for i, e := range entries {
		if e.Idempotency.Window > 0 {
			if keys[idempotencySlot(e)] {
				return nil, ca.Errorf(ca.Conflict, "the request names the same transaction twice")
			}
			keys[idempotencySlot(e)] = true
		}
		if err := w.add(s, e.Certificate.Tenant, i, e, e.Effects); err != nil {
			return nil, err
		}
		w.takeUnique(s, e)
		w.supersede(s, e)
	}
	if len(entries) == 0 {
		return nil, nil
	}
	// A key can be live at the commit and gone when its answer is read; then the request is new.
	for range 3 {
		err := s.submit(ctx, w)
		switch {
		case err == nil:
			return recorded(w), nil
		case !errors.Is(err, errTaken):
			return nil, err
		}
		found, err := s.replay(ctx, entries)
		if err != nil || found != nil {
			return found, err
		}
	}
	return nil, ca.UnavailableError(errors.New("an idempotency key came and went three times"), time.Second)
}

// takeUnique puts in the guards of what no other valid certificate may have.
func (w *work) takeUnique(s *Store, e *ca.Entry) {
	c := &e.Certificate
	for i := range e.Unique {
		u := &e.Unique[i]
		w.steps = append(w.steps, step{slot: slot{classUnique, c.Tenant, string(u.Value[:])}, sql: approving.UniqueTake, lost: ca.NotUnique(c.Profile, u),
			args: []any{s.offset(), c.Tenant, u.Value[:], c.CA, c.Serial[:], c.NotAfter, e.Replaces[:]}})
	}
}

func recorded(w *work) []ca.Recorded {
	all := make([]ca.Recorded, len(w.entries))
	for i, e := range w.entries {
		all[i].Certificate = e.Certificate
		c := &all[i].Certificate
		c.State, c.IssuedAt = ca.Issued, w.at
		c.NotBefore, c.NotAfter = c.NotBefore.UTC(), c.NotAfter.UTC()
	}
	return all
}

// replay finds the answers that were recorded under the entries' keys; nil
// without an error where none of the keys is live any more.
func (s *Store) replay(ctx context.Context, entries []*ca.Entry) ([]ca.Recorded, error) {
	all := make([]ca.Recorded, len(entries))
	live := 0
	for i, e := range entries {
		if e.Idempotency.Window == 0 {
			continue
		}
		c, err := s.Answered(ctx, e.Certificate.Tenant, &e.Idempotency)
		switch {
		case ca.IsKind(err, ca.NotFound):
			continue
		case err != nil:
			return nil, err
		}
		live++
		all[i] = ca.Recorded{Certificate: *c, Replayed: true}
	}
	switch live {
	case 0:
		return nil, nil
	case len(entries):
		return all, nil
	}
	return nil, ca.PartlyAnswered()
}

// Answered finds what was recorded under a live idempotency key.
func (s *Store) Answered(ctx context.Context, tenant string, id *ca.Idempotency) (*ca.Certificate, error) {
	var digest, serial []byte
	var caID string
	if err := s.pool.QueryRow(ctx, sql.ReplayFind, s.offset(), tenant, id.Key[:]).Scan(&digest, &caID, &serial); err != nil {
		return nil, readError(err, "recorded answer")
	}
	if string(digest) != string(id.Digest[:]) {
		return nil, ca.TransactionTaken()
	}
	if len(serial) != ca.SerialSize {
		return nil, ca.InternalError(fmt.Errorf("postgres: a recorded serial has %d octets", len(serial)))
	}
	return s.Certificate(ctx, tenant, caID, ca.Serial(serial))
}

// Certificate implements ca.Ledger.
func (s *Store) Certificate(ctx context.Context, tenant, caID string, serial ca.Serial) (*ca.Certificate, error) {
	c := &ca.Certificate{Tenant: tenant, CA: caID, Serial: serial}
	err := s.pool.QueryRow(ctx, sql.CertificateFind, tenant, caID, int32(serial.Month()), serial[:]).
		Scan(&c.DER, &c.NotBefore, &c.NotAfter, &c.Profile, &c.Requester, &c.Endpoint, &c.Trace, &c.IssuedAt, &c.State)
	if err != nil {
		return nil, readError(err, "certificate")
	}
	c.NotBefore, c.NotAfter, c.IssuedAt = c.NotBefore.UTC(), c.NotAfter.UTC(), c.IssuedAt.UTC()
	return c, nil
}

// Decision implements ca.Ledger.
func (s *Store) Decision(ctx context.Context, tenant, caID string, serial ca.Serial) (detail []byte, profile [32]byte, err error) {
	var hash []byte
	err = s.pool.QueryRow(ctx, sql.DecisionFind, tenant, caID, int32(serial.Month()), serial[:]).Scan(&detail, &hash)
	if err != nil {
		return nil, profile, readError(err, "certificate")
	}
	if len(hash) != len(profile) {
		return nil, profile, ca.InternalError(fmt.Errorf("a profile hash of %d octets is stored", len(hash)))
	}
	return detail, [32]byte(hash), nil
}

// Revoke implements ca.Ledger.
func (s *Store) Revoke(ctx context.Context, r *ca.Revocation) (*ca.Status, error) {
	w := &work{audit: []ca.Audit{r.Audit}, status: &ca.Status{Tenant: r.Tenant, CA: r.CA, Serial: r.Serial,
		Reason: r.Reason, Invalid: r.Invalid.UTC(), State: ca.Revoked, Shard: r.Shard}}
	if err := w.add(s, r.Tenant, 0, nil, r.Effects); err != nil {
		return nil, err
	}
	at := r.CA + "\x00" + string(r.Serial[:])
	month := int32(r.Serial.Month())
	change := step{slot: slot{classRevocation, r.Tenant, at}, sql: sql.Revoke, lost: errLost, scan: func(row pgx.Row) error {
		var invalid *time.Time
		err := row.Scan(&invalid, &w.status.At)
		w.status.Invalid, w.status.At = orZero(invalid), w.status.At.UTC()
		return err
	}}
	switch r.Reason {
	case ca.CertificateHold:
		w.status.State = ca.Held
	case ca.RemoveFromCRL:
		w.status.State = ca.Issued
		change.sql = sql.Unhold
		change.args = []any{s.offset(), r.Tenant, r.CA, r.Serial[:], int16(r.Reason), nullable(r.Invalid)}
	}
	if change.args == nil {
		change.args = []any{s.offset(), r.Tenant, r.CA, month, r.Serial[:], string(w.status.State), int16(r.Reason), nullable(r.Invalid), r.Shard, r.Proves()}
	}
	if r.Proves() {
		w.steps = append(w.steps, step{slot: change.slot, sql: sql.RevocationLock, always: true, args: []any{r.Tenant, r.CA, r.Serial[:]}})
	}
	w.steps = append(w.steps, change)
	if r.BlockKey {
		w.steps = append(w.steps, step{slot: slot{classBlockedKey, r.Tenant, at}, sql: sql.BlockKey, always: true,
			args: []any{s.offset(), r.Tenant, r.CA, month, r.Serial[:]}})
	}
	err := s.submit(ctx, w)
	if errors.Is(err, errLost) {
		if _, err := s.Certificate(ctx, r.Tenant, r.CA, r.Serial); err != nil {
			return nil, err
		}
		return nil, ca.Errorf(ca.Conflict, "the certificate's status does not change that way: it may be revoked already")
	}
	if err != nil {
		return nil, err
	}
	return w.status, nil
}

// Feed implements ca.Ledger.
func (s *Store) Feed(ctx context.Context, after int64, limit int) ([]ca.Status, error) {
	rows, err := s.pool.Query(ctx, sql.FeedRead, after, limit)
	if err != nil {
		return nil, readError(err, "status feed")
	}
	feed, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (st ca.Status, err error) {
		var serial []byte
		var invalid *time.Time
		if err := row.Scan(&st.Position, &st.Tenant, &st.CA, &serial, &st.State, &st.Reason, &invalid, &st.At); err != nil {
			return st, err
		}
		st.At, st.Invalid = st.At.UTC(), orZero(invalid)
		st.Serial, err = serialOf(serial)
		return st, err
	})
	return feed, readError(err, "status feed")
}

// Note implements ca.Ledger.
func (s *Store) Note(a ca.Audit) { s.notes.Add(a) }

func (s *Store) writeNotes(ctx context.Context, rows []ca.Audit) error {
	return s.submit(ctx, &work{audit: rows})
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func serialOf(b []byte) (ca.Serial, error) {
	if len(b) != ca.SerialSize {
		return ca.Serial{}, fmt.Errorf("a serial of %d octets is stored", len(b))
	}
	return ca.Serial(b), nil
}
