package sqlite

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// BenchmarkRevoke revokes certificates beside so many that are revoked already.
// cpu-us/op is the processor time of this process, the database's included.
func BenchmarkRevoke(b *testing.B) {
	for _, revoked := range []int{1000, 100_000} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("revoked=%d/callers=%d", revoked, callers), func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "bench.db")
				if err := Migrate(b.Context(), path); err != nil {
					b.Fatal(err)
				}
				s := fresh(b, Options{Path: path, Log: slog.New(slog.DiscardHandler)})
				fillRevoked(b, path, revoked)
				keepProfile(b, s)
				var work []*ca.Entry
				for range b.N {
					work = append(work, newEntry())
				}
				for part := range slices.Chunk(work, 100) {
					if _, err := s.Record(b.Context(), part...); err != nil {
						b.Fatal(err)
					}
				}
				next := make(chan *ca.Entry, len(work))
				for _, e := range work {
					next <- e
				}
				close(next)
				took := make([][]time.Duration, callers)
				before, members, batches := cpu(), s.Stats().Members.Load(), s.Stats().Batches.Load()
				b.ResetTimer()
				var all sync.WaitGroup
				for i := range callers {
					all.Go(func() {
						for e := range next {
							start := time.Now()
							c := e.Certificate
							if _, err := s.Revoke(b.Context(), &ca.Revocation{Tenant: c.Tenant, CA: c.CA, Serial: c.Serial, Reason: ca.KeyCompromise, BlockKey: true,
								Audit: ca.Audit{Tenant: c.Tenant, Event: "certificate.revoked", Actor: "operator:x", Trace: c.Trace, Detail: []byte(`{"serial":"` + c.Serial.String() + `"}`)}}); err != nil {
								b.Error(err)
							}
							took[i] = append(took[i], time.Since(start))
						}
					})
				}
				all.Wait()
				b.StopTimer()
				b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
				b.ReportMetric(float64(s.Stats().Members.Load()-members)/float64(s.Stats().Batches.Load()-batches), "members/commit")
				flat := slices.Concat(took...)
				slices.Sort(flat)
				b.ReportMetric(float64(flat[len(flat)*99/100].Microseconds())/1000, "p99-ms")
			})
		}
	}
}

// fillRevoked makes so many certificates that are revoked, with all that belongs to that.
func fillRevoked(b *testing.B, path string, n int) {
	b.Helper()
	db := raw(b, path)
	month := int64(ca.MonthOf(time.Now().AddDate(0, 3, 0)))
	for _, fill := range []string{
		`INSERT INTO certificates (tenant, ca, month, serial, der, not_before, not_after, profile, requester, endpoint, trace, issued_at, subject, key_id, key_hash, tbs_hash)
			WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ?1)
			SELECT 'default', 'issuing', ?2, unhex(printf('%04x', ?2) || hex(randomblob(14))), randomblob(700), 0, 0, 'test', 'r', 'acme', hex(randomblob(5)), 0, 'CN=x',
				randomblob(20), randomblob(32), randomblob(32) FROM i`,
		`INSERT INTO revocations (tenant, ca, month, serial, state, reason, invalid, changed_at) SELECT tenant, ca, month, serial, 'revoked', 1, NULL, 0 FROM certificates WHERE ?1 + ?2 > 0`,
		`INSERT INTO status_feed (tenant, ca, serial, state, reason, invalid, at) SELECT tenant, ca, serial, 'revoked', 1, NULL, 0 FROM certificates WHERE ?1 + ?2 > 0`,
		`INSERT INTO blocked_keys (key_hash, tenant, blocked_at) SELECT key_hash, tenant, 0 FROM certificates WHERE ?1 + ?2 > 0`,
	} {
		if _, err := db.ExecContext(b.Context(), fill, n, month); err != nil {
			b.Fatalf("%s: %v", fill, err)
		}
	}
}
