package trail

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

func sample() *Batch {
	row := func(event string) ca.Audit {
		return ca.Audit{Tenant: "t", Event: event, Actor: "a", Trace: "x", Detail: []byte("{}"), At: time.UnixMicro(5)}
	}
	return &Batch{ID: [16]byte{1}, Chain: "one", Seq: 7, Prev: [32]byte{2}, At: time.UnixMicro(9), Rows: []ca.Audit{row("p"), row("q")}}
}

// TestSumCoversEverything: whatever is changed, dropped, added or moved gives
// another hash.
func TestSumCoversEverything(t *testing.T) {
	want := sample().Sum()
	if sample().Sum() != want {
		t.Fatal("the same batch has two hashes")
	}
	same := sample()
	same.Hash, same.At = [32]byte{9}, same.At.UTC()
	if same.Sum() != want {
		t.Error("the hash covers itself or a time zone")
	}
	for name, change := range map[string]func(*Batch){
		"id":           func(b *Batch) { b.ID[15] = 1 },
		"chain":        func(b *Batch) { b.Chain = "two" },
		"number":       func(b *Batch) { b.Seq++ },
		"previous":     func(b *Batch) { b.Prev[0]++ },
		"time":         func(b *Batch) { b.At = b.At.Add(time.Microsecond) },
		"row dropped":  func(b *Batch) { b.Rows = b.Rows[:1] },
		"row added":    func(b *Batch) { b.Rows = append(b.Rows, b.Rows[0]) },
		"rows swapped": func(b *Batch) { b.Rows[0], b.Rows[1] = b.Rows[1], b.Rows[0] },
		"tenant":       func(b *Batch) { b.Rows[1].Tenant = "u" },
		"event":        func(b *Batch) { b.Rows[1].Event = "r" },
		"actor":        func(b *Batch) { b.Rows[1].Actor = "b" },
		"trace":        func(b *Batch) { b.Rows[1].Trace = "y" },
		"detail":       func(b *Batch) { b.Rows[1].Detail = []byte("[]") },
		"row's time":   func(b *Batch) { b.Rows[1].At = b.Rows[1].At.Add(time.Microsecond) },
		"moved border": func(b *Batch) { b.Rows[0].Actor, b.Rows[0].Trace = "ax", "" },
	} {
		b := sample()
		if change(b); b.Sum() == want {
			t.Errorf("%s: the hash stays", name)
		}
	}
}

// sink is a store that fails when told to.
type sink struct {
	mu   sync.Mutex
	fail error
	rows []ca.Audit
}

func (s *sink) write(_ context.Context, rows []ca.Audit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail == nil {
		s.rows = append(s.rows, rows...)
	}
	return s.fail
}

func (s *sink) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *sink) has() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

var discard = slog.New(slog.DiscardHandler)

func TestNotesWaitForTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fail: ca.UnavailableError(errors.New("down"), 0)}
		n := NewNotes(s.write, discard)
		for range 300 {
			n.Add(ca.Audit{})
		}
		time.Sleep(10 * time.Minute)
		if s.has() != 0 || n.Dropped() != 0 {
			t.Errorf("%d written, %d dropped while the store was down", s.has(), n.Dropped())
		}
		s.set(nil)
		time.Sleep(time.Minute)
		if s.has() != 300 || n.Dropped() != 0 {
			t.Errorf("%d of 300 written, %d dropped", s.has(), n.Dropped())
		}
		n.Close()
	})
}

func TestNotesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fail: ca.UnavailableError(errors.New("down"), 0)}
		n := NewNotes(s.write, discard)
		n.Add(ca.Audit{})
		synctest.Wait() // the writer holds one row
		for range maxWaiting + 10 {
			n.Add(ca.Audit{})
		}
		if n.Dropped() != 10 {
			t.Errorf("%d dropped, want 10", n.Dropped())
		}
		n.Close() // gives up what it cannot write
		if n.Dropped() != maxWaiting+11 || s.has() != 0 {
			t.Errorf("%d dropped, %d written", n.Dropped(), s.has())
		}
	})
}

func TestNotesAreWrittenAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		n := NewNotes(s.write, discard)
		for range 1000 {
			n.Add(ca.Audit{})
		}
		n.Close()
		if s.has() != 1000 || n.Dropped() != 0 {
			t.Errorf("%d of 1000 written", s.has())
		}
	})
}

// TestNotesDropWhatIsRefused: a row that no store will take is not tried for ever.
func TestNotesDropWhatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{fail: errors.New("refused")}
		n := NewNotes(s.write, discard)
		n.Add(ca.Audit{})
		synctest.Wait()
		s.set(nil)
		n.Add(ca.Audit{})
		n.Close()
		if n.Dropped() != 1 || s.has() != 1 {
			t.Errorf("%d dropped, %d written, want one each", n.Dropped(), s.has())
		}
	})
}
