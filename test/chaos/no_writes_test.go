package chaos

import (
	"database/sql"
	"net/http"
	"strconv"
	"testing"

	"github.com/enrollgate/enrollgate/test/harness"
)

// few clients are enough where nothing is issued most of the time.
const few = clientCount / 2

// starve takes a running site the means to write, under load, and gives them
// back. Meanwhile clients are told to try later and /readyz says which check
// fails; afterwards the same process serves again. A replica is not ready after
// 30 s; where the short form does not wait for that, /readyz warns.
func starve(t *testing.T, s *site, waits bool, take, give func()) []held {
	t.Helper()
	root := s.trust()
	f := s.load(few)
	f.grow(few)
	for range rounds(1, 5) {
		take()
		f.toldLater(few)
		var checks map[string]readiness
		eventually(t, "/readyz names writes", func() bool {
			var status int
			status, checks = s.ready()
			if writes := checks["writes"]; !waits && rounds(0, 1) == 0 {
				return writes.Warning != "" || writes.Error != ""
			}
			return status == http.StatusServiceUnavailable && !checks["writes"].OK && checks["writes"].Error != ""
		})
		f.toldLater(few)
		give()
		f.grow(few)
		eventually(t, "the daemon is ready again", func() bool {
			var status int
			status, checks = s.ready()
			return status == http.StatusOK && checks["writes"].OK
		})
	}
	all := f.drain()
	s.reconcile(all, root)
	return all
}

// TestDiskFull fills the disk under SQLite.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	harness.NeedPrograms(t)
	d := newDisk(t, 48)
	starve(t, newSite(t, d.path, onSQLite), true, d.fill, d.empty)
}

// TestFileLimit forbids the daemon to write beyond the first page of any file,
// which is another error than a full disk, and needs no rights to bring about.
func TestFileLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, "", onSQLite)
	pid := strconv.Itoa(s.daemon.PID())
	starve(t, s, false, func() { run(t, "prlimit", "--pid", pid, "--fsize=4096:") }, func() { run(t, "prlimit", "--pid", pid, "--fsize=unlimited:") })
}

// TestReadOnlyPostgres has Postgres refuse every write, as after a failover to
// a standby.
func TestReadOnlyPostgres(t *testing.T) {
	t.Parallel()
	harness.NeedPrograms(t)
	s := newSite(t, "", onPostgres(harness.NewPostgres(t)))
	db := s.store.open(t)
	set := func(value string) func() {
		return func() {
			for _, statement := range []string{"alter system set default_transaction_read_only = " + value, "select pg_reload_conf()"} {
				if _, err := db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	starve(t, s, false, set("on"), set("off"))
}

// TestPostgresDiskFull fills the disk under Postgres: first while its log still
// has room, so that it refuses what makes a table longer; then when the log needs
// a new segment, which ends the server. Whoever looks after the server starts it
// again; nobody does anything to the daemon.
func TestPostgresDiskFull(t *testing.T) {
	t.Parallel()
	harness.NeedPrograms(t)
	d := newDisk(t, 192)
	pg := harness.NewPostgres(t, harness.PGFolder(d.path), harness.PGSetting("min_wal_size", "32MB"), harness.PGSetting("max_wal_size", "64MB"))
	s := newSite(t, "", onPostgres(pg))
	earlier := starve(t, s, false, d.fill, d.empty)

	root, f := s.trust(), s.load(few)
	f.grow(few)
	d.fill()
	conn, err := s.store.open(t).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() // the server is about to end it
	if _, err := conn.ExecContext(t.Context(), "select pg_switch_wal()"); err != nil {
		t.Logf("the server ended while it switched: %v", err)
	}
	eventually(t, "the server has ended its sessions", func() bool {
		db, err := sql.Open(s.store.driver, s.store.dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close() // with the one connection it may have
		return db.PingContext(t.Context()) != nil
	})
	f.toldLater(few)
	d.empty()
	pg.Kill(t) // where it is still trying
	pg.Start(t)
	f.grow(few)
	s.reconcile(append(earlier, f.drain()...), root)
}
