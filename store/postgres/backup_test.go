package postgres

import (
	"context"
	"testing"

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
