package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/store/backup"
)

// unsaved lists the tables that no archive holds: what the migrations write, and
// who serves at the moment.
var unsaved = []string{"schema_version", "compatibility", "months", "replicas"}

// inOrder lists the tables that are written in the order of their key, because
// they are verified in it; the others are in the order of their pages.
var inOrder = map[string]string{"batches": "chain, seq", "audit": "chain, seq, n", "audit_checkpoints": "number"}

// Backup writes every table as it is in one snapshot, through COPY in binary
// format, while others go on writing. Nothing is held in memory but a few MiB.
func (s *Store) Backup(ctx context.Context, w *backup.Writer) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sql.Unlimited); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `select set_config('enable_seqscan', 'on', true)`); err != nil { // whole tables are read
			return err
		}
		if err := s.describe(ctx, tx, &w.Manifest); err != nil {
			return fmt.Errorf("postgres: backup: %w", err)
		}
		for _, t := range w.Manifest.Tables {
			if err := copyOut(ctx, tx, w, w.Manifest.Table(t.Name)); err != nil {
				return fmt.Errorf("postgres: backup: table %s: %w", t.Name, err)
			}
		}
		return nil
	})
}

// describe fills in everything but what a table's rows are.
func (s *Store) describe(ctx context.Context, tx pgx.Tx, m *backup.Manifest) (err error) {
	m.Store = backup.Postgres
	if err := tx.QueryRow(ctx, `select clock_timestamp() + $1::interval, (select max(version_id) from enrollgate.schema_version where is_applied),
		(select last from enrollgate.feed_position where only_row), 'PostgreSQL ' || current_setting('server_version')`, s.offset()).
		Scan(&m.Created, &m.Schema, &m.Feed, &m.Engine); err != nil {
		return err
	}
	m.Created = m.Created.UTC()
	if m.Tables, err = tables(ctx, tx); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `select month from enrollgate.months order by month`)
	if err != nil {
		return err
	}
	if m.Months, err = pgx.CollectRows(rows, pgx.RowTo[int32]); err != nil || m.Table("crl_heads") == nil {
		return err
	}
	rows, err = tx.Query(ctx, `select tenant, ca, scope, number, complete, delta from enrollgate.crl_heads order by tenant, ca, scope`)
	if err != nil {
		return err
	}
	m.CRLs, err = pgx.CollectRows(rows, pgx.RowToStructByPos[backup.List])
	return err
}

// tables lists the tables that are saved, by name, with their columns.
func tables(ctx context.Context, tx pgx.Tx) ([]backup.Table, error) {
	rows, err := tx.Query(ctx, `select c.relname::text, array_agg(a.attname::text order by a.attnum)
		from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
		where n.nspname = 'enrollgate' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> all($1::text[])
		group by c.relname order by c.relname collate "C"`, unsaved)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t backup.Table, err error) {
		return t, row.Scan(&t.Name, &t.Columns)
	})
}

// copyOut writes one table.
func copyOut(ctx context.Context, tx pgx.Tx, w *backup.Writer, t *backup.Table) error {
	query := "select " + columnList(t.Columns) + " from " + tableName(t.Name)
	if order := inOrder[t.Name]; order != "" {
		query += " order by " + order
	}
	p, err := w.Part(partOf(t.Name), func(to io.Writer) error {
		tag, err := tx.Conn().PgConn().CopyTo(ctx, to, "copy ("+query+") to stdout (format binary)")
		t.Rows = tag.RowsAffected()
		return err
	})
	if err == nil {
		t.SHA256 = p.SHA256
	}
	return err
}

func partOf(table string) string { return "tables/" + table }

func tableName(name string) string { return pgx.Identifier{"enrollgate", name}.Sanitize() }

func columnList(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = pgx.Identifier{name}.Sanitize()
	}
	return strings.Join(quoted, ", ")
}

// checkTables reads every table of an archive: the binary format is whole, and
// rows and columns are as many as the manifest says.
func checkTables(a *backup.Archive) error {
	for i := range a.Manifest.Tables {
		t := &a.Manifest.Tables[i]
		rows, err := openRows(a, t.Name)
		if err != nil {
			return err
		}
		var n int64
		for {
			fields, err := rows.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if len(fields) != len(t.Columns) {
				return rows.damaged("a row has %d columns and not %d", len(fields), len(t.Columns))
			}
			n++
		}
		if n != t.Rows {
			return rows.damaged("it has %d rows and not %d", n, t.Rows)
		}
	}
	for _, need := range []string{"audit", "batches", "chains", "feed_position"} {
		if a.Manifest.Table(need) == nil {
			return (&rowReader{table: need}).damaged("it is missing")
		}
	}
	return nil
}

// openRows begins to read a table of an archive.
func openRows(a *backup.Archive, table string) (*rowReader, error) {
	r := &rowReader{table: table}
	t := a.Manifest.Table(table)
	if t == nil {
		return nil, r.damaged("it is missing")
	}
	part, err := a.Part(partOf(table))
	if err != nil {
		return nil, err
	}
	r.from = bufio.NewReader(part)
	r.columns = t.Columns
	return r, r.header()
}

// column finds where a column stands in a row.
func (r *rowReader) column(name string) (int, error) {
	i := slices.Index(r.columns, name)
	if i < 0 {
		return 0, r.damaged("it has no column %s", name)
	}
	return i, nil
}
