package sqlite

import (
	"context"
	"database/sql"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/enrollgate/enrollgate/store/migrations"
)

// TestOrdersOfOlderSchema: orders and authorizations outlive the rebuilding of
// their tables, and still refer to each other and to their account.
func TestOrdersOfOlderSchema(t *testing.T) {
	db, err := openPool(filepath.Join(t.TempDir(), "old.db"), "rwc", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p := olderSchema(t, db, 79)
	for _, text := range []string{
		`INSERT INTO acme_accounts VALUES ('t', 'a', 'web', 'valid', x'01', x'02', '[]', 1, 5)`,
		`INSERT INTO acme_orders VALUES ('t', 'o2', 'web', 'a', 'valid', '["x"]', '["z2"]', 1, 2, 3, 4, 'c', 'issuing', x'00ff', NULL)`,
		`INSERT INTO acme_orders VALUES ('t', 'o1', 'web', 'a', 'pending', '["y"]', '["z1"]', NULL, NULL, 6, 7, NULL, NULL, NULL, x'7b7d')`,
		`INSERT INTO acme_authorizations VALUES ('t', 'z1', 'web', 'a', 'o1', 0, '{}', 1, 'pending', 8, 9, '[1]')`,
		`INSERT INTO acme_authorizations VALUES ('t', 'z2', 'web', 'a', 'o2', 0, '{}', 0, 'valid', 8, 9, '[2]')`,
	} {
		if _, err := db.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	before := [][]string{dump(t, db, "acme_orders"), dump(t, db, "acme_authorizations")}
	if _, err := p.UpTo(context.Background(), 99); err != nil { // later ones add columns
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, [][]string{dump(t, db, "acme_orders"), dump(t, db, "acme_authorizations")}); diff != "" {
		t.Errorf("rows changed (-before +after):\n%s", diff)
	}
	for why, text := range map[string]string{
		"an order of no account":          `INSERT INTO acme_orders SELECT tenant, 'o3', endpoint, 'nobody', status, identifiers, authorizations, not_before, not_after, created_at, expires, NULL, ca, serial, error FROM acme_orders WHERE id = 'o1'`,
		"a certificate of two orders":     `UPDATE acme_orders SET certificate = 'c'`,
		"an authorization of no order":    `UPDATE acme_authorizations SET order_id = 'o3' WHERE id = 'z1'`,
		"an order that is still named":    `DELETE FROM acme_orders WHERE id = 'o1'`,
		"two authorizations at one place": `UPDATE acme_authorizations SET order_id = 'o2'`,
	} {
		if _, err := db.Exec(text); err == nil {
			t.Errorf("%s: it was done", why)
		}
	}
	if _, err := p.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	var plain int
	if err := db.QueryRow(`SELECT count(*) FROM acme_orders WHERE profile = '' AND replaces = ''`).Scan(&plain); err != nil || plain != 2 {
		t.Errorf("%d of 2 orders name neither a profile nor a certificate that they replace: %v", plain, err)
	}
}

// olderSchema makes the tables of an older version; Up brings them to today's.
func olderSchema(t *testing.T, db *sql.DB, version int64) *goose.Provider {
	t.Helper()
	files, err := fs.Sub(migrations.SQLite, "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	return p
}

// dump gives the rows of a table in the order of their keys.
func dump(t *testing.T, db *sql.DB, table string) []string {
	t.Helper()
	var columns string
	if err := db.QueryRow(`SELECT group_concat('quote(' || name || ')', '||'',''||') FROM pragma_table_info(?)`, table).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query(`SELECT ` + columns + ` FROM ` + table + ` ORDER BY tenant, id`)
	all, err := collect(rows, err, func(rows *sql.Rows) (line string, err error) { return line, rows.Scan(&line) })
	if err != nil || len(all) != 2 {
		t.Fatalf("%s has %d rows, %v", table, len(all), err)
	}
	return all
}
