package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/store/backup"
)

// VerifyBackup unpacks an archive in a folder, which may go afterwards, and does
// with it what a restore would: the file is whole, its rows are those of the
// manifest, its tables come up to this program's version, and its audit trail
// holds together. See backup.VerifyTrail for root. Errors say what is wrong with
// the archive; a broken trail is no error but in the report.
func VerifyBackup(ctx context.Context, a *backup.Archive, dir string, root []byte) (report *audit.Report, err error) {
	file, err := unpack(ctx, a, dir)
	if err != nil {
		return nil, err
	}
	s, err := Open(ctx, Options{Path: file, Log: slog.New(slog.DiscardHandler), Replica: "verify"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	known, err := s.AuditKeys(ctx)
	if err != nil {
		return nil, err
	}
	var newest []byte
	if len(known) > 0 {
		newest = known[len(known)-1].Public
	}
	err = s.ReadTrail(ctx, func(t audit.Trail) error {
		report, err = backup.VerifyTrail(t, root, newest)
		return err
	})
	return report, err
}

// Restore makes the database file at path from an archive. Everything is done to
// a file beside it, which takes its name last. Conflict where path has rows.
// event is the audit row of the restore, the first of the chain "restore/..."
func Restore(ctx context.Context, path string, a *backup.Archive, n *backup.Numbers, event ca.Audit, log *slog.Logger) (err error) {
	if err := vacant(ctx, path); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".enrollgate-restore-")
	if err != nil {
		return fmt.Errorf("sqlite: restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file, err := unpack(ctx, a, dir)
	if err != nil {
		return err
	}
	if err := withSnapshot(ctx, file, func(db *sql.DB) error { return leaveGap(ctx, db, &a.Manifest, n) }); err != nil {
		return err
	}
	s, err := Open(ctx, Options{Path: file, Log: log, Replica: "restore/" + ca.RandomID(10)})
	if err != nil {
		return err
	}
	if err := errors.Join(s.Append(ctx, event), s.Close()); err != nil {
		return err
	}
	return place(file, path)
}

// vacant refuses a file with rows of an installation, and what is left of one.
func vacant(ctx context.Context, path string) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		for _, rest := range []string{path + "-wal", path + "-shm"} {
			if _, err := os.Lstat(rest); err == nil {
				return ca.Errorf(ca.Conflict, "%s is there without its database: keep it, it may have commits that the backup lacks, and move it away", rest)
			}
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return withSnapshot(ctx, path, func(db *sql.DB) error {
		tables, err := tablesOf(ctx, db)
		if err != nil {
			return err
		}
		for _, name := range tables {
			var rows bool
			if err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+quoted(name)+`)`).Scan(&rows); err != nil {
				return fmt.Errorf("sqlite: %s: %w", path, err)
			}
			if rows && name != "months" {
				return ca.Errorf(ca.Conflict, "%s is not empty (table %s has rows): a restore replaces nothing. Stop the daemon, and move the file away together with its -wal and -shm", path, name)
			}
		}
		return nil
	})
}

// unpack makes the database file of an archive in a folder, checks it and
// brings it up to this program's tables.
func unpack(ctx context.Context, a *backup.Archive, dir string) (file string, err error) {
	known, err := newestMigration()
	if err != nil {
		return "", err
	}
	if err := a.Manifest.Fits(backup.SQLite, known); err != nil {
		return "", err
	}
	from, err := a.Part(filePart)
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "store.db")
	to, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("sqlite: unpack: %w", err)
	}
	if _, err := io.Copy(to, from); err != nil {
		return "", errors.Join(err, to.Close())
	}
	if err := errors.Join(to.Sync(), to.Close()); err != nil {
		return "", err
	}
	if err := withSnapshot(ctx, file, func(db *sql.DB) error { return compare(ctx, db, &a.Manifest) }); err != nil {
		return "", err
	}
	return file, Migrate(ctx, file)
}

// compare holds a file against the manifest and against itself.
func compare(ctx context.Context, db *sql.DB, m *backup.Manifest) error {
	var found string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&found); err != nil || found != "ok" {
		return ca.Errorf(ca.BadRequest, "the database in the backup is damaged: %s", errors.Join(errors.New(found), err))
	}
	rows, err := db.QueryContext(ctx, `PRAGMA foreign_key_check`)
	dangling, err := collect(rows, err, func(*sql.Rows) (none struct{}, err error) { return none, nil })
	switch {
	case err != nil:
		return err
	case len(dangling) > 0:
		return ca.Errorf(ca.BadRequest, "the database in the backup has %d rows that refer to rows that are not there", len(dangling))
	}
	var is backup.Manifest
	if err := describe(ctx, db, &is); err != nil {
		return err
	}
	if is.Schema != m.Schema || is.Feed != m.Feed || len(is.Tables) != len(m.Tables) || !slices.Equal(is.CRLs, m.CRLs) {
		return ca.Errorf(ca.BadRequest, "the database in the backup is not the one that its manifest describes")
	}
	for i, t := range is.Tables {
		if want := m.Tables[i]; t.Name != want.Name || t.Rows != want.Rows || t.SHA256 != want.SHA256 || !slices.Equal(t.Columns, want.Columns) {
			return ca.Errorf(ca.BadRequest, "the backup's table %s has %d rows, and not those that its manifest describes", t.Name, t.Rows)
		}
	}
	return nil
}

// leaveGap makes a store that was lost safe to go on with: see package backup
// for the numbers. Leases are over, with their fences kept; replicas are gone; nonces from before
// are refused, because nobody knows any more which of them were used: the key
// that authenticates them goes, and the next start makes another.
func leaveGap(ctx context.Context, db *sql.DB, m *backup.Manifest, n *backup.Numbers) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlite: restore: %w", err)
	}
	defer tx.Rollback() // after the commit it does nothing
	run := func(query string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, query, args...)
		}
	}
	for i := range m.CRLs {
		l := &m.CRLs[i]
		if number := n.After(m, l); number > 0 {
			run(`UPDATE crl_heads SET number = ? WHERE tenant = ? AND ca = ? AND scope = ?`, number, l.Tenant, l.CA, l.Scope)
		}
	}
	run(`INSERT INTO sqlite_sequence (name, seq) SELECT 'status_feed', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'status_feed')`)
	run(`UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'status_feed'`, int64(backup.FeedGap))
	run(`UPDATE leases SET until = 0`)
	run(`DELETE FROM replicas`)
	run(`DELETE FROM data_keys WHERE purpose = 'nonce'`)
	if err != nil {
		return fmt.Errorf("sqlite: restore: %w", err)
	}
	return tx.Commit()
}

// place gives a finished file its name. What SQLite keeps beside an open file
// must be gone: the new one must not be read together with it.
func place(file, path string) error {
	if info, err := os.Stat(file + "-wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("sqlite: restore: %s-wal was not written back", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("sqlite: restore: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sqlite: restore: %w", err)
	}
	for _, rest := range []string{path + "-wal", path + "-shm"} { // of a file that vacant found without rows
		if err := os.Remove(rest); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sqlite: restore: %w", err)
		}
	}
	if err := os.Rename(file, path); err != nil {
		return fmt.Errorf("sqlite: restore: %w", err)
	}
	return backup.SyncDir(filepath.Dir(path))
}
