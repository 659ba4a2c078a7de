package harness

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Database creates an empty database with a random name and two roles that can
// log in: one that owns it (for migrations) and one that may connect to it and
// nothing else (the daemon's). It returns a URL with password for each. The
// database and its roles go when the test ends.
func (pg *PG) Database(t testing.TB) (ownerURL, runtimeURL string) {
	t.Helper()
	id := strings.ToLower(rand.Text()[:12])
	name, owner, runtime := "eg_"+id, "eg_owner_"+id, "eg_run_"+id
	ownerPassword, runtimePassword := rand.Text(), rand.Text()
	// Names and passwords are base32 letters: nothing in them needs quoting.
	pg.exec(t,
		fmt.Sprintf("create role %s login password '%s'", owner, ownerPassword),
		fmt.Sprintf("create role %s login password '%s'", runtime, runtimePassword),
		fmt.Sprintf("create database %s owner %s", name, owner),
		fmt.Sprintf("revoke all on database %s from public", name),
		fmt.Sprintf("grant connect on database %s to %s", name, runtime),
	)
	t.Cleanup(func() {
		if pg.server == nil || !pg.server.running() {
			return // gone with its cluster
		}
		pg.exec(t,
			fmt.Sprintf("drop database if exists %s with (force)", name),
			fmt.Sprintf("drop role if exists %s, %s", owner, runtime),
		)
	})
	return pg.url(owner, ownerPassword, name), pg.url(runtime, runtimePassword, name)
}

// StoreLines writes the `store` lines of a configuration for the two URLs that
// Database gives. Their passwords go into files of a folder of the test's own.
func StoreLines(t testing.TB, ownerURL, runtimeURL string) string {
	t.Helper()
	dir := t.TempDir()
	apart := func(name, dsn string) (bare, password string) {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatalf("harness: a database URL: %v", err)
		}
		secret, _ := u.User.Password()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
			t.Fatalf("harness: %v", err)
		}
		u.User = url.User(u.User.Username())
		return u.String(), "file:" + file
	}
	owner, ownerPassword := apart("owner", ownerURL)
	runtime, runtimePassword := apart("runtime", runtimeURL)
	return fmt.Sprintf("store: {url: %q, password: %q, migrate_url: %q, migrate_password: %q}\n", runtime, runtimePassword, owner, ownerPassword)
}

// SuperURL returns the superuser's URL for a database by name.
func (pg *PG) SuperURL(database string) string {
	return pg.url("postgres", pg.password, database)
}

func (pg *PG) url(role, password, database string) string {
	host, query := "127.0.0.1", url.Values{"sslmode": {"disable"}}
	if pg.rootPEM != "" {
		host, query = "localhost", url.Values{"sslmode": {"verify-full"}, "sslrootcert": {pg.rootPEM}}
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, password),
		Host: net.JoinHostPort(host, strconv.Itoa(pg.port)), Path: "/" + database, RawQuery: query.Encode(),
	}
	return u.String()
}

// exec runs statements as superuser, each in a transaction of its own.
func (pg *PG) exec(t testing.TB, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, pg.SuperURL("postgres"))
	if err != nil {
		t.Fatalf("harness: connect: %v", err)
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("harness: %s: %v", strings.SplitN(statement, " password", 2)[0], err)
		}
	}
}
