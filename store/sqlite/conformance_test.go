package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/recent"
	"github.com/enrollgate/enrollgate/store/conformance"
	"github.com/enrollgate/enrollgate/store/conformance/broken"
	"github.com/enrollgate/enrollgate/store/trail"
)

func TestLedger(t *testing.T) { conformance.Ledger(t, underTest) }

func TestAudit(t *testing.T) { conformance.Audit(t, underTest) }

func TestACME(t *testing.T) { conformance.ACME(t, underTest) }

// TestACMERecent: what the door of one process remembers for a moment is what
// the store holds.
func TestACMERecent(t *testing.T) {
	conformance.ACME(t, func(t *testing.T) *conformance.Driver {
		d := underTest(t)
		d.ACME = recent.New(d.ACME, func() time.Time {
			now, err := d.Store.Now(t.Context())
			if err != nil {
				t.Error(err)
			}
			return now
		})
		return d
	})
}

func TestArchive(t *testing.T) { conformance.Archive(t, underTest) }

// migrated is the file of an empty database, made once for all tests.
var migrated = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "enrollgate-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "empty.db")
	if err := Migrate(context.Background(), path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// fresh makes and opens a database.
func fresh(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "100% of a file?.db")
		empty, err := migrated()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(o.Path, empty, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// raw opens the file as another process would.
func raw(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := openPool(path, "rw", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func underTest(t *testing.T) *conformance.Driver {
	var offset atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	s := fresh(t, Options{Clock: clock})
	path := s.opts.Path
	d := &conformance.Driver{Store: s, ACME: s, Audit: s, Archive: s,
		Advance: func(by time.Duration) { offset.Add(int64(by)) },
		Counters: func() (int64, int64) {
			return s.Stats().Batches.Load(), s.Stats().Members.Load()
		},
		Hold: func() func() { // another process writes
			conn, err := raw(t, path).Conn(context.Background())
			if err != nil {
				t.Error(err)
				return func() {}
			}
			if _, err := conn.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil {
				t.Error(err)
			}
			return func() {
				if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
					t.Error(err)
				}
				conn.Close()
			}
		},
		TryChange: func(set string) error {
			_, err := raw(t, path).Exec("UPDATE revocations SET " + set)
			return err
		},
		TryDelete: func(table string) error {
			_, err := raw(t, path).Exec("DELETE FROM " + table)
			return err
		},
		Tamper: func(how conformance.Tampering) error { return tamper(t, path, how) },
		Trail:  func(ctx context.Context) ([]trail.Batch, error) { return readTrail(ctx, s.reads) },
		AltNames: func(ctx context.Context, tenant, issuer string, serial ca.Serial) ([]pkix.GeneralName, error) {
			rows, err := s.reads.QueryContext(ctx, `SELECT s.kind, s.value FROM certificates c
				JOIN sans s ON s.certificate = c.id AND s.tenant = c.tenant WHERE c.tenant = ? AND c.ca = ? AND c.month = ? AND c.serial = ? ORDER BY s.position`,
				tenant, issuer, int64(serial.Month()), serial[:])
			return collect(rows, err, func(rows *sql.Rows) (n pkix.GeneralName, err error) {
				return n, rows.Scan(&n.Kind, &n.Raw)
			})
		},
	}
	d.Reopen = func() (conformance.Store, error) {
		if err := s.Close(); err != nil {
			return nil, err
		}
		s = fresh(t, Options{Path: path, Clock: clock})
		return s, nil
	}
	return d
}

func readTrail(ctx context.Context, db *sql.DB) ([]trail.Batch, error) {
	rows, err := db.QueryContext(ctx, `SELECT chain, seq, id, prev, hash, rows, at FROM batches ORDER BY chain, seq`)
	counts := map[[16]byte]int{}
	batches, err := collect(rows, err, func(rows *sql.Rows) (b trail.Batch, err error) {
		var id, prev, hash []byte
		var count int
		var at int64
		err = rows.Scan(&b.Chain, &b.Seq, &id, &prev, &hash, &count, &at)
		copy(b.ID[:], id)
		copy(b.Prev[:], prev)
		copy(b.Hash[:], hash)
		b.At = fromMicros(at)
		counts[b.ID] = count
		return b, err
	})
	if err != nil {
		return nil, err
	}
	for i := range batches {
		b := &batches[i]
		rows, err := db.QueryContext(ctx, `SELECT tenant, event, actor, trace, detail, at FROM audit WHERE batch = ? ORDER BY id`, b.ID[:])
		b.Rows, err = collect(rows, err, func(rows *sql.Rows) (a ca.Audit, err error) {
			var at int64
			err = rows.Scan(&a.Tenant, &a.Event, &a.Actor, &a.Trace, &a.Detail, &at)
			a.At = fromMicros(at)
			return a, err
		})
		if err != nil {
			return nil, err
		}
		if len(b.Rows) != counts[b.ID] {
			return nil, fmt.Errorf("batch %x says %d rows and has %d", b.ID, counts[b.ID], len(b.Rows))
		}
	}
	return batches, nil
}

func TestSuiteNoticesBrokenLedgers(t *testing.T) { broken.Ledger(t, underTest) }

func TestSuiteNoticesBrokenACMEStores(t *testing.T) { broken.ACME(t, underTest) }
