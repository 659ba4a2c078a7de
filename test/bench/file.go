package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// file is a SQLite store.
type file struct{ path string }

func newFile(h *host) *file { return &file{filepath.Join(h.TempDir(), "enrollgate.db")} }

func (f *file) lines() string { return fmt.Sprintf("store: {url: %q}\n", "sqlite://"+f.path) }
func (f *file) pid() int      { return 0 }

// open gives a connection with a cache of 4 GiB: the keys that fill writes fall
// all over the indexes.
func (f *file) open(mode string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+f.path+"?mode="+mode+"&_pragma=busy_timeout(5000)&_pragma=synchronous(off)&_pragma=cache_size(-4194304)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

func (f *file) count(ctx context.Context) (c counts, err error) {
	db, err := f.open("ro")
	if err != nil {
		return c, err
	}
	defer db.Close() // only read from
	err = db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM certificates), (SELECT count(*) FROM decisions),
		(SELECT count(*) FROM audit WHERE event = 'certificate.issued'),
		(SELECT count(*) FROM acme_accounts)`).
		Scan(&c.Certificates, &c.Decisions, &c.Audits, &c.Accounts)
	if err == nil {
		c.Commits, err = f.commits()
	}
	return c, err
}

// commits reads the counter of committed transactions in the header of the
// write-ahead log's index (iChange at offset 8, in the machine's byte order:
// sqlite.org/walformat.html section 2.1).
func (f *file) commits() (int64, error) {
	index, err := os.Open(f.path + "-shm")
	if err != nil {
		return 0, err
	}
	defer index.Close() // only read from
	var header [12]byte
	if _, err := io.ReadFull(index, header[:]); err != nil {
		return 0, err
	}
	return int64(binary.NativeEndian.Uint32(header[8:])), nil
}

func (f *file) watch(context.Context, func() error) ([]statement, error) { return nil, nil }

// scans: the plans are the driver's own test.
func (f *file) scans(context.Context) (map[string]int64, error) { return nil, nil }

// fillStep is how many certificates one transaction of fill adds.
const fillStep = 100_000

func (f *file) fill(ctx context.Context, n int) error {
	db, err := f.open("rw")
	if err != nil {
		return err
	}
	defer db.Close() // fill's last statement tells whether the rows are in
	patterns := make([]pattern, len(grownTables))
	for i, table := range grownTables {
		if patterns[i], err = f.pattern(ctx, db, table); err != nil {
			return fmt.Errorf("%s: %w", table, err)
		}
	}
	for done := 0; done < n; {
		next := min(done+fillStep, n)
		if err := f.insert(ctx, db, patterns, done, next); err != nil {
			return err
		}
		done = next
	}
	_, err = db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

func (f *file) pattern(ctx context.Context, db *sql.DB, table string) (p pattern, err error) {
	rows, err := db.QueryContext(ctx, `SELECT * FROM `+table+` ORDER BY rowid DESC LIMIT 1`)
	if err != nil && strings.Contains(err.Error(), "rowid") {
		rows, err = db.QueryContext(ctx, `SELECT * FROM `+table+` LIMIT 1`) // WITHOUT ROWID
	}
	if err != nil {
		return p, err
	}
	defer rows.Close() // its error is rows.Err's
	p.table = table
	if p.columns, err = rows.Columns(); err != nil {
		return p, err
	}
	if !rows.Next() {
		return p, fmt.Errorf("no row to take as a pattern: %w", rows.Err())
	}
	p.values = make([]any, len(p.columns))
	into := make([]any, len(p.columns))
	for i := range into {
		into[i] = &p.values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return p, err
	}
	if i := slices.Index(p.columns, "about"); i >= 0 { // the table makes it from others
		p.columns, p.values = slices.Delete(p.columns, i, i+1), slices.Delete(p.values, i, i+1)
	}
	return p, nil
}

func (f *file) insert(ctx context.Context, db *sql.DB, patterns []pattern, from, to int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after a commit
	for _, p := range patterns {
		marks := strings.TrimSuffix(strings.Repeat("?,", len(p.columns)), ",")
		st, err := tx.PrepareContext(ctx, `INSERT INTO `+p.table+` (`+strings.Join(p.columns, ",")+`) VALUES (`+marks+`)`)
		if err != nil {
			return err
		}
		for i := from; i < to; i++ {
			if _, err := st.ExecContext(ctx, p.row(i, jsonList)...); err != nil {
				return fmt.Errorf("%s: %w", p.table, err)
			}
		}
		if err := st.Close(); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func jsonList(id string) any { return `["` + id + `"]` }
