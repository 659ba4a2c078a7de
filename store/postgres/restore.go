package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/store/backup"
	"github.com/enrollgate/enrollgate/store/migrations"
)

// VerifyBackup reads every row of an archive and verifies the audit trail in
// it; no server is needed. See backup.VerifyTrail for root. Errors say what is
// wrong with the archive; a broken trail is no error but in the report.
func VerifyBackup(a *backup.Archive, root []byte) (*audit.Report, error) {
	if err := fits(a); err != nil {
		return nil, err
	}
	t, err := newArchivedTrail(a)
	if err != nil {
		return nil, err
	}
	return backup.VerifyTrail(t, root, t.key)
}

// fits refuses an archive of another kind, of a newer schema, or with other tables.
func fits(a *backup.Archive) error {
	known, err := newest()
	if err != nil {
		return err
	}
	if err := a.Manifest.Fits(backup.Postgres, known); err != nil {
		return err
	}
	return checkTables(a)
}

// Restore fills a database from an archive: the tables are made as they were
// at the time of the backup, filled and made safe in one transaction, and
// then brought up to this program's version. ownerURL is that of the role that owns
// the schema. Conflict where there are rows already.
func Restore(ctx context.Context, ownerURL, runtimeRole string, a *backup.Archive, n *backup.Numbers) (warnings []string, err error) {
	return restore(ctx, ownerURL, runtimeRole, a, n, monthsAhead)
}

func restore(ctx context.Context, ownerURL, runtimeRole string, a *backup.Archive, n *backup.Numbers, ahead int) (warnings []string, err error) {
	if err := fits(a); err != nil {
		return nil, err
	}
	if err := load(ctx, ownerURL, a, n); err != nil {
		return nil, err
	}
	return migrate(ctx, ownerURL, runtimeRole, ahead)
}

// load makes and fills the tables of the backup's version, under the lock that
// migrations take.
func load(ctx context.Context, ownerURL string, a *backup.Archive, n *backup.Numbers) (err error) {
	config, err := parseURL(ownerURL)
	if err != nil {
		return err
	}
	config.MaxConns = 4
	config.ConnConfig.RuntimeParams["application_name"] = "enrollgate restore"
	config.ConnConfig.RuntimeParams["lock_timeout"] = "10s"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer pool.Close()
	lock, err := pool.Acquire(ctx)
	if err != nil {
		return ca.UnavailableError(fmt.Errorf("restore: %w", err), 2*time.Second)
	}
	defer lock.Release()
	if err := takeLock(ctx, lock.Conn()); err != nil {
		return err
	}
	defer func() {
		_, unlockErr := lock.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", int64(migrateLock))
		err = errors.Join(err, unlockErr)
	}()
	if err := upTo(ctx, pool, lock.Conn(), a.Manifest.Schema); err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, lock.Conn(), func(tx pgx.Tx) error { return fill(ctx, tx, a, n) })
	var known *ca.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return fmt.Errorf("restore: nothing was restored: %w", err)
}

// upTo makes the tables of a version, where there are none or older ones.
func upTo(ctx context.Context, pool *pgxpool.Pool, conn *pgx.Conn, version int64) error {
	var has bool
	if err := conn.QueryRow(ctx, "select to_regclass('enrollgate.schema_version') is not null").Scan(&has); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if has {
		var found int64
		if err := conn.QueryRow(ctx, "select coalesce(max(version_id), 0) from enrollgate.schema_version where is_applied").Scan(&found); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if found > version {
			return ca.Errorf(ca.Conflict, "the database's tables have version %d already and the backup's have %d: restore into a database without the schema enrollgate; the tables are brought up afterwards", found, version)
		}
	}
	if _, err := conn.Exec(ctx, "create schema if not exists enrollgate"); err != nil {
		return fmt.Errorf("restore: make the schema: %w", err)
	}
	files, err := fs.Sub(migrations.Postgres, "postgres")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName("enrollgate.schema_version"))
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if _, err := provider.UpTo(ctx, version); err != nil {
		return fmt.Errorf("restore: make the tables of version %d: %w", version, err)
	}
	return nil
}

