package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// TestArchivePlans: every search goes down an index, and down the one meant for it.
func TestArchivePlans(t *testing.T) {
	s := fresh(t, Options{})
	for q, index := range map[query]string{
		findBySerial:        "c USING INDEX sqlite_autoindex_certificates_1 (tenant=? AND ca=? AND month>? AND month<?)",
		findBySubject:       "certificates_by_subject (tenant=? AND subject=?)",
		findByRequester:     "certificates_by_requester (tenant=? AND requester=?)",
		findByKey:           "certificates_by_key (tenant=? AND key_id=?)",
		findByName:          "sans_by_name (tenant=? AND kind=? AND reversed>? AND reversed<?)",
		findByState:         "r USING PRIMARY KEY (tenant=? AND ca=?",
		selectRevocation:    "PRIMARY KEY (tenant=? AND ca=? AND month=? AND serial=?)",
		selectAuditByTrace:  "audit_by_trace (trace=?)",
		selectAuditBySerial: "audit_by_serial (about=?)",
	} {
		plan := planOf(t, s.reads, statements[q])
		if !strings.Contains(plan, index) {
			t.Errorf("statement %d does not use %q:\n%s", q, index, plan)
		}
		for line := range strings.Lines(plan) {
			if strings.HasPrefix(line, "SCAN ") {
				t.Errorf("statement %d reads a whole table:\n%s", q, plan)
			}
		}
	}
}

func planOf(t *testing.T, db *sql.DB, statement string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+statement, make([]any, 17)...) // values do not matter
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// TestNamesOfOlderSchema: names recorded before the index by their end are found by it.
func TestNamesOfOlderSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	db, err := openPool(path, "rwc", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	p := olderSchema(t, db, 29)
	for i, value := range [][]byte{[]byte("host.example"), {192, 0, 2, 1}, {0, 255, 0x27}, {}} {
		if _, err := db.Exec(`INSERT INTO sans (certificate, position, tenant, kind, value) VALUES (1, ?, 't', 2, ?)`, i, value); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	rows, err := db.Query(`SELECT value, reversed FROM sans ORDER BY position`)
	type pair struct{ value, reversed []byte }
	all, err := collect(rows, err, func(rows *sql.Rows) (p pair, err error) {
		err = rows.Scan(&p.value, &p.reversed)
		return p, err
	})
	if err != nil || len(all) != 4 {
		t.Fatalf("%d rows, %v", len(all), err)
	}
	for _, p := range all {
		if string(p.reversed) != string(backwards(p.value)) {
			t.Errorf("%x backwards is %x in the table", p.value, p.reversed)
		}
	}
	if _, err := db.Exec(`UPDATE sans SET value = x'00'`); err == nil {
		t.Error("after the migration names can be changed")
	}
}
