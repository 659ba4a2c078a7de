package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
)

func TestMigrateTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := Migrate(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	fresh(t, Options{Path: path})
}

func TestRefusedSchemas(t *testing.T) {
	open := func(path string) string {
		s, err := Open(t.Context(), Options{Path: path, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			s.Close()
			t.Fatal("opened")
		}
		return err.Error()
	}
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.db")
	if text := open(missing); !strings.Contains(text, "run `enrollgate migrate`") {
		t.Errorf("missing: %s", text)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a refused Open made the file")
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if text := open(empty); !strings.Contains(text, "run `enrollgate migrate`") {
		t.Errorf("empty: %s", text)
	}
	newer := filepath.Join(dir, "newer.db")
	if err := Migrate(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	if _, err := raw(t, newer).Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`); err != nil {
		t.Fatal(err)
	}
	if text := open(newer); !strings.Contains(text, "a newer enrollgate wrote it") {
		t.Errorf("newer: %s", text)
	}
	if err := Migrate(t.Context(), newer); err == nil || !strings.Contains(err.Error(), "a newer enrollgate wrote it") {
		t.Errorf("migrate of a newer schema: %v", err)
	}
	other := filepath.Join(dir, "other.db")
	if err := os.WriteFile(other, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	open(other)
}

func TestFilesArePrivateAndDurable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	s := fresh(t, Options{Path: path})
	mustRecord(t, s)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(s.opts.Path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%q has mode %o", suffix, mode)
		}
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		rows, err := s.writer.conn.(driver.QueryerContext).QueryContext(t.Context(), "PRAGMA "+pragma, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]driver.Value, 1)
		if err := rows.Next(got); err != nil || fmt.Sprint(got[0]) != want {
			t.Errorf("%s is %v, want %s (%v)", pragma, got[0], want, err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.reads.ExecContext(t.Context(), "DELETE FROM outbox"); err == nil {
		t.Error("a connection for reading writes")
	}
}

// wholeReads are the statements that may read a table from end to end: those of
// tables with a row a key, and those of the audit trail that a verification or
// the next checkpoint reads, behind nobody's request.
var wholeReads = []query{insertDataKey, selectDataKeys, changeKEK, countDataKeys, selectAuditKeys,
	selectUncovered, selectLastCheckpoint, selectChains, countAudit,
	selectCRLHeads} // has a row a scope

// harmless is how lines of a plan begin that read no table from end to end.
var harmless = []string{"SEARCH", "LIST SUBQUERY", "CORRELATED SCALAR SUBQUERY", "SCALAR SUBQUERY", "SCAN CONSTANT ROW", "CREATE BLOOM FILTER",
	"MATERIALIZE tenants", "SETUP", "RECURSIVE STEP", "SCAN each"} // the tenants, each found by a SEARCH

// TestPlans: no statement reads a table from end to end or sorts what it read.
func TestPlans(t *testing.T) {
	s := fresh(t, Options{})
	none := make([]any, 17)
	looked := 0
	for q, text := range statements {
		if text == "" {
			t.Errorf("statement %d has no text", q)
		}
		if query(q) <= rollbackBatch || slices.Contains(wholeReads, query(q)) || query(q) >= findBySerial && query(q) <= findByState { // TestArchivePlans has those
			continue
		}
		rows, err := s.reads.QueryContext(context.Background(), "EXPLAIN QUERY PLAN "+text, none...)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			looked++
			if !slices.ContainsFunc(harmless, func(prefix string) bool { return strings.HasPrefix(detail, prefix) }) {
				t.Errorf("%s\n\tplan: %s", text, detail)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if looked < 30 {
		t.Errorf("only %d plan lines were looked at", looked)
	}
}

// TestAppendOnly: what was issued, decided, revoked and audited does not change
// either, but for a hold.
func TestAppendOnly(t *testing.T) {
	s := fresh(t, Options{})
	e := mustRecord(t, s)
	held := mustRecord(t, s)
	for c, reason := range map[*ca.Entry]ca.Reason{e: ca.Superseded, held: ca.CertificateHold} {
		if _, err := s.Revoke(t.Context(), &ca.Revocation{Tenant: "default", CA: "issuing", Serial: c.Certificate.Serial, Reason: reason,
			Audit: ca.Audit{Tenant: "default", Event: "certificate.revoked"}}); err != nil {
			t.Fatal(err)
		}
	}
	db := raw(t, s.opts.Path)
	for table, column := range map[string]string{"certificates": "der", "sans": "value", "decisions": "detail", "status_feed": "at",
		"audit": "detail", "batches": "hash", "revocations": "reason"} {
		if _, err := db.Exec("UPDATE " + table + " SET " + column + " = " + column); err == nil {
			t.Errorf("table %s: rows were changed", table)
		}
	}
	if _, err := db.Exec("UPDATE revocations SET reason = 4 WHERE state = 'held'"); err != nil {
		t.Errorf("a hold cannot change: %v", err)
	}
}
