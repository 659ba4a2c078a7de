package main

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/test/harness"
)

// database is a PostgreSQL store: one database in a cluster of this run's own.
type database struct {
	cluster *harness.PG
	super   string
	config  string
	scanned map[string]int64 // sequential scans until the end of fill
	own     map[string]int64 // later ones that were count's
}

// newCluster starts a cluster with the durability of a production one.
func newCluster(h *host) *harness.PG {
	return harness.NewPostgres(h, harness.PGSetting("shared_preload_libraries", "pg_stat_statements"),
		harness.PGSetting("pg_stat_statements.track", "none"), harness.PGSetting("pg_stat_statements.max", "1000"),
		harness.PGSetting("shared_buffers", "512MB"), harness.PGSetting("max_wal_size", "4GB"))
}

func newDatabase(h *host, cluster *harness.PG) *database {
	owner, runtime := cluster.Database(h)
	u, err := url.Parse(owner)
	h.check("read the database's URL", err)
	d := &database{cluster: cluster, super: cluster.SuperURL(strings.TrimPrefix(u.Path, "/")), own: map[string]int64{}}
	d.config = harness.StoreLines(h, owner, runtime)
	h.check("create the extension pg_stat_statements", d.exec(context.Background(), "create extension pg_stat_statements"))
	return d
}

func (d *database) lines() string { return d.config }
func (d *database) pid() int      { return d.cluster.PID() }

// on opens a connection for f. Counting must not look like a scan of the daemon's.
func (d *database) on(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, d.super)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) // what was asked has been answered
	if _, err := conn.Exec(ctx, "set enable_seqscan = off"); err != nil {
		return err
	}
	return f(conn)
}

func (d *database) exec(ctx context.Context, statements ...string) error {
	return d.on(ctx, func(c *pgx.Conn) error {
		for _, s := range statements {
			if _, err := c.Exec(ctx, s); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

func (d *database) count(ctx context.Context) (c counts, err error) {
	err = d.on(ctx, func(conn *pgx.Conn) error {
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		defer tx.Rollback(ctx) // only read from
		err = tx.QueryRow(ctx, `select (select count(*) from enrollgate.certificates), (select count(*) from enrollgate.decisions),
			(select count(*) from enrollgate.audit where event = 'certificate.issued'),
			(select count(*) from enrollgate.acme_accounts), (select count(*) from enrollgate.batches where not void)`).
			Scan(&c.Certificates, &c.Decisions, &c.Audits, &c.Accounts, &c.Commits)
		if err != nil {
			return err
		}
		return eachScan(ctx, tx, "pg_stat_xact_user_tables", func(table string, n int64) { d.own[table] += n })
	})
	return c, err
}

// watch turns statement counting on for a while: it costs the database time,
// which is not to be measured. Begin and commit are left out: the server counts
// a prepared one only once.
func (d *database) watch(ctx context.Context, during func() error) (all []statement, _ error) {
	if err := d.track(ctx, "top"); err != nil {
		return nil, err
	}
	failed := during()
	err := d.on(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `select query, sum(calls)::bigint, sum(shared_blks_hit + shared_blks_read)::bigint
			from pg_stat_statements s join pg_database b on b.oid = s.dbid join pg_roles r on r.oid = s.userid
			where b.datname = current_database() and r.rolname <> current_user and query not in ('begin', 'commit', 'rollback') group by query order by 3 desc, 1`)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[statement])
		return err
	})
	for _, e := range []error{failed, err, d.track(ctx, "none")} {
		if e != nil {
			return nil, e
		}
	}
	return likened(all), nil
}

// constant is what the server may write out, or number as a parameter, in the text
// of one and the same statement: it depends on whether a session prepared it before
// statements were counted.
var constant = regexp.MustCompile(`'[^']*'|\$\d+|\b\d+\b|\btrue\b|\bfalse\b`)

// likened makes statements that differ in constants alone one.
func likened(all []statement) (out []statement) {
	for _, s := range all {
		s.Text = constant.ReplaceAllString(s.Text, "?")
		if i := slices.IndexFunc(out, func(o statement) bool { return o.Text == s.Text }); i >= 0 {
			out[i].Calls, out[i].Pages = out[i].Calls+s.Calls, out[i].Pages+s.Pages
			continue
		}
		out = append(out, s)
	}
	return out
}

// reload is how long the server's sessions may take to see a new setting.
const reload = 200 * time.Millisecond

func (d *database) track(ctx context.Context, what string) error {
	err := d.exec(ctx, "alter system set pg_stat_statements.track = '"+what+"'", "select pg_reload_conf()")
	if err != nil {
		return err
	}
	time.Sleep(reload)
	if what == "none" {
		return nil
	}
	return d.exec(ctx, "select pg_stat_statements_reset()")
}

func (d *database) fill(ctx context.Context, n int) error {
	err := d.on(ctx, func(c *pgx.Conn) error {
		for _, table := range grownTables {
			p, err := d.pattern(ctx, c, table)
			if err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
			i := 0
			_, err = c.CopyFrom(ctx, pgx.Identifier{"enrollgate", table}, p.columns, pgx.CopyFromFunc(func() ([]any, error) {
				if i == n {
					return nil, nil
				}
				i++
				return p.row(i-1, textList), nil
			}))
			if err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := d.exec(ctx, "vacuum analyze", "checkpoint"); err != nil {
		return err
	}
	d.own, d.scanned = map[string]int64{}, map[string]int64{}
	return d.on(ctx, func(c *pgx.Conn) error {
		return eachScan(ctx, c, "pg_stat_user_tables", func(table string, n int64) { d.scanned[table] = n })
	})
}

func textList(id string) any { return []string{id} }

func (d *database) pattern(ctx context.Context, c *pgx.Conn, table string) (p pattern, err error) {
	rows, err := c.Query(ctx, "select * from enrollgate."+table+" limit 1")
	if err != nil {
		return p, err
	}
	defer rows.Close()
	if !rows.Next() {
		return p, fmt.Errorf("no row to take as a pattern: %w", rows.Err())
	}
	p.table = table
	for _, f := range rows.FieldDescriptions() {
		p.columns = append(p.columns, f.Name)
	}
	p.values, err = rows.Values()
	return p, err
}

// scans needs the daemon's sessions to have ended: a session tells what it read
// when it ends, and before that when it likes.
func (d *database) scans(ctx context.Context) (map[string]int64, error) {
	found := map[string]int64{}
	err := d.on(ctx, func(c *pgx.Conn) error {
		return eachScan(ctx, c, "pg_stat_user_tables where n_live_tup >= 1000", func(table string, n int64) {
			if n -= d.scanned[table] + d.own[table]; n != 0 {
				found[table] = n
			}
		})
	})
	return found, err
}

// eachScan gives the sequential scans that a statistics view counts.
func eachScan(ctx context.Context, c interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
}, view string, f func(table string, n int64)) error {
	rows, err := c.Query(ctx, "select relname, seq_scan from "+view)
	if err != nil {
		return err
	}
	var table string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&table, &n}, func() error {
		f(table, n)
		return nil
	})
	return err
}
