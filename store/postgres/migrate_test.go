package postgres

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/test/harness"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return conn
}

// denied fails unless the statement is refused for want of rights.
func denied(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), statement)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42501" { // insufficient_privilege
		t.Errorf("%s: got %v, want insufficient_privilege", statement, err)
	}
}

// The runtime role can do what grants says with every table and nothing else;
// not even the owner takes a row of the record back.
func TestRights(t *testing.T) {
	owner, runtime := migrated(t, harness.Postgres(t))
	s := open(t, runtime)
	keepProfile(t, s)
	if _, err := s.Record(t.Context(), newEntry()); err != nil {
		t.Fatal(err)
	}
	o, r := connect(t, owner), connect(t, runtime)
	rows, err := o.Query(t.Context(), `select c.relname, c.relispartition from pg_class c
		where c.relnamespace = 'enrollgate'::regnamespace and c.relkind in ('r', 'p') order by 1`)
	if err != nil {
		t.Fatal(err)
	}
	type table struct {
		Name string
		Part bool
	}
	tables, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	if err != nil || len(tables) < len(grants) {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	known := 0
	for _, table := range tables {
		allowed, classified := grants[table.Name]
		if !classified && !table.Part {
			t.Errorf("table %s is not in grants", table.Name)
		}
		if classified {
			known++
		}
		for _, right := range []string{"select", "insert", "update", "delete", "truncate", "references", "trigger"} {
			var has bool
			err := r.QueryRow(t.Context(), "select has_table_privilege($1, $2)", "enrollgate."+table.Name, right).Scan(&has)
			want := strings.Contains(", "+allowed+", ", ", "+right+", ")
			if err != nil || has != want {
				t.Errorf("the runtime role may %s %s: %v, want %v (%v)", right, table.Name, has, want, err)
			}
		}
	}
	if known != len(grants) {
		t.Errorf("%d of the %d tables in grants are there", known, len(grants))
	}
	for _, statement := range []string{
		"create table enrollgate.x ()", "create table public.x ()", "create schema x",
		"drop table enrollgate.months", "alter table enrollgate.audit disable trigger all",
		"insert into enrollgate.months (month) values (300)", "delete from enrollgate.compatibility",
	} {
		denied(t, r, statement)
	}
	month := newEntry().Certificate.Serial.Month()
	record := []string{"certificates", "sans", "decisions", "revocations", "audit", "batches", "status_feed", "blocked_keys", "profiles", "chains", "generations", "activations", "crls",
		"certificates_" + itoa(month), "sans_" + itoa(month), "decisions_" + itoa(month)}
	for _, table := range record {
		denied(t, o, "delete from enrollgate."+table)
		denied(t, o, "truncate enrollgate."+table+" cascade")
		denied(t, r, "delete from enrollgate."+table)
		denied(t, r, "truncate enrollgate."+table)
		if table != "revocations" {
			var column string
			if err := o.QueryRow(t.Context(), `select column_name from information_schema.columns
				where table_schema = 'enrollgate' and table_name = $1 and identity_generation is null limit 1`, table).Scan(&column); err != nil {
				t.Fatal(err)
			}
			denied(t, o, "update enrollgate."+table+" set "+column+" = "+column)
			denied(t, r, "update enrollgate."+table+" set "+column+" = "+column)
		}
	}
}

func itoa(m ca.Month) string {
	var digits []byte
	for n := int(m); n > 0; n /= 10 {
		digits = append([]byte{byte('0' + n%10)}, digits...)
	}
	return string(digits)
}

// Others than the runtime role cannot make partitions.
func TestEnsureMonth(t *testing.T) {
	pg := harness.Postgres(t)
	owner, runtime := migrated(t, pg)
	_, stranger := pg.Database(t)
	o := connect(t, owner)
	name := o.Config().Database
	if _, err := o.Exec(t.Context(), "grant connect on database "+name+" to "+roleOf(t, stranger)); err != nil {
		t.Fatal(err)
	}
	defer func() { // roles that others depend on cannot be dropped
		if _, err := o.Exec(t.Context(), "revoke connect on database "+name+" from "+roleOf(t, stranger)); err != nil {
			t.Error(err)
		}
	}()
	foreign := strings.Replace(stranger, connect(t, stranger).Config().Database, name, 1)
	denied(t, connect(t, foreign), "select enrollgate.ensure_month(30000)")

	r := connect(t, runtime)
	for _, month := range []int{0, 255, 32768, -1} {
		if _, err := r.Exec(t.Context(), sql.EnsureMonth, month); err == nil {
			t.Errorf("month %d was made", month)
		}
	}
	var all sync.WaitGroup
	for range 8 { // several replicas need the same month at once
		all.Go(func() {
			conn, err := pgx.Connect(t.Context(), runtime)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(t.Context())
			if _, err := conn.Exec(t.Context(), sql.EnsureMonth, 30001); err != nil {
				t.Errorf("ensure a month: %v", err)
			}
		})
	}
	all.Wait()
	var parts int
	if err := o.QueryRow(t.Context(), "select count(*) from pg_inherits where inhrelid::regclass::text like 'enrollgate.%\\_30001'").Scan(&parts); err != nil || parts != 3 {
		t.Errorf("%d partitions of month 30001, %v; want 3", parts, err)
	}
}

// Migrations may run again and at once; they make the months ahead.
func TestMigrate(t *testing.T) {
	owner, runtime := harness.Postgres(t).Database(t)
	_, err := Open(t.Context(), Options{URL: runtime, Replica: "one", Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "enrollgate migrate") {
		t.Errorf("open before migrate: %v", err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if warnings, err := Migrate(t.Context(), owner, roleOf(t, runtime)); err != nil || len(warnings) != 0 {
				t.Errorf("migrate: %v, %q", err, warnings)
			}
		})
	}
	all.Wait()
	o := connect(t, owner)
	var months int
	if err := o.QueryRow(t.Context(), "select count(*) from enrollgate.months where month between $1 and $1 + 18", int(ca.MonthOf(time.Now()))).Scan(&months); err != nil || months != 19 {
		t.Errorf("%d months ahead, %v; want 19", months, err)
	}
	s := open(t, runtime)
	keepProfile(t, s)

	if warnings, err := Migrate(t.Context(), owner, roleOf(t, owner)); err != nil || len(warnings) != 1 {
		t.Errorf("owner as runtime role: %q, %v; want a warning", warnings, err)
	}
	open(t, owner)
	if _, err := Migrate(t.Context(), owner, `nobody"; drop schema enrollgate`); err == nil || !strings.Contains(err.Error(), "there is no role") {
		t.Errorf("an unknown role: %v", err)
	}

	if _, err := o.Exec(t.Context(), "create temporary table kept as select version_id, is_applied from enrollgate.schema_version"); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]struct{ statement, want string }{
		"a newer schema that this program can live with": {"insert into enrollgate.schema_version (version_id, is_applied) values (99999, true)", ""},
		"a newer schema":  {"update enrollgate.compatibility set least = 99999", "too new"},
		"an older schema": {"delete from enrollgate.schema_version where version_id > 1", "older"},
	} {
		if _, err := o.Exec(t.Context(), "begin; "+change.statement); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Exec(t.Context(), "commit"); err != nil {
			t.Fatal(err)
		}
		again, err := Open(t.Context(), Options{URL: runtime, Replica: "one", Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			again.Close()
		}
		if (err == nil) != (change.want == "") || err != nil && (!strings.Contains(err.Error(), change.want) || !strings.Contains(err.Error(), "enrollgate migrate")) {
			t.Errorf("%s: %v", what, err)
		}
		restore := `update enrollgate.compatibility set least = 1; delete from enrollgate.schema_version;
			insert into enrollgate.schema_version (version_id, is_applied) select version_id, is_applied from kept order by version_id`
		if _, err := o.Exec(t.Context(), restore); err != nil {
			t.Fatal(err)
		}
	}
}
