package postgres

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/test/harness"
)

// BenchmarkRevoke revokes certificates beside so many that are revoked already.
func BenchmarkRevoke(b *testing.B) {
	for _, revoked := range []int{1000, 100_000} {
		owner, runtime := migrated(b, harness.Postgres(b))
		s := open(b, runtime)
		keepProfile(b, s)
		if _, err := s.Record(b.Context(), newEntry()); err != nil { // makes the month
			b.Fatal(err)
		}
		fillRevoked(b, owner, revoked)
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("revoked=%d/callers=%d", revoked, callers), func(b *testing.B) {
				var work []*ca.Entry
				for range b.N {
					work = append(work, newEntry())
				}
				for part := range slices.Chunk(work, 100) {
					if _, err := s.Record(b.Context(), part...); err != nil {
						b.Fatal(err)
					}
				}
				var mu sync.Mutex
				var took []time.Duration
				batches := s.stats.Batches.Load()
				together(b, s, callers, func() error {
					mu.Lock()
					c := work[len(work)-1].Certificate
					work = work[:len(work)-1]
					mu.Unlock()
					start := time.Now()
					_, err := s.Revoke(b.Context(), &ca.Revocation{Tenant: c.Tenant, CA: c.CA, Serial: c.Serial, Reason: ca.KeyCompromise, BlockKey: true,
						Audit: ca.Audit{Tenant: c.Tenant, Event: "certificate.revoked", Actor: "operator:x", Trace: c.Trace, Detail: []byte(`{"serial":"` + c.Serial.String() + `"}`)}})
					mu.Lock()
					took = append(took, time.Since(start))
					mu.Unlock()
					return err
				})
				b.ReportMetric(float64(b.N)/float64(s.stats.Batches.Load()-batches), "members/commit")
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			})
		}
	}
}

// fillRevoked makes so many certificates that are revoked, with all that belongs to that.
func fillRevoked(b *testing.B, owner string, n int) {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), owner)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	month := int(ca.MonthOf(time.Now().AddDate(0, 3, 0)))
	for _, fill := range []string{
		fmt.Sprintf(`insert into enrollgate.certificates select 'default', 'issuing', %d, decode('%04x' || substr(md5(i::text), 1, 28), 'hex'), convert_to(repeat(md5(i::text), 22), 'UTF8'), now(), now(),
			'p', 'r', 'e', 't' || i, 'CN=' || i, decode(md5(i::text), 'hex'), decode(md5(i::text) || md5('k' || i), 'hex'), 'h', now() from generate_series(1, %d) i`, month, month, n),
		`insert into enrollgate.revocations select tenant, ca, serial, 'revoked', 1, null, now() from enrollgate.certificates where tbs_hash = 'h'`,
		`with f as (insert into enrollgate.status_feed select row_number() over () + (select last from enrollgate.feed_position), tenant, ca, serial, 'revoked', 1, null, now()
				from enrollgate.certificates where tbs_hash = 'h' returning position)
			update enrollgate.feed_position set last = (select max(position) from f)`,
		`insert into enrollgate.blocked_keys select key_hash, tenant, now() from enrollgate.certificates where tbs_hash = 'h'`,
		"vacuum analyze enrollgate.certificates, enrollgate.revocations, enrollgate.status_feed, enrollgate.blocked_keys",
	} {
		if _, err := conn.Exec(b.Context(), fill); err != nil {
			b.Fatalf("%s: %v", fill, err)
		}
	}
}
