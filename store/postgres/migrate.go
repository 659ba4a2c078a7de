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
	"github.com/enrollgate/enrollgate/store/migrations"
)

// grants is what the runtime role may do with each table, and all of it. What
// is recorded can be added and read; only working state can be changed or deleted.
var grants = map[string]string{
	"schema_version": "select",
	"compatibility":  "select",
	"months":         "select",
	"dropped_months": "select",
	"certificates":   "select, insert",
	"sans":           "select, insert",
	"decisions":      "select, insert",
	"revocations":    "select, insert, update",
	"blocked_keys":   "select, insert",
	"status_feed":    "select, insert",
	"feed_position":  "select, update",
	"profiles":       "select, insert",
	"chains":         "select, insert",
	"batches":        "select, insert",
	"audit":          "select, insert",
	"generations":    "select, insert",
	"activations":    "select, insert",

	"service_certificates": "select, insert, delete", // of keys that nothing can be encrypted to any more; a trigger holds the newest fast

	"audit_checkpoints": "select, insert",
	"audit_keys":        "select, insert",

	"crls":      "select, insert",
	"crl_heads": "select, insert, update",
	"crl_parts": "select, insert, delete", // of superseded lists; the newest are held fast by a trigger

	"data_keys":       "select, insert, update",
	"seal_kek":        "select, insert, update",
	"idempotency":     "select, insert, update, delete",
	"leases":          "select, insert, update",
	"outbox":          "select, insert, delete",
	"credential_uses": "select, insert, update",
	"credentials":     "select, insert, update, delete",
	"replicas":        "select, insert, update, delete",

	"unique_values":    "select, insert, update, delete",
	"pending_requests": "select, insert, update, delete",
	"superseded":       "select, insert, update, delete",
	"kept_replies":     "select, insert, update, delete", // nothing is updated: rows are locked while they are swept

	"acme_accounts":       "select, insert, update",
	"acme_orders":         "select, insert, update, delete",
	"acme_authorizations": "select, insert, update, delete",
	"acme_nonces":         "select, insert, update, delete",
	"acme_replacements":   "select, insert, update, delete",
	"acme_rates":          "select, insert, update, delete",
	"renewal_windows":     "select, insert, update, delete",
}

// functions is what the runtime role may ask of the owner.
var functions = []string{"ensure_month(integer)", "month_waits(integer)", "release_month(integer, bigint)", "drop_month(integer)"}

// monthsAhead is how many expiry months have partitions before they are needed.
const monthsAhead = 18

// migrateLock is the advisory lock of migrations ("enrollga" in ASCII).
const migrateLock = 0x656e726f6c6c6761

// Migrate brings the schema up to this program's version and grants the runtime
// role what it needs; ownerURL's role owns everything. It may run again and at
// once from several places. Warnings are sentences for the operator.
func Migrate(ctx context.Context, ownerURL, runtimeRole string) (warnings []string, err error) {
	return migrate(ctx, ownerURL, runtimeRole, monthsAhead)
}

// migrate is Migrate with partitions for so many months after this one.
func migrate(ctx context.Context, ownerURL, runtimeRole string, ahead int) (warnings []string, err error) {
	config, err := parseURL(ownerURL)
	if err != nil {
		return nil, err
	}
	config.ConnConfig.RuntimeParams["application_name"] = "enrollgate migrate"
	// DDL that waits for a lock makes everybody behind it wait too: give up early and be run again.
	config.ConnConfig.RuntimeParams["lock_timeout"] = "10s"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	defer pool.Close()
	lock, err := pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	defer lock.Release()
	if err := takeLock(ctx, lock.Conn()); err != nil {
		return nil, err
	}
	defer func() {
		_, unlockErr := lock.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", int64(migrateLock))
		err = errors.Join(err, unlockErr)
	}()
	if err := apply(ctx, pool, lock.Conn(), ahead); err != nil {
		return nil, err
	}
	return grant(ctx, lock.Conn(), runtimeRole)
}

// takeLock waits for a migration that runs elsewhere. It asks again and again,
// because a wait inside the server would hit the lock timeout.
func takeLock(ctx context.Context, conn *pgx.Conn) error {
	for {
		var ours bool
		if err := conn.QueryRow(ctx, "select pg_try_advisory_lock($1)", int64(migrateLock)).Scan(&ours); err != nil {
			return fmt.Errorf("migrate: take the lock: %w", err)
		}
		if ours {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("migrate: another migration holds the lock: %w", ctx.Err())
		}
	}
}

// apply runs the migrations that are missing and makes the months ahead.
func apply(ctx context.Context, pool *pgxpool.Pool, conn *pgx.Conn, ahead int) error {
	if _, err := conn.Exec(ctx, "create schema if not exists enrollgate"); err != nil {
		return fmt.Errorf("migrate: make the schema: %w", err)
	}
	files, err := fs.Sub(migrations.Postgres, "postgres")
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName("enrollgate.schema_version"))
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return makeAhead(ctx, conn, ahead)
}

// makeAhead makes the partitions of this month and the next ones, in one commit.
func makeAhead(ctx context.Context, conn *pgx.Conn, ahead int) error {
	month := int(ca.MonthOf(time.Now()))
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for i := range ahead + 1 {
			if _, err := tx.Exec(ctx, sql.EnsureMonth, month+i); err != nil {
				return fmt.Errorf("migrate: make the partitions of month %d: %w", month+i, err)
			}
		}
		return nil
	})
}

// newest is the version of the newest migration in this program.
func newest() (int64, error) {
	entries, err := fs.ReadDir(migrations.Postgres, "postgres")
	if err != nil {
		return 0, err
	}
	var last int64
	for _, e := range entries {
		v, err := goose.NumericComponent(e.Name())
		if err != nil {
			return 0, fmt.Errorf("postgres: migration %s: %w", e.Name(), err)
		}
		last = max(last, v)
	}
	return last, nil
}

// grant gives the runtime role its rights and takes every other one away.
func grant(ctx context.Context, conn *pgx.Conn, role string) (warnings []string, err error) {
	var owner string
	if err := conn.QueryRow(ctx, "select current_user").Scan(&owner); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	if role == "" || role == owner {
		return []string{fmt.Sprintf("the daemon's role %q owns the schema: whoever takes the daemon over can drop and rewrite the record. Give it a role of its own (store.url) beside the owner's (store.migrate_url)", owner)}, nil
	}
	var known bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_roles where rolname = $1)", role).Scan(&known); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	if !known {
		return nil, fmt.Errorf("migrate: there is no role %q: make it with `create role ... login`, or correct store.url", role)
	}
	to := pgx.Identifier{role}.Sanitize()
	tables := make([]string, 0, len(grants))
	for table := range grants {
		tables = append(tables, table)
	}
	slices.Sort(tables)
	statements := []string{"grant usage on schema enrollgate to " + to}
	for _, f := range functions {
		statements = append(statements, "grant execute on function enrollgate."+f+" to "+to)
	}
	for _, table := range tables {
		statements = append(statements, "revoke all on enrollgate."+table+" from "+to,
			"grant "+grants[table]+" on enrollgate."+table+" to "+to)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(ctx, s); err != nil {
				return fmt.Errorf("migrate: %s: %w", s, err)
			}
		}
		return nil
	})
	return nil, err
}
