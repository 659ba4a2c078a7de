package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/enrollgate/enrollgate/store/migrations"
)

// Migrate makes the database file (mode 0600, in a folder that exists) or
// brings it up to this program's schema. Two processes may do so at once.
func Migrate(ctx context.Context, file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	for attempt := 1; ; attempt++ {
		err = migrate(ctx, file)
		if err == nil || attempt == 10 {
			return err
		}
		// Another process may have been first: look again what is left to do.
		select {
		case <-time.After(time.Duration(attempt) * 50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func migrate(ctx context.Context, file string) (err error) {
	db, err := openPool(file, "rw", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := fs.Sub(migrations.SQLite, "sqlite")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		return fmt.Errorf("sqlite: migrations: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("sqlite: %s: schema version: %w", file, err)
	}
	if have > want {
		return newerSchema(file, have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("sqlite: %s: migrate: %w", file, err)
	}
	return nil
}

func fileExists(file string) error {
	_, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("sqlite: there is no database %s: run `enrollgate migrate`", file)
	case err != nil:
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}

// checkSchema refuses a file whose schema is not this program's.
func checkSchema(ctx context.Context, db *sql.DB, file string) error {
	want, err := newestMigration()
	if err != nil {
		return err
	}
	var tables int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'`).Scan(&tables); err != nil {
		return fmt.Errorf("sqlite: %s: %w", file, err)
	}
	have := int64(0)
	if tables > 0 {
		if have, err = schemaOf(ctx, db); err != nil {
			return fmt.Errorf("sqlite: %s: schema version: %w", file, err)
		}
	}
	switch {
	case have < want:
		return fmt.Errorf("sqlite: %s has schema version %d, this program needs %d: run `enrollgate migrate`", file, have, want)
	case have > want:
		return newerSchema(file, have, want)
	}
	return nil
}

// schemaOf reads the version of the tables.
func schemaOf(ctx context.Context, db *sql.DB) (version int64, err error) {
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	return version, err
}

func newerSchema(file string, have, want int64) error {
	return fmt.Errorf("sqlite: %s has schema version %d, this program knows %d: a newer enrollgate wrote it; use that version", file, have, want)
}

// newestMigration reads the version off the names of the embedded files.
func newestMigration() (newest int64, err error) {
	names, err := fs.Glob(migrations.SQLite, "sqlite/*.sql")
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		number, _, _ := strings.Cut(path.Base(name), "_")
		v, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("sqlite: migration %s has no number", name)
		}
		newest = max(newest, v)
	}
	return newest, nil
}
