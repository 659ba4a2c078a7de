package sqlite

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

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
