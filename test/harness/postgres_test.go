package harness

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestMain(m *testing.M) { Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func show(t *testing.T, conn *pgx.Conn, setting string) string {
	t.Helper()
	var value string
	if err := conn.QueryRow(t.Context(), "select current_setting($1)", setting).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != code {
		t.Fatalf("got %v, want SQLSTATE %s", err, code)
	}
}

func TestPostgresIsSharedAndDurable(t *testing.T) {
	pg := Postgres(t)
	if again := Postgres(t); again != pg {
		t.Fatal("the second call started another cluster")
	}
	ownerURL, _ := pg.Database(t)
	conn := connect(t, ownerURL)
	for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if got := show(t, conn, setting); got != "on" {
			t.Errorf("%s is %s", setting, got)
		}
	}
}

func TestPostgresRoles(t *testing.T) {
	pg := Postgres(t)
	ownerURL, runtimeURL := pg.Database(t)
	otherOwner, _ := pg.Database(t)
	owner := connect(t, ownerURL)
	mustExec(t, owner, "create table fact (id int primary key)")
	runtime := connect(t, runtimeURL)
	_, err := runtime.Exec(t.Context(), "select * from fact")
	wantCode(t, err, "42501") // insufficient_privilege
	_, err = runtime.Exec(t.Context(), "create table mine (id int)")
	wantCode(t, err, "42501")

	// A role of one database cannot enter another, nor without its password.
	mine, err := url.Parse(runtimeURL)
	if err != nil {
		t.Fatal(err)
	}
	other, err := url.Parse(otherOwner)
	if err != nil {
		t.Fatal(err)
	}
	crossed := *mine
	crossed.Path = other.Path
	_, err = pgx.Connect(t.Context(), crossed.String())
	wantCode(t, err, "42501")
	mine.User = url.UserPassword(mine.User.Username(), "wrong")
	_, err = pgx.Connect(t.Context(), mine.String())
	wantCode(t, err, "28P01") // invalid_password
}

func TestPostgresDropsDatabases(t *testing.T) {
	pg := Postgres(t)
	var ownerURL string
	t.Run("inner", func(t *testing.T) { ownerURL, _ = pg.Database(t) })
	_, err := pgx.Connect(t.Context(), ownerURL)
	wantCode(t, err, "28P01") // the role is gone, and the server does not say so
}

func TestPostgresUnsafeSettings(t *testing.T) {
	pg := NewPostgres(t, PGSetting("fsync", "off"))
	ownerURL, _ := pg.Database(t)
	if got := show(t, connect(t, ownerURL), "fsync"); got != "off" {
		t.Fatalf("fsync is %s", got)
	}
}

func TestPostgresTLS(t *testing.T) {
	pg := NewPostgres(t, PGWithTLS())
	ownerURL, _ := pg.Database(t)
	var inUse bool
	err := connect(t, ownerURL).QueryRow(t.Context(), "select ssl from pg_stat_ssl where pid = pg_backend_pid()").Scan(&inUse)
	if err != nil || !inUse {
		t.Fatalf("TLS in use: %v, %v", inUse, err)
	}
	plain := strings.Replace(ownerURL, "sslmode=verify-full", "sslmode=disable", 1)
	_, err = pgx.Connect(t.Context(), plain)
	wantCode(t, err, "28000") // no pg_hba.conf entry
	wrongRoot := filepath.Join(t.TempDir(), "other.pem")
	other := NewPostgres(t, PGWithTLS())
	copyFile(t, other.RootPEM(), wrongRoot)
	u, err := url.Parse(ownerURL)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = url.Values{"sslmode": {"verify-full"}, "sslrootcert": {wrongRoot}}.Encode()
	if _, err = pgx.Connect(t.Context(), u.String()); err == nil {
		t.Fatal("verify-full accepted a certificate of another root")
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPostgresFaults(t *testing.T) {
	pg := NewPostgres(t)
	ownerURL, _ := pg.Database(t)
	conn := connect(t, ownerURL)
	mustExec(t, conn, "create table fact (id int primary key)")
	faults := []struct {
		name string
		hit  func(testing.TB)
	}{{"stop", pg.Stop}, {"crash", pg.Crash}, {"kill", pg.Kill}}
	for i, fault := range faults {
		mustExec(t, conn, "insert into fact select count(*) from fact")
		fault.hit(t)
		if err := conn.Ping(t.Context()); err == nil && fault.name != "kill" {
			t.Fatalf("%s: the connection still works", fault.name)
		}
		if fault.name != "kill" {
			if _, err := pgx.Connect(t.Context(), ownerURL); err == nil {
				t.Fatalf("%s: the server still accepts connections", fault.name)
			}
		}
		pg.Start(t)
		conn = connect(t, ownerURL)
		var rows int
		if err := conn.QueryRow(t.Context(), "select count(*) from fact").Scan(&rows); err != nil || rows != i+1 {
			t.Fatalf("after %s: %d rows, %v; want %d", fault.name, rows, err, i+1)
		}
	}
	pg.Restart(t)
	connect(t, ownerURL)
}

// TestNothingOutlivesThePanic runs a test process that dies in a panic while
// its cluster runs, and looks for what it left.
func TestNothingOutlivesThePanic(t *testing.T) {
	if os.Getenv("HARNESS_PANIC") != "" { // in the process that dies
		panic("cluster at " + Postgres(t).SuperURL("postgres") + " panic on purpose")
	}
	NeedPrograms(t)
	tmp := t.TempDir()
	if err := os.Chmod(filepath.Dir(tmp), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesThePanic$")
	cmd.Env = append(os.Environ(), "HARNESS_PANIC=1", "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic on purpose") {
		t.Fatalf("the child did not panic: %v\n%s", err, out)
	}
	_, rest, _ := strings.Cut(string(out), "cluster at ")
	superURL, _, found := strings.Cut(rest, " ")
	if !found {
		t.Fatalf("no address in the child's output:\n%s", out)
	}
	waitFor(t, "the folder to go", func() bool {
		left, err := os.ReadDir(tmp)
		return err == nil && len(left) == 0
	})
	if _, err := pgx.Connect(t.Context(), superURL); err == nil {
		t.Fatal("the server outlived its test process")
	}
}
