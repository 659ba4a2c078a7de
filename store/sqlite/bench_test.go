package sqlite

import (
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRecord records certificates with everything that belongs to them,
// durably. cpu-us/op is the process's CPU time, the client's included.
func BenchmarkRecord(b *testing.B) {
	for _, parallel := range []int{1, 32} {
		b.Run(map[int]string{1: "alone", 32: "32at once"}[parallel], func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "bench.db")
			if err := Migrate(b.Context(), path); err != nil {
				b.Fatal(err)
			}
			s := fresh(b, Options{Path: path, Log: slog.New(slog.DiscardHandler)})
			keepProfile(b, s)
			work := make(chan struct{}, b.N)
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			before := cpu()
			b.ResetTimer()
			var all sync.WaitGroup
			for range parallel {
				all.Go(func() {
					for range work {
						if _, err := s.Record(b.Context(), newEntry()); err != nil {
							b.Error(err)
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-us/op")
			b.ReportMetric(float64(s.Stats().Members.Load())/float64(s.Stats().Batches.Load()), "members/commit")
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