// fill loads every table and makes the store safe to go on with.
func fill(ctx context.Context, tx pgx.Tx, a *backup.Archive, n *backup.Numbers) error {
	if _, err := tx.Exec(ctx, sql.Unlimited); err != nil {
		return err
	}
	have, err := tables(ctx, tx)
	if err != nil {
		return err
	}
	if err := vacant(ctx, tx, have); err != nil {
		return err
	}
	for _, month := range a.Manifest.Months {
		if _, err := tx.Exec(ctx, sql.EnsureMonth, month); err != nil {
			return fmt.Errorf("make the partitions of month %d: %w", month, err)
		}
	}
	for i := range a.Manifest.Tables {
		t := &a.Manifest.Tables[i]
		at := slices.IndexFunc(have, func(h backup.Table) bool { return h.Name == t.Name })
		if at < 0 || !slices.Equal(slices.Sorted(slices.Values(have[at].Columns)), slices.Sorted(slices.Values(t.Columns))) {
			return ca.Errorf(ca.BadRequest, "the backup's table %s is not one of version %d: the manifest was changed, or another program wrote it", t.Name, a.Manifest.Schema)
		}
		if err := copyIn(ctx, tx, a, t); err != nil {
			return fmt.Errorf("table %s: %w", t.Name, err)
		}
	}
	if err := leaveGap(ctx, tx, &a.Manifest, n); err != nil {
		return fmt.Errorf("make the numbers go on past the gap: %w", err)
	}
	return nil
}

// vacant refuses a database with rows of an installation, or with replicas on it.
func vacant(ctx context.Context, tx pgx.Tx, have []backup.Table) error {
	for _, t := range have {
		query := "select exists (select from " + tableName(t.Name) + ")"
		if t.Name == "feed_position" {
			query = "select last <> 0 from enrollgate.feed_position"
		}
		var rows bool
		if err := tx.QueryRow(ctx, query).Scan(&rows); err != nil {
			return err
		}
		if rows {
			return ca.Errorf(ca.Conflict, "the database is not empty (table %s has rows): a restore replaces nothing. Restore into a new database, or stop every replica and move the schema away with `alter schema enrollgate rename to enrollgate_lost`", t.Name)
		}
	}
	var alive bool
	err := tx.QueryRow(ctx, `select to_regclass('enrollgate.replicas') is not null`).Scan(&alive)
	if err == nil && alive {
		err = tx.QueryRow(ctx, `select exists (select from enrollgate.replicas where seen > clock_timestamp() - interval '30 seconds')`).Scan(&alive)
	}
	if err == nil && alive {
		return ca.Errorf(ca.Conflict, "a replica runs on this database: stop it")
	}
	return err
}

// copyIn loads one table; the rows that its migration made go first.
func copyIn(ctx context.Context, tx pgx.Tx, a *backup.Archive, t *backup.Table) error {
	if slices.Contains(t.Columns, "only_row") {
		if _, err := tx.Exec(ctx, "delete from "+tableName(t.Name)); err != nil {
			return err
		}
	}
	part, err := a.Part(partOf(t.Name))
	if err != nil {
		return err
	}
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, part, "copy "+tableName(t.Name)+" ("+columnList(t.Columns)+") from stdin (format binary)")
	if err == nil && tag.RowsAffected() != t.Rows {
		err = ca.Errorf(ca.BadRequest, "%d rows were loaded and not %d", tag.RowsAffected(), t.Rows)
	}
	return err
}

// leaveGap makes a store that was lost safe to go on with: see package backup
// for the numbers. Leases are over, with their fences kept; nonces from before
// are refused, because nobody knows any more which of them were used: the key
// that authenticates them goes, and the next start makes another.
func leaveGap(ctx context.Context, tx pgx.Tx, m *backup.Manifest, n *backup.Numbers) error {
	for i := range m.CRLs {
		l := &m.CRLs[i]
		if number := n.After(m, l); number > 0 {
			if _, err := tx.Exec(ctx, `update enrollgate.crl_heads set number = $4 where tenant = $1 and ca = $2 and scope = $3`,
				l.Tenant, l.CA, l.Scope, number); err != nil {
				return err
			}
		}
	}
	if _, err := tx.Exec(ctx, `update enrollgate.feed_position set last = last + $1::bigint`, int64(backup.FeedGap)); err != nil {
		return err
	}
	for _, query := range []string{`update enrollgate.leases set until = 'epoch'`, `delete from enrollgate.data_keys where purpose = 'nonce'`} {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	return continueIdentities(ctx, tx)
}

// continueIdentities lets every identity column go on after its highest value:
// COPY writes values and leaves the sequences where they were.
func continueIdentities(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `select c.relname::text, a.attname::text from pg_catalog.pg_attribute a
		join pg_catalog.pg_class c on c.oid = a.attrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'enrollgate' and c.relkind in ('r', 'p') and not c.relispartition and a.attidentity <> '' order by 1, 2`)
	if err != nil {
		return err
	}
	var table, column string
	var queries []string
	if _, err := pgx.ForEachRow(rows, []any{&table, &column}, func() error {
		name := pgx.Identifier{column}.Sanitize()
		queries = append(queries, fmt.Sprintf("select setval(pg_get_serial_sequence('%[1]s', '%[2]s'), (select coalesce(max(%[3]s), 0) + 1 from %[1]s), false)",
			tableName(table), column, name))
		return nil
	}); err != nil {
		return err
	}
	for _, query := range queries {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}
