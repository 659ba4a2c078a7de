package postgres

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/store/backup"
	"github.com/enrollgate/enrollgate/store/conformance"
	"github.com/enrollgate/enrollgate/store/trail"
	"github.com/enrollgate/enrollgate/test/harness"
)

func TestBackups(t *testing.T) {
	t.Parallel()
	owners := map[conformance.Store]string{}
	restores := 0
	conformance.Backups(t, conformance.BackedUp{
		Open: func(t *testing.T) *conformance.Driver {
			owner, runtime := migrated(t, harness.Postgres(t))
			s := open(t, runtime)
			owners[s] = owner
			return &conformance.Driver{Store: s, Audit: s, Trail: func(ctx context.Context) ([]trail.Batch, error) { return readTrail(ctx, s) }}
		},
		Backup: func(ctx context.Context, s conformance.Store, w *backup.Writer) error {
			return s.(*Store).Backup(ctx, w)
		},
		Verify: func(_ context.Context, a *backup.Archive) (*audit.Report, error) { return VerifyBackup(a, nil) },
		Restore: func(t *testing.T, a *backup.Archive, n *backup.Numbers) *conformance.Driver {
			owner, runtime := harness.Postgres(t).Database(t)
			if restores++; restores == 2 { // tables that are there and empty are taken, too
				if _, err := migrate(t.Context(), owner, roleOf(t, runtime), 0); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := restore(t.Context(), owner, roleOf(t, runtime), a, n, 0); err != nil {
				t.Fatalf("restore: %v", err)
			}
			s := open(t, runtime, func(o *Options) { o.Replica = "restored" })
			return &conformance.Driver{Store: s, Audit: s, Trail: func(ctx context.Context) ([]trail.Batch, error) { return readTrail(ctx, s) }}
		},
		Over: func(ctx context.Context, s conformance.Store, a *backup.Archive, n *backup.Numbers) error {
			_, err := Restore(ctx, owners[s], "nobody", a, n)
			return err
		},
	})
}

// TestBackupOfOldTables: a backup that an older program made is restored into its
// tables, which are then brought up.
func TestBackupOfOldTables(t *testing.T) {
	t.Parallel()
	const old = 50
	owner, runtime := harness.Postgres(t).Database(t)
	pool, err := pgxpool.New(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if err := upTo(t.Context(), pool, conn.Conn(), old); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "insert into enrollgate.leases values ('x', 'y', 9, now() + interval '1 hour')"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "old.backup")
	w, err := backup.Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abandon()
	config, err := pgx.ParseConfig(owner)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{config: config, offset: func() time.Duration { return 0 }}
	if err := s.Backup(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	a, err := backup.Open(path, nil)
	if err != nil || a.Manifest.Schema != old || a.Manifest.Table("crl_heads") != nil {
		t.Fatalf("%+v, %v", a, err)
	}
	defer a.Close()
	numbers := &backup.Numbers{Now: time.Now()}
	newer, newerRuntime := migrated(t, harness.Postgres(t))
	if _, err := restore(t.Context(), newer, roleOf(t, newerRuntime), a, numbers, 0); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("into newer tables: %v", err)
	}
	if _, err := restore(t.Context(), owner, roleOf(t, runtime), a, numbers, 0); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("over its own store: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "delete from enrollgate.leases"); err != nil {
		t.Fatal(err)
	}
	if _, err := restore(t.Context(), owner, roleOf(t, runtime), a, numbers, 0); err != nil {
		t.Fatal(err)
	}
	l, err := open(t, runtime).Acquire(t.Context(), "x", "z", time.Minute)
	if err != nil || l.Fence != 10 {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestBackupOfTheOther: an archive fits the kind of store that it was made from.
func TestBackupOfTheOther(t *testing.T) {
	a := &backup.Archive{Manifest: backup.Manifest{Store: backup.SQLite, Schema: 1}}
	if _, err := VerifyBackup(a, nil); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("%v", err)
	}
	a.Manifest = backup.Manifest{Store: backup.Postgres, Schema: 1 << 40}
	if _, err := VerifyBackup(a, nil); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("a newer one: %v", err)
	}
}
