package harness

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// PG is a running PostgreSQL cluster of ours: data in a temporary folder, a
// free port on 127.0.0.1, no Unix socket, scram passwords only, full
// durability unless a setting says otherwise.
type PG struct {
	dir      string // the cluster's own folder, owned by the server's user
	bin      string // folder of initdb and postgres
	port     int
	password string // of the superuser "postgres"
	rootPEM  string // "" without TLS
	settings map[string]string
	cred     *syscall.Credential // nil: this process's user
	server   *child
	private  bool // made by NewPostgres, so tests may stop and kill it
}

// PGOption shapes a cluster of NewPostgres.
type PGOption func(*PG, *pgSetup)

type pgSetup struct {
	tls    bool
	folder string // "": this process's own
}

// PGSetting sets a server parameter, for example PGSetting("fsync", "off").
func PGSetting(name, value string) PGOption {
	return func(pg *PG, _ *pgSetup) { pg.settings[name] = value }
}

// PGWithTLS gives the server a certificate for localhost from a CA of its own
// (RootPEM) and refuses connections without TLS. The URLs of Database and
// SuperURL then ask for sslmode=verify-full.
func PGWithTLS() PGOption {
	return func(_ *PG, s *pgSetup) { s.tls = true }
}

// PGFolder has the cluster live below an existing folder, for example on a disk
// of the test's own. Every user must be able to enter it.
func PGFolder(dir string) PGOption {
	return func(_ *PG, s *pgSetup) { s.folder = dir }
}

// Postgres returns the one cluster that the tests of this process share. Take
// a database from it with Database. It cannot be stopped by a test.
func Postgres(t testing.TB) *PG {
	t.Helper()
	NeedPrograms(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil {
		pg, err := newCluster(false)
		if err != nil {
			t.Fatalf("harness: PostgreSQL: %v", err)
		}
		shared.cluster = pg
	}
	return shared.cluster
}

// NewPostgres starts a cluster for this test alone, which stops with the test.
// It takes one to two seconds; use it for other settings, TLS and faults.
func NewPostgres(t testing.TB, options ...PGOption) *PG {
	t.Helper()
	NeedPrograms(t)
	shared.mu.Lock()
	pg, err := newCluster(true, options...)
	shared.mu.Unlock()
	if err != nil {
		t.Fatalf("harness: PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PostgreSQL log:\n%s", pg.logTail())
		}
		if err := pg.stop(syscall.SIGINT); err != nil {
			t.Errorf("harness: stop PostgreSQL: %v", err)
		}
		if err := os.RemoveAll(pg.dir); err != nil {
			t.Errorf("harness: %v", err)
		}
	})
	return pg
}

// RootPEM is the path of the root certificate that the server's certificate
// verifies against; empty without TLS.
func (pg *PG) RootPEM() string { return pg.rootPEM }

// Port is the server's port on 127.0.0.1.
func (pg *PG) Port() int { return pg.port }

// PID is the process id of the running server's main process, the parent of all others.
func (pg *PG) PID() int { return pg.server.cmd.Process.Pid }

// Stop shuts the server down as an operator would (fast mode: clients are
// disconnected, a checkpoint is written).
func (pg *PG) Stop(t testing.TB) {
	t.Helper()
	pg.mustBePrivate(t)
	if err := pg.stop(syscall.SIGINT); err != nil {
		t.Fatalf("harness: stop PostgreSQL: %v", err)
	}
}

// Crash makes the server die without a checkpoint and cuts every connection;
// Start then recovers from the write-ahead log. It is PostgreSQL's immediate
// shutdown: no transaction that was not durable survives it.
func (pg *PG) Crash(t testing.TB) {
	t.Helper()
	pg.mustBePrivate(t)
	if err := pg.stop(syscall.SIGQUIT); err != nil {
		t.Fatalf("harness: crash PostgreSQL: %v", err)
	}
}

// Kill sends SIGKILL to the server's main process. Sessions end as soon as
// they notice; one that is inside a commit may still finish it.
func (pg *PG) Kill(t testing.TB) {
	t.Helper()
	pg.mustBePrivate(t)
	if err := pg.stop(syscall.SIGKILL); err != nil {
		t.Fatalf("harness: kill PostgreSQL: %v", err)
	}
}

// Start starts a stopped server again, on the same port.
func (pg *PG) Start(t testing.TB) {
	t.Helper()
	pg.mustBePrivate(t)
	if err := pg.startAgain(); err != nil {
		t.Fatalf("harness: start PostgreSQL: %v", err)
	}
}

// Restart is Stop and Start.
func (pg *PG) Restart(t testing.TB) {
	t.Helper()
	pg.Stop(t)
	pg.Start(t)
}

func (pg *PG) mustBePrivate(t testing.TB) {
	t.Helper()
	if !pg.private {
		t.Fatal("harness: other tests use this cluster; take one from NewPostgres")
	}
}

// logTail returns the end of the server's log.
func (pg *PG) logTail() string {
	log, err := os.ReadFile(filepath.Join(pg.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	if len(lines) > 40 {
		lines = lines[len(lines)-40:]
	}
	return strings.Join(lines, "\n")
}
