package chaos

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestSyncPerBatch holds Postgres' own count of syncs of its log against the
// daemon's count of commits. With one writer no sync can serve two commits, so
// there are at least as many syncs as commits; and there are fewer syncs than
// writes that were made durable, so members of a batch share theirs. Whatever
// else writes (heartbeats, leases, the server's own processes) only adds to the
// syncs; it is kept small.
func TestSyncPerBatch(t *testing.T) {
	t.Parallel()
	harness.NeedPrograms(t)
	pg := harness.NewPostgres(t, harness.PGSetting("autovacuum", "off"), harness.PGSetting("checkpoint_timeout", "1h"),
		harness.PGSetting("wal_writer_delay", "10s"))
	s := newSite(t, "", func(t *testing.T, data string) *store {
		made := onDatabase(t, pg, "")
		made.lines = strings.Replace(made.lines, "store: {", "store: {writers: 1, ", 1)
		return made
	})
	s.daemon.Stop() // the tables are there
	db := s.store.open(t)
	before := syncs(t, db)
	s.start()
	f := s.load(3 * clientCount)
	f.grow(rounds(40, 1000))
	f.drain()
	commits, members := s.metric("enrollgate_store_commits_total"), s.metric("enrollgate_store_members_total")
	s.daemon.Stop() // its sessions end, and with that they tell what they counted
	made := syncs(t, db) - before
	t.Logf("%d syncs, %d commits of %d members (%.1f a commit)", made, commits, members, float64(members)/float64(commits))
	if made < commits {
		t.Errorf("%d syncs are fewer than %d commits: some commit was answered before it was durable", made, commits)
	}
	if made >= members {
		t.Errorf("%d syncs for %d members: commits are not shared", made, members)
	}

	// The counter can tell: commits that nobody waits for bring no sync each.
	before = syncs(t, db)
	idle, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const lazy = 200
	statements := []string{"set synchronous_commit = off", "create table public.lazy (n int)"}
	for range lazy {
		statements = append(statements, "insert into public.lazy values (1)")
	}
	for _, statement := range append(statements, "select pg_stat_force_next_flush()") {
		if _, err := idle.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	if made := syncs(t, db) - before; made >= lazy/2 {
		t.Errorf("%d commits without waiting brought %d syncs: the counter does not tell", lazy, made)
	}
}

// syncs reads how often the server has synced its write-ahead log, from
// pg_stat_io since version 18 and from pg_stat_wal before.
func syncs(t *testing.T, db *sql.DB) (n int64) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), "select pg_stat_force_next_flush()"); err != nil {
		t.Fatal(err)
	}
	var version int
	if err := db.QueryRowContext(t.Context(), "select current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	query := "select wal_sync from pg_stat_wal"
	if version >= 180000 {
		query = "select coalesce(sum(fsyncs), 0)::bigint from pg_stat_io where object = 'wal'"
	}
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
