package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/enrollgate/enrollgate/store/backup"
)

// filePart is the part of an archive that holds the database file.
const filePart = "store.db"

// Backup writes the file as it is at one moment, while others go on writing to
// it: VACUUM INTO reads in one transaction and makes a file without free pages.
// That file stands beside the archive until it is in it.
func (s *Store) Backup(ctx context.Context, w *backup.Writer) (err error) {
	dir, err := os.MkdirTemp(w.Dir(), ".enrollgate-backup-")
	if err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	snapshot := filepath.Join(dir, "store.db")
	if err := vacuumInto(ctx, s.opts.Path, snapshot); err != nil {
		return err
	}
	m := &w.Manifest
	m.Store, m.Created = backup.SQLite, s.now()
	if err := withSnapshot(ctx, snapshot, func(db *sql.DB) error { return describe(ctx, db, m) }); err != nil {
		return err
	}
	_, err = w.Part(filePart, func(to io.Writer) error {
		f, err := os.Open(snapshot)
		if err != nil {
			return err
		}
		defer f.Close() // only read from
		_, err = io.Copy(to, f)
		return err
	})
	return err
}

func vacuumInto(ctx context.Context, from, to string) (err error) {
	db, err := openPool(from, "rw", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, `VACUUM INTO ?`, to); err != nil {
		return fmt.Errorf("sqlite: backup: %w", err)
	}
	return nil
}

// withSnapshot opens a file that nobody else has open.
func withSnapshot(ctx context.Context, path string, f func(*sql.DB) error) (err error) {
	db, err := openPool(path, "rw", 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.PingContext(ctx); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return f(db)
}

// describe fills in what a file holds.
func describe(ctx context.Context, db *sql.DB, m *backup.Manifest) (err error) {
	if m.Schema, err = schemaOf(ctx, db); err != nil {
		return fmt.Errorf("sqlite: schema version: %w", err)
	}
	if err := db.QueryRowContext(ctx, `SELECT 'SQLite ' || sqlite_version()`).Scan(&m.Engine); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(position), 0) FROM status_feed`).Scan(&m.Feed); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	tables, err := tablesOf(ctx, db)
	if err != nil {
		return err
	}
	for _, name := range tables {
		t, err := contents(ctx, db, name)
		if err != nil {
			return err
		}
		m.Tables = append(m.Tables, *t)
	}
	if m.Table("crl_heads") == nil { // older than schema version 60
		return nil
	}
	m.CRLs, err = heads(ctx, db)
	return err
}

func heads(ctx context.Context, db *sql.DB) ([]backup.List, error) {
	rows, err := db.QueryContext(ctx, `SELECT tenant, ca, scope, number, complete, delta FROM crl_heads ORDER BY tenant, ca, scope`)
	return collect(rows, err, func(rows *sql.Rows) (l backup.List, err error) {
		return l, rows.Scan(&l.Tenant, &l.CA, &l.Scope, &l.Number, &l.Complete, &l.Delta)
	})
}

// tablesOf lists the tables by name, without those that SQLite keeps for itself.
func tablesOf(ctx context.Context, db *sql.DB) ([]string, error) {
	rows, err := db.QueryContext(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		AND name <> 'goose_db_version' ORDER BY name`)
	return collect(rows, err, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
}

// contents counts and hashes the rows of a table, in the order of its key, or of
// the file where it has no key that says the order.
func contents(ctx context.Context, db *sql.DB, name string) (*backup.Table, error) {
	t := &backup.Table{Name: name}
	var order []string
	keyed := map[int]string{}
	rows, err := db.QueryContext(ctx, `SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid`, name)
	if _, err := collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		var column string
		var place int
		err = rows.Scan(&column, &place)
		t.Columns = append(t.Columns, quoted(column))
		if place > 0 {
			keyed[place] = quoted(column)
		}
		return none, err
	}); err != nil {
		return nil, err
	}
	for i := range len(keyed) {
		order = append(order, keyed[i+1])
	}
	query := `SELECT ` + strings.Join(t.Columns, ", ") + ` FROM ` + quoted(name)
	if len(order) > 0 {
		query += ` ORDER BY ` + strings.Join(order, ", ")
	}
	for i := range t.Columns {
		t.Columns[i] = strings.Trim(t.Columns[i], `"`)
	}
	sum := sha256.New()
	values, into := make([]any, len(t.Columns)), make([]any, len(t.Columns))
	for i := range values {
		into[i] = &values[i]
	}
	rows, err = db.QueryContext(ctx, query)
	_, err = collect(rows, err, func(rows *sql.Rows) (none struct{}, err error) {
		t.Rows++
		if err := rows.Scan(into...); err != nil {
			return none, err
		}
		for _, v := range values {
			if err := hashValue(sum, v); err != nil {
				return none, fmt.Errorf("table %s: %w", name, err)
			}
		}
		return none, nil
	})
	t.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return t, err
}

// hashValue hashes a value with its type and length, so that no two rows are alike.
func hashValue(sum hash.Hash, value any) error {
	var kind byte
	var content []byte
	switch v := value.(type) {
	case nil:
	case int64:
		kind, content = 'i', binary.BigEndian.AppendUint64(nil, uint64(v))
	case float64:
		kind, content = 'f', binary.BigEndian.AppendUint64(nil, math.Float64bits(v))
	case string:
		kind, content = 't', []byte(v)
	case []byte:
		kind, content = 'b', v
	default:
		return fmt.Errorf("a value of type %T", value)
	}
	sum.Write(binary.BigEndian.AppendUint64([]byte{kind}, uint64(len(content)))) // a hash never fails
	sum.Write(content)
	return nil
}

func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
