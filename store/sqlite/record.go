package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/enrollgate/enrollgate/ca"
)

// recording is one call of Record.
type recording struct {
	s       *Store
	entries []*ca.Entry
	effects [][]*effect
	answers []ca.Recorded
	replays []ca.Serial // of a replay: the recorded serials
	cas     []string
}

// Record commits the entries of one call whole or not at all.
func (s *Store) Record(ctx context.Context, entries ...*ca.Entry) ([]ca.Recorded, error) {
	r := &recording{s: s, entries: entries}
	w := &write{}
	keys := map[[32]byte]bool{}
	for _, e := range entries {
		own, err := s.own(e.Certificate.Tenant, e.Effects, true)
		if err != nil {
			return nil, err
		}
		if e.Idempotency.Window > 0 {
			if keys[e.Idempotency.Key] {
				return nil, ca.Errorf(ca.Conflict, "the same request is there twice")
			}
			keys[e.Idempotency.Key] = true
		}
		r.effects = append(r.effects, own)
		w.audits = append(w.audits, e.Audit)
	}
	w.guard = func(b *batch) error { return r.guard(b, w) }
	w.rows = r.rows
	if err := s.queue.Submit(ctx, w); err != nil {
		return nil, err
	}
	if w.replay {
		return r.recorded(ctx)
	}
	return r.answers, nil
}

