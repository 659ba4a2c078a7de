package postgres

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/test/harness"
)

// BenchmarkRecord records a certificate with one name, its decision and audit
// row, and the strike of a nonce, for 1 and 32 callers at once.
func BenchmarkRecord(b *testing.B) {
	_, runtime := migrated(b, harness.Postgres(b))
	s := open(b, runtime)
	keepProfile(b, s)
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			b.ReportAllocs()
			batches, members := s.stats.Batches.Load(), s.stats.Members.Load()
			together(b, s, callers, func() error {
				e := newEntry(s.Strike("default", newNonce()))
				e.AltNames = []pkix.GeneralName{pkix.DNS("host.example")}
				_, err := s.Record(b.Context(), e)
				return err
			})
			b.ReportMetric(float64(s.stats.Members.Load()-members)/float64(s.stats.Batches.Load()-batches), "members/batch")
		})
	}
}

// BenchmarkFlow is an order that is created ready, read, finished together with
// its certificate, and the certificate's download.
func BenchmarkFlow(b *testing.B) {
	_, runtime := migrated(b, harness.Postgres(b))
	s := open(b, runtime)
	keepProfile(b, s)
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			b.ReportAllocs()
			batches := s.stats.Batches.Load()
			together(b, s, callers, func() error {
				o := readyOrder(b, s)
				if _, _, err := s.Order(b.Context(), "default", "acme", o.ID); err != nil {
					return err
				}
				e := newEntry(s.Strike("default", newNonce()), s.FinishOrder("default", "acme", o.ID, ca.RandomID(16), keyOf(o)))
				e.AltNames = []pkix.GeneralName{pkix.DNS("host.example")}
				if _, err := s.Record(b.Context(), e); err != nil {
					return err
				}
				_, err := s.Certificate(b.Context(), "default", "issuing", e.Certificate.Serial)
				return err
			})
			b.ReportMetric(float64(s.stats.Batches.Load()-batches)/float64(b.N), "commits/op")
		})
	}
}

// together runs f b.N times by so many callers.
func together(b *testing.B, s *Store, callers int, f func() error) {
	own, server := cpu(b, s)
	var left atomic.Int64
	left.Store(int64(b.N))
	start := time.Now()
	var all sync.WaitGroup
	b.ResetTimer()
	for range callers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	ownAfter, serverAfter := cpu(b, s)
	b.ReportMetric(float64((ownAfter-own).Microseconds())/float64(b.N), "own-cpu-us/op")
	b.ReportMetric(float64((serverAfter-server).Microseconds())/float64(b.N), "pg-cpu-us/op")
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "op/s")
}

// cpu gives the processor time of this process and of the server's sessions on
// this database, which is what a shared machine can compare.
func cpu(b *testing.B, s *Store) (own, server time.Duration) {
	b.Helper()
	rows, err := s.pool.Query(b.Context(), "select pid from pg_stat_activity where datname = current_database()")
	if err != nil {
		b.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		b.Fatal(err)
	}
	for _, pid := range pids {
		server += ticks(b, fmt.Sprintf("/proc/%d/stat", pid))
	}
	return ticks(b, "/proc/self/stat"), server
}

// ticks reads the user and system time of a process (proc(5)), in hundredths of a second.
func ticks(b *testing.B, path string) time.Duration {
	b.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		return 0 // the session has ended
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}
