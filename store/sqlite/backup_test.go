package sqlite

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/store/backup"
	"github.com/enrollgate/enrollgate/store/conformance"
	"github.com/enrollgate/enrollgate/store/trail"
)

var restoredEvent = ca.Audit{Tenant: ca.Installation, Event: "store.restored", Actor: "operator:test", Trace: "0000000000", Detail: []byte("{}")}

func TestBackups(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	conformance.Backups(t, conformance.BackedUp{
		Open: underTest,
		Backup: func(ctx context.Context, s conformance.Store, w *backup.Writer) error {
			return s.(*Store).Backup(ctx, w)
		},
		Verify: func(ctx context.Context, a *backup.Archive) (*audit.Report, error) {
			return VerifyBackup(ctx, a, t.TempDir(), nil)
		},
		Restore: func(t *testing.T, a *backup.Archive, n *backup.Numbers) *conformance.Driver {
			path := filepath.Join(t.TempDir(), "restored.db")
			if err := Migrate(t.Context(), path); err != nil { // a restore into an empty store
				t.Fatal(err)
			}
			if err := Restore(t.Context(), path, a, n, restoredEvent, log); err != nil {
				t.Fatalf("restore: %v", err)
			}
			s := fresh(t, Options{Path: path})
			return &conformance.Driver{Store: s, Audit: s, Trail: func(ctx context.Context) ([]trail.Batch, error) { return readTrail(ctx, s.reads) }}
		},
		Over: func(ctx context.Context, s conformance.Store, a *backup.Archive, n *backup.Numbers) error {
			return Restore(ctx, s.(*Store).opts.Path, a, n, restoredEvent, log)
		},
	})
}

// TestBackupOfOldTables: a backup that an older program made is verified,
// restored and brought up.
func TestBackupOfOldTables(t *testing.T) {
	const old = 50
	path := filepath.Join(t.TempDir(), "old.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	db := raw(t, path)
	olderSchema(t, db, old)
	if _, err := db.Exec(`INSERT INTO leases VALUES ('x', 'y', 9, 4000000000000000)`); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "old.backup")
	w, err := backup.Create(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abandon()
	s := &Store{opts: Options{Path: path, Clock: time.Now}}
	if err := s.Backup(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	a, err := backup.Open(archive, nil)
	if err != nil || a.Manifest.Schema != old {
		t.Fatalf("%+v, %v", a, err)
	}
	defer a.Close()
	if report, err := VerifyBackup(t.Context(), a, t.TempDir(), nil); err != nil || report.Break != nil {
		t.Errorf("verify: %+v, %v", report, err)
	}
	into := filepath.Join(t.TempDir(), "new.db")
	if err := Restore(t.Context(), into, a, &backup.Numbers{Now: time.Now()}, restoredEvent, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if l, err := fresh(t, Options{Path: into}).Acquire(t.Context(), "x", "z", time.Minute); err != nil || l.Fence != 10 {
		t.Errorf("%+v, %v", l, err)
	}
	// What the manifest says of the rows is held against them.
	for name, change := range map[string]func(*backup.Manifest){
		"rows":   func(m *backup.Manifest) { m.Table("leases").Rows++ },
		"digest": func(m *backup.Manifest) { m.Table("leases").SHA256 = "00" },
		"schema": func(m *backup.Manifest) { m.Schema = old - 1 },
		"feed":   func(m *backup.Manifest) { m.Feed = 3 },
		"table":  func(m *backup.Manifest) { m.Tables = m.Tables[1:] },
		"lists":  func(m *backup.Manifest) { m.CRLs = []backup.List{{Scope: "g1"}} },
		"store":  func(m *backup.Manifest) { m.Store = backup.Postgres },
	} {
		forged := *a
		forged.Manifest.Tables = slices.Clone(a.Manifest.Tables)
		change(&forged.Manifest)
		if _, err := VerifyBackup(t.Context(), &forged, t.TempDir(), nil); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}
