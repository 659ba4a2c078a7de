package sqlite

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

var profileText = []byte("id: test\n")

// newEntry makes an entry of the size of a usual TLS certificate.
func newEntry(effects ...ca.Effect) *ca.Entry {
	der := make([]byte, 700)
	rand.Read(der)
	until := time.Now().AddDate(0, 3, 0).UTC().Truncate(time.Second)
	e := &ca.Entry{Certificate: ca.Certificate{Tenant: "default", CA: "issuing", Serial: ca.NewSerial(until), DER: der,
		NotBefore: until.AddDate(0, -3, 0), NotAfter: until, Profile: "test", Requester: "acme:account/x", Endpoint: "acme", Trace: ca.NewTrace()},
		Subject: "CN=host.example", AltNames: []pkix.GeneralName{pkix.DNS(ca.RandomID(8) + ".example"), pkix.DNS("host.example")},
		KeyID: der[:20], ProfileHash: sha256.Sum256(profileText), Decision: make([]byte, 900),
		Audit:   ca.Audit{Tenant: "default", Event: "certificate.issued", Actor: "acme:account/x", Trace: ca.NewTrace(), Detail: make([]byte, 200)},
		Effects: effects}
	rand.Read(e.KeyHash[:])
	rand.Read(e.Idempotency.Key[:])
	e.Idempotency.Window = time.Hour
	return e
}

func keepProfile(t testing.TB, s *Store) {
	t.Helper()
	if err := s.KeepProfile(t.Context(), sha256.Sum256(profileText), profileText); err != nil {
		t.Fatal(err)
	}
}

func mustRecord(t testing.TB, s *Store) *ca.Entry {
	t.Helper()
	keepProfile(t, s)
	e := newEntry()
	if _, err := s.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

func has(t testing.TB, s *Store, e *ca.Entry) bool {
	t.Helper()
	c, err := s.Certificate(t.Context(), e.Certificate.Tenant, e.Certificate.CA, e.Certificate.Serial)
	if err != nil && !ca.IsKind(err, ca.NotFound) {
		t.Fatal(err)
	}
	return err == nil && string(c.DER) == string(e.Certificate.DER)
}

// wholeOrNothing fails where an entry left one row without the others.
func wholeOrNothing(t testing.TB, s *Store, want int) {
	t.Helper()
	counts := map[string]int{"certificates": want, "decisions": want, "idempotency": want, "audit": want, "sans": 2 * want}
	for table, want := range counts {
		var n int
		if err := s.reads.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil || n != want {
			t.Errorf("%s has %d rows, want %d (%v)", table, n, want, err)
		}
	}
	var verdict string
	if err := s.reads.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity: %s, %v", verdict, err)
	}
}

// direct runs a text on the writer's connection.
func direct(t testing.TB, s *Store, text string) {
	t.Helper()
	if _, err := s.writer.conn.(driver.ExecerContext).ExecContext(t.Context(), text, nil); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// TestNoRoomLeft: while the disk is full or the file read-only, callers are
// told to try later and nothing is half written; service resumes by itself.
func TestNoRoomLeft(t *testing.T) {
	for name, c := range map[string]struct{ broken, mended string }{
		"disk full": {"PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000"},
		"read-only": {"PRAGMA query_only = 1", "PRAGMA query_only = 0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t, Options{})
			mustRecord(t, s)
			recorded := 1
			for range 3 {
				direct(t, s, c.broken)
				var mu sync.Mutex
				refused := 0
				var all sync.WaitGroup
				for range 60 {
					all.Go(func() {
						e := newEntry()
						_, err := s.Record(t.Context(), e)
						if (err == nil) != has(t, s, e) {
							t.Errorf("answered %v, recorded %v", err, has(t, s, e))
						}
						mu.Lock()
						defer mu.Unlock()
						if err == nil {
							recorded++
						} else if refused++; !ca.IsKind(err, ca.Unavailable) {
							t.Errorf("got %v", err)
						}
					})
				}
				all.Wait()
				if refused == 0 {
					t.Error("nobody was refused: the fault did not happen")
				}
				direct(t, s, c.mended)
				mustRecord(t, s)
				recorded++
				wholeOrNothing(t, s, recorded)
			}
		})
	}
}

// TestBusy: another process that writes for too long costs a try-later.
func TestBusy(t *testing.T) {
	s := fresh(t, Options{})
	mustRecord(t, s)
	direct(t, s, "PRAGMA busy_timeout = 50")
	tx, err := raw(t, s.opts.Path).Begin() // immediate
	if err != nil {
		t.Fatal(err)
	}
	e := newEntry()
	if _, err := s.Record(t.Context(), e); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("got %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Record(t.Context(), e); err != nil {
		t.Error(err)
	}
	wholeOrNothing(t, s, 2)
}

// TestUnknownCommit: a commit that fails is settled before it is answered.
func TestUnknownCommit(t *testing.T) {
	s := fresh(t, Options{})
	mustRecord(t, s)
	fault := errors.New("the disk does not say")
	for _, tookPlace := range []bool{true, false, true} {
		s.end = func(w *writer) error {
			if tookPlace {
				if err := w.commit(); err != nil {
					return err
				}
			}
			return fault
		}
		e := newEntry()
		_, err := s.Record(t.Context(), e)
		if tookPlace && err != nil || !tookPlace && !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("a commit that took place %v was answered %v", tookPlace, err)
		}
		if has(t, s, e) != tookPlace {
			t.Errorf("recorded %v, want %v", !tookPlace, tookPlace)
		}
		s.end = (*writer).commit
		mustRecord(t, s)
	}
	wholeOrNothing(t, s, 6)
}

// TestBrokenWriter: a connection that cannot go on is replaced.
func TestBrokenWriter(t *testing.T) {
	s := fresh(t, Options{})
	mustRecord(t, s)
	if err := s.writer.rollback(); err == nil {
		t.Fatal("there was a transaction to roll back")
	}
	direct(t, s, "BEGIN") // left open by some fault
	mustRecord(t, s)
	if err := s.Close(); err != nil { // what was recorded does not hang on the open transaction
		t.Fatal(err)
	}
	wholeOrNothing(t, fresh(t, Options{Path: s.opts.Path}), 2)
}

// TestPanicInABatch: a panic ends its batch, and the next one works.
func TestPanicInABatch(t *testing.T) {
	s := fresh(t, Options{})
	err := s.change(t.Context(), func(*batch) error { panic("boom") })
	if !ca.IsKind(err, ca.Internal) {
		t.Errorf("got %v", err)
	}
	mustRecord(t, s)
	wholeOrNothing(t, s, 1)
}

// TestCrash: what was answered is in the files at that moment, whatever else
// the log holds; the process need not close anything.
func TestCrash(t *testing.T) {
	s := fresh(t, Options{})
	for n := 1; n <= 5; n++ {
		e := mustRecord(t, s)
		copied := filepath.Join(t.TempDir(), "crashed.db")
		for _, suffix := range []string{"", "-wal"} {
			data, err := os.ReadFile(s.opts.Path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if suffix == "-wal" { // a frame that was being written
				torn := make([]byte, 3000)
				rand.Read(torn)
				data = append(data, torn...)
			}
			if err := os.WriteFile(copied+suffix, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		after := fresh(t, Options{Path: copied})
		if !has(t, after, e) {
			t.Errorf("certificate %d is lost", n)
		}
		wholeOrNothing(t, after, n)
		mustRecord(t, after)
	}
}