// guard looks for a recorded answer first, so that who repeats a request gets
// it even though the request's effects could not take place once more.
func (r *recording) guard(b *batch, w *write) error {
	taken, err := r.taken(b)
	if err != nil || taken {
		w.replay = taken
		return err
	}
	for _, e := range r.entries {
		var one int
		blocked, err := b.scan(selectBlocked, []any{e.KeyHash[:]}, &one)
		if err != nil {
			return err
		}
		if blocked {
			return &ca.Error{Kind: ca.Denied, Public: "the key was revoked because it was compromised; make a new key",
				Field: "key", Rule: "blocked key"}
		}
	}
	for i, e := range r.entries {
		if err := b.take(r.effects[i], i, e); err != nil {
			return err
		}
	}
	for _, e := range r.entries {
		if err := b.takeUnique(e); err != nil {
			return err
		}
		if err := b.supersede(e); err != nil {
			return err
		}
		c := &e.Certificate
		if id := &e.Idempotency; id.Window > 0 {
			if _, err := b.exec(putIdempotency, c.Tenant, id.Key[:], id.Digest[:], c.CA, c.Serial[:], micros(b.now.Add(id.Window))); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeUnique takes what no other valid certificate may have.
func (b *batch) takeUnique(e *ca.Entry) error {
	c := &e.Certificate
	for i := range e.Unique {
		u := &e.Unique[i]
		n, err := b.exec(takeUnique, c.Tenant, u.Value[:], c.CA, int64(c.Serial.Month()), c.Serial[:], micros(c.NotAfter), micros(b.now), e.Replaces[:])
		if err != nil {
			return err
		}
		if n == 0 {
			return ca.NotUnique(c.Profile, u)
		}
	}
	return nil
}

// taken tells whether every entry was answered before. Some but not all, or
// another digest, is a conflict.
func (r *recording) taken(b *batch) (bool, error) {
	r.replays, r.cas = r.replays[:0], r.cas[:0]
	for _, e := range r.entries {
		id := &e.Idempotency
		if id.Window <= 0 {
			continue
		}
		var digest, serial []byte
		var issuer string
		found, err := b.scan(selectIdempotency, []any{e.Certificate.Tenant, id.Key[:], micros(b.now)}, &digest, &issuer, &serial)
		switch {
		case err != nil:
			return false, err
		case !found:
			continue
		case string(digest) != string(id.Digest[:]):
			return false, ca.TransactionTaken()
		case len(serial) != ca.SerialSize:
			return false, &failure{selectIdempotency, fmt.Errorf("a recorded serial has %d octets", len(serial))}
		}
		r.replays, r.cas = append(r.replays, ca.Serial(serial)), append(r.cas, issuer)
	}
	switch len(r.replays) {
	case 0:
		return false, nil
	case len(r.entries):
		return true, nil
	}
	return false, ca.PartlyAnswered()
}

// rows adds what is recorded of each entry.
func (r *recording) rows(b *batch) error {
	r.answers = r.answers[:0]
	for _, e := range r.entries {
		c := e.Certificate
		month := c.Serial.Month()
		if _, known := r.s.months.Load(month); !known {
			if _, err := b.exec(insertMonth, int64(month), micros(b.now)); err != nil {
				return err
			}
			b.months = append(b.months, month)
		}
		c.State, c.IssuedAt = ca.Issued, b.now
		id, err := b.add(insertCertificate, c.Tenant, c.CA, int64(month), c.Serial[:], c.DER, c.NotBefore.UnixMicro(), c.NotAfter.UnixMicro(),
			c.Profile, c.Requester, c.Endpoint, c.Trace, micros(b.now), e.Subject, octets(e.KeyID), e.KeyHash[:], e.TBSHash[:])
		if err != nil {
			return err
		}
		for i, n := range e.AltNames {
			if _, err := b.exec(insertSAN, id, i, c.Tenant, int64(n.Kind), octets(n.Raw), backwards(n.Raw)); err != nil {
				return err
			}
		}
		if _, err := b.exec(insertDecision, id, c.Tenant, e.ProfileHash[:], octets(e.Decision)); err != nil {
			return err
		}
		r.answers = append(r.answers, ca.Recorded{Certificate: c})
	}
	return nil
}

// recorded reads the certificates that were recorded for the same requests.
func (r *recording) recorded(ctx context.Context) ([]ca.Recorded, error) {
	answers := make([]ca.Recorded, len(r.entries))
	for i, e := range r.entries {
		c, err := r.s.Certificate(ctx, e.Certificate.Tenant, r.cas[i], r.replays[i])
		if err != nil {
			return nil, err
		}
		answers[i] = ca.Recorded{Certificate: *c, Replayed: true}
	}
	return answers, nil
}

// Answered finds what was recorded under a live idempotency key.
func (s *Store) Answered(ctx context.Context, tenant string, id *ca.Idempotency) (*ca.Certificate, error) {
	var digest, serial []byte
	var issuer string
	if err := s.read[selectIdempotency].QueryRowContext(point(ctx), tenant, id.Key[:], micros(s.now())).Scan(&digest, &issuer, &serial); err != nil {
		return nil, readError(err, "no such request was answered")
	}
	if string(digest) != string(id.Digest[:]) {
		return nil, ca.TransactionTaken()
	}
	if len(serial) != ca.SerialSize {
		return nil, ca.InternalError(fmt.Errorf("sqlite: a recorded serial has %d octets", len(serial)))
	}
	return s.Certificate(ctx, tenant, issuer, ca.Serial(serial))
}

// Certificate finds one certificate with its current state.
func (s *Store) Certificate(ctx context.Context, tenant, issuer string, serial ca.Serial) (*ca.Certificate, error) {
	c := &ca.Certificate{Tenant: tenant, CA: issuer, Serial: serial}
	var from, until, at int64
	err := s.read[selectCertificate].QueryRowContext(point(ctx), tenant, issuer, int64(serial.Month()), serial[:]).
		Scan(&c.DER, &from, &until, &c.Profile, &c.Requester, &c.Endpoint, &c.Trace, &at, &c.State)
	if err != nil {
		return nil, readError(err, "there is no such certificate")
	}
	c.NotBefore, c.NotAfter, c.IssuedAt = fromMicros(from), fromMicros(until), fromMicros(at)
	return c, nil
}

// Decision finds the recorded decision of a certificate.
func (s *Store) Decision(ctx context.Context, tenant, issuer string, serial ca.Serial) (detail []byte, profile [32]byte, err error) {
	var hash []byte
	err = s.read[selectDecision].QueryRowContext(point(ctx), tenant, issuer, int64(serial.Month()), serial[:]).Scan(&hash, &detail)
	if err != nil {
		return nil, profile, readError(err, "there is no such certificate")
	}
	if len(hash) != len(profile) {
		return nil, profile, ca.InternalError(fmt.Errorf("sqlite: a profile hash has %d octets", len(hash)))
	}
	return detail, [32]byte(hash), nil
}

// readError turns the error of a query into an answer; no row is NotFound.
func readError(err error, missing string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ca.Errorf(ca.NotFound, "%s", missing)
	}
	return answer(err)
}
