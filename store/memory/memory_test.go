package memory

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/store/conformance"
	"github.com/enrollgate/enrollgate/store/trail"
)

func TestLedger(t *testing.T) { conformance.Ledger(t, underTest) }

func underTest(t *testing.T) *conformance.Driver {
	var offset atomic.Int64
	s := New(Options{Clock: func() time.Time { return time.Now().Add(time.Duration(offset.Load())) },
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &conformance.Driver{Store: s,
		Advance:  func(by time.Duration) { offset.Add(int64(by)) },
		Counters: func() (int64, int64) { return s.Stats().Batches.Load(), s.Stats().Members.Load() },
		Hold:     func() func() { s.mu.Lock(); return s.mu.Unlock },
		Trail:    func(context.Context) ([]trail.Batch, error) { return s.Trail(), nil },
		AltNames: func(_ context.Context, tenant, issuer string, serial ca.Serial) ([]pkix.GeneralName, error) {
			return s.AltNames(tenant, issuer, serial), nil
		},
	}
}
