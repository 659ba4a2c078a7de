package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/store/conformance"
	"github.com/enrollgate/enrollgate/store/trail"
	"github.com/enrollgate/enrollgate/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestLedgerConformance(t *testing.T) {
	t.Parallel() // most of the time goes into waiting for the disk
	conformance.Ledger(t, driver(""))
}

func TestAuditConformance(t *testing.T) {
	t.Parallel()
	conformance.Audit(t, driver(""))
}

func TestACMEConformance(t *testing.T) {
	t.Parallel()
	conformance.ACME(t, driver(""))
}

func TestArchiveConformance(t *testing.T) { conformance.Archive(t, driver("")) }

// With a pooler nothing may stay in a session: no prepared statement, no setting.
func TestConformanceThroughPooler(t *testing.T) {
	t.Parallel()
	conformance.Ledger(t, driver("exec"))
	conformance.ACME(t, driver("exec"))
	conformance.Archive(t, driver("exec"))
}

// migrated makes a database with the schema and gives the owner's and the runtime role's URL.
func migrated(t testing.TB, pg *harness.PG) (owner, runtime string) {
	t.Helper()
	owner, runtime = pg.Database(t)
	warnings, err := migrate(t.Context(), owner, roleOf(t, runtime), 0) // few partitions: each is a dozen files
	if err != nil || len(warnings) > 0 {
		t.Fatalf("migrate: %v, warnings %q", err, warnings)
	}
	return owner, runtime
}

func roleOf(t testing.TB, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u.User.Username()
}

func with(t testing.TB, text, key, value string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = q.Encode()
	return u.String()
}

func open(t testing.TB, url string, change ...func(*Options)) *Store {
	t.Helper()
	o := Options{URL: url, Replica: "one", Writers: 2, Log: slog.New(slog.DiscardHandler)} // with two, more can go wrong than with the one of most servers
	for _, f := range change {
		f(&o)
	}
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// driver opens an empty store for each case.
func driver(mode string) func(t *testing.T) *conformance.Driver {
	return func(t *testing.T) *conformance.Driver {
		owner, runtime := migrated(t, harness.Postgres(t))
		if mode != "" {
			runtime = with(t, runtime, "default_query_exec_mode", mode)
		}
		var offset atomic.Int64
		start := func() (*Store, error) {
			return Open(t.Context(), Options{URL: runtime, Replica: "one", Log: slog.New(slog.DiscardHandler),
				Offset: func() time.Duration { return time.Duration(offset.Load()) }})
		}
		s, err := start()
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		d := &conformance.Driver{Store: s, ACME: s, Audit: s, Archive: s,
			Advance: func(by time.Duration) { offset.Add(int64(by)) },
			AltNames: func(ctx context.Context, tenant, ca string, serial ca.Serial) ([]pkix.GeneralName, error) {
				return altNames(ctx, s, tenant, ca, serial)
			},
			Tamper:   func(how conformance.Tampering) error { return tamper(t.Context(), owner, how) },
			Trail:    func(ctx context.Context) ([]trail.Batch, error) { return readTrail(ctx, s) },
			Counters: func() (int64, int64) { return s.stats.Batches.Load(), s.stats.Members.Load() },
			Hold:     func() func() { s.gate.Lock(); return s.gate.Unlock },
			TryChange: func(set string) error {
				_, err := s.pool.Exec(context.Background(), "update enrollgate.revocations set "+set)
				return err
			},
			TryDelete: func(table string) error {
				_, err := s.pool.Exec(context.Background(), "delete from enrollgate."+table)
				return err
			},
		}
		d.Reopen = func() (conformance.Store, error) {
			if err := s.Close(); err != nil {
				return nil, err
			}
			var err error
			s, err = start()
			return s, err
		}
		return d
	}
}

func altNames(ctx context.Context, s *Store, tenant, caID string, serial ca.Serial) ([]pkix.GeneralName, error) {
	rows, err := s.pool.Query(ctx, "select kind, value from enrollgate.sans where tenant = $1 and ca = $2 and month = $3 and serial = $4 order by n",
		tenant, caID, int32(serial.Month()), serial[:])
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (n pkix.GeneralName, err error) {
		err = row.Scan(&n.Kind, &n.Raw)
		return n, err
	})
}

// readTrail reads the whole audit trail by chain and number.
func readTrail(ctx context.Context, s *Store) ([]trail.Batch, error) {
	rows, err := s.pool.Query(ctx, `select c.name, b.seq, b.id, b.prev, b.hash, b.at, b.rows, a.tenant, a.event, a.actor, a.trace, a.detail, a.at
		from enrollgate.batches b join enrollgate.chains c on c.number = b.chain
		left join enrollgate.audit a on a.chain = b.chain and a.seq = b.seq order by c.name, b.seq, a.n`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []trail.Batch
	var want []int
	for rows.Next() {
		var b trail.Batch
		var id, prev, hash, detail []byte
		var count int
		var tenant, event, actor, trace *string
		var at *time.Time
		if err := rows.Scan(&b.Chain, &b.Seq, &id, &prev, &hash, &b.At, &count, &tenant, &event, &actor, &trace, &detail, &at); err != nil {
			return nil, err
		}
		if n := len(all); n == 0 || all[n-1].Chain != b.Chain || all[n-1].Seq != b.Seq {
			b.ID, b.Prev, b.Hash = [16]byte(id), [32]byte(prev), [32]byte(hash)
			all, want = append(all, b), append(want, count)
		}
		if tenant != nil {
			last := &all[len(all)-1]
			last.Rows = append(last.Rows, ca.Audit{Tenant: *tenant, Event: *event, Actor: *actor, Trace: *trace, Detail: detail, At: at.UTC()})
		}
	}
	for i := range all {
		if len(all[i].Rows) != want[i] {
			return nil, fmt.Errorf("batch %d of chain %s says it has %d rows and has %d", all[i].Seq, all[i].Chain, want[i], len(all[i].Rows))
		}
	}
	return all, rows.Err()
}
