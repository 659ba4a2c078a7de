package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/trail"
)

// write inserts the rows of a batch whose guards held, its link in the audit
// chain, and commits, in one round trip.
func (w *writer) write(ctx context.Context, now time.Time, members []*member) error {
	next := &link{chain: w.chain, Batch: trail.Batch{ID: newBatchID(now), Chain: w.name, Seq: w.seq + 1, Prev: w.head, At: now,
		Rows: auditRows(now, members)}}
	next.Hash = next.Sum()
	b := &pgx.Batch{}
	// First, so that a place in the chain that is taken shows before anything else.
	b.Queue(sql.Batch, next.chain, next.Seq, next.ID[:], next.Prev[:], next.Hash[:], len(next.Rows), now)
	if err := queueCertificates(b, now, members); err != nil {
		return err
	}
	if err := queueACME(b, members); err != nil {
		return err
	}
	queueOutbox(b, now, members)
	queueAudit(b, next)
	queueFeed(b, members)
	var outcome string
	b.Queue(sql.Commit).Exec(func(tag pgconn.CommandTag) error {
		outcome = tag.String()
		return nil
	})
	err := w.conn.SendBatch(ctx, b).Close()
	switch {
	case err != nil && failureOf(err) != failLost:
		return err // the server refused a statement, so it refused the commit
	case err != nil:
		w.doubt = next
		return errors.Join(errDoubt, err)
	case outcome != "COMMIT":
		return fmt.Errorf("the server answered %q to a commit", outcome)
	}
	w.seq, w.head = next.Seq, next.Hash
	for _, m := range members {
		m.Payload.at = now
	}
	return nil
}

// auditRows gathers the batch's audit rows and gives those without a time the commit's.
func auditRows(now time.Time, members []*member) []ca.Audit {
	var rows []ca.Audit
	add := func(a ca.Audit) {
		if a.At.IsZero() {
			a.At = now
		}
		a.At = a.At.UTC().Truncate(time.Microsecond)
		rows = append(rows, a)
	}
	for _, m := range members {
		for _, e := range m.Payload.entries {
			add(e.Audit)
		}
		for _, a := range m.Payload.audit {
			add(a)
		}
	}
	return rows
}

func queueAudit(b *pgx.Batch, l *link) {
	if len(l.Rows) == 0 {
		return
	}
	n := make([]int32, len(l.Rows))
	tenants, events, actors, traces := make([]string, len(n)), make([]string, len(n)), make([]string, len(n)), make([]string, len(n))
	details, at := make([][]byte, len(n)), make([]time.Time, len(n))
	for i := range l.Rows {
		r := &l.Rows[i]
		n[i], tenants[i], events[i], actors[i], traces[i] = int32(i), r.Tenant, r.Event, r.Actor, r.Trace
		details[i], at[i] = notNil(r.Detail), r.At
	}
	b.Queue(sql.Audit, l.chain, l.Seq, n, tenants, events, actors, traces, details, at)
}

func queueCertificates(b *pgx.Batch, now time.Time, members []*member) error {
	var c struct {
		tenant, ca, profile, requester, endpoint, trace, subject []string
		month                                                    []int32
		serial, der, keyID, keyHash, tbsHash                     [][]byte
		notBefore, notAfter                                      []time.Time
		profileHash, decision                                    [][]byte
	}
	var n struct {
		tenant, ca    []string
		month         []int32
		serial, value [][]byte
		n, kind       []int16
	}
	for _, m := range members {
		for _, e := range m.Payload.entries {
			cert := &e.Certificate
			month := int32(cert.Serial.Month())
			c.tenant, c.ca, c.month, c.serial = append(c.tenant, cert.Tenant), append(c.ca, cert.CA), append(c.month, month), append(c.serial, cert.Serial[:])
			c.der, c.notBefore, c.notAfter = append(c.der, notNil(cert.DER)), append(c.notBefore, cert.NotBefore), append(c.notAfter, cert.NotAfter)
			c.profile, c.requester = append(c.profile, cert.Profile), append(c.requester, cert.Requester)
			c.endpoint, c.trace, c.subject = append(c.endpoint, cert.Endpoint), append(c.trace, cert.Trace), append(c.subject, e.Subject)
			c.keyID, c.keyHash, c.tbsHash = append(c.keyID, notNil(e.KeyID)), append(c.keyHash, e.KeyHash[:]), append(c.tbsHash, e.TBSHash[:])
			c.profileHash, c.decision = append(c.profileHash, e.ProfileHash[:]), append(c.decision, notNil(e.Decision))
			if len(e.AltNames) > 1<<15-1 {
				return ca.InternalError(fmt.Errorf("%d alternative names", len(e.AltNames)))
			}
			for i, name := range e.AltNames {
				n.tenant, n.ca, n.month, n.serial = append(n.tenant, cert.Tenant), append(n.ca, cert.CA), append(n.month, month), append(n.serial, cert.Serial[:])
				n.n, n.kind, n.value = append(n.n, int16(i)), append(n.kind, int16(name.Kind)), append(n.value, notNil(name.Raw))
			}
		}
	}
	if len(c.serial) == 0 {
		return nil
	}
	b.Queue(sql.Certificates, now, c.tenant, c.ca, c.month, c.serial, c.der, c.notBefore, c.notAfter, c.profile, c.requester,
		c.endpoint, c.trace, c.subject, c.keyID, c.keyHash, c.tbsHash)
	b.Queue(sql.Decisions, c.tenant, c.ca, c.month, c.serial, c.profileHash, c.decision)
	if len(n.serial) > 0 {
		b.Queue(sql.Names, n.tenant, n.ca, n.month, n.serial, n.n, n.kind, n.value)
	}
	return nil
}

// queueFeed allocates positions under the row lock of the counter, as the last
// lock of the transaction, so that their order is the order of visibility.
func queueFeed(b *pgx.Batch, members []*member) {
	var rows []*ca.Status
	for _, m := range members {
		if m.Payload.status != nil {
			rows = append(rows, m.Payload.status)
		}
	}
	if len(rows) == 0 {
		return
	}
	var tenants, cas, states []string
	var serials [][]byte
	var reasons []int16
	var invalid []*time.Time
	var at []time.Time
	for _, s := range rows {
		tenants, cas, states = append(tenants, s.Tenant), append(cas, s.CA), append(states, string(s.State))
		serials, reasons, invalid = append(serials, s.Serial[:]), append(reasons, int16(s.Reason)), append(invalid, nullable(s.Invalid))
		at = append(at, s.At)
	}
	b.Queue(sql.Feed, int64(len(rows)), tenants, cas, serials, states, reasons, invalid, at).Query(func(r pgx.Rows) error {
		positions, err := pgx.CollectRows(r, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		if len(positions) != len(rows) {
			return fmt.Errorf("%d feed positions for %d rows", len(positions), len(rows))
		}
		slices.Sort(positions)
		for i, p := range positions {
			rows[i].Position = p
		}
		return nil
	})
}

func queueOutbox(b *pgx.Batch, now time.Time, members []*member) {
	var tenants, topics []string
	var payloads [][]byte
	for _, m := range members {
		for _, p := range m.Payload.posts {
			tenants, topics, payloads = append(tenants, p.Tenant), append(topics, p.Topic), append(payloads, notNil(p.Payload))
		}
	}
	if len(tenants) > 0 {
		b.Queue(sql.Outbox, now, tenants, topics, payloads)
	}
}

func queueACME(b *pgx.Batch, members []*member) error {
	var o struct {
		tenant, endpoint, id, account, status, authorizations []string
		profile, replaces                                     []string
		identifiers, err                                      [][]byte
		notBefore, notAfter                                   []*time.Time
		created, expires                                      []time.Time
	}
	var a struct {
		tenant, endpoint, id, account, kind, value, status []string
		wildcard                                           []bool
		created, expires                                   []time.Time
		challenges                                         [][]byte
	}
	for _, m := range members {
		for _, r := range m.Payload.orders {
			identifiers, err := encode(r.Identifiers)
			if err != nil {
				return err
			}
			o.tenant, o.endpoint, o.id = append(o.tenant, r.Tenant), append(o.endpoint, r.Endpoint), append(o.id, r.ID)
			o.account, o.status, o.identifiers = append(o.account, r.Account), append(o.status, string(r.Status)), append(o.identifiers, identifiers)
			o.notBefore, o.notAfter = append(o.notBefore, nullable(r.NotBefore)), append(o.notAfter, nullable(r.NotAfter))
			o.created, o.expires, o.err = append(o.created, r.CreatedAt), append(o.expires, r.Expires), append(o.err, r.Error)
			o.profile, o.replaces = append(o.profile, r.Profile), append(o.replaces, r.Replaces)
			o.authorizations = append(o.authorizations, strings.Join(r.Authorizations, ","))
		}
		for _, r := range m.Payload.authorizations {
			challenges, err := encodeChallenges(r.Challenges)
			if err != nil {
				return err
			}
			a.tenant, a.endpoint, a.id, a.account = append(a.tenant, r.Tenant), append(a.endpoint, r.Endpoint), append(a.id, r.ID), append(a.account, r.Account)
			a.kind, a.value, a.wildcard = append(a.kind, r.Identifier.Type), append(a.value, r.Identifier.Value), append(a.wildcard, r.Wildcard)
			a.status, a.created, a.expires = append(a.status, string(r.Status)), append(a.created, r.CreatedAt), append(a.expires, r.Expires)
			a.challenges = append(a.challenges, challenges)
		}
	}
	if len(o.id) > 0 {
		b.Queue(sql.Orders, o.tenant, o.endpoint, o.id, o.account, o.status, o.identifiers, o.notBefore, o.notAfter, o.created,
			o.expires, o.authorizations, o.err, o.profile, o.replaces)
	}
	if len(a.id) > 0 {
		b.Queue(sql.Authorizations, a.tenant, a.endpoint, a.id, a.account, a.kind, a.value, a.wildcard, a.status, a.created,
			a.expires, a.challenges)
	}
	return nil
}

// nullable gives NULL for the zero time.
func nullable(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// notNil gives an empty value for nil, because columns that always have one are not nullable.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
