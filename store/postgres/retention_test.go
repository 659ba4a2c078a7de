package postgres

import (
	"strconv"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/test/harness"
)

// TestRetentionRoleAndLocks: the runtime role drops a month by the owner's
// functions alone, and who reads is waited for, but never queued behind.
func TestRetentionRoleAndLocks(t *testing.T) {
	t.Parallel()
	owner, runtime := migrated(t, harness.Postgres(t))
	s := open(t, runtime)
	m := ca.MonthOf(time.Now()) - 3
	role, reader, admin := connect(t, runtime), connect(t, runtime), connect(t, owner)
	number := strconv.Itoa(int(m))
	if _, err := role.Exec(t.Context(), "select enrollgate.ensure_month("+number+")"); err != nil {
		t.Fatal(err)
	}
	for _, forbidden := range []string{"drop table enrollgate.certificates_" + number, "drop table enrollgate.certificates",
		"alter table enrollgate.certificates detach partition enrollgate.certificates_" + number,
		"delete from enrollgate.certificates_" + number, "truncate enrollgate.certificates_" + number, "delete from enrollgate.months",
		"insert into enrollgate.dropped_months values (" + number + ", 0, now(), null)", "update enrollgate.dropped_months set cleared_at = now()",
		"delete from enrollgate.dropped_months", "select enrollgate.drop_month(" + number + ")"} {
		if _, err := role.Exec(t.Context(), forbidden); err == nil {
			t.Errorf("the runtime role may: %s", forbidden)
		}
	}
	if err := s.DropMonth(t.Context(), nil, m, 0, ca.Audit{Tenant: ca.Installation, Event: "month.dropped"}); err != nil {
		t.Fatal(err)
	}

	for _, statement := range []string{"begin", "select count(*) from enrollgate.sans"} {
		if _, err := reader.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if left, err := s.ClearMonth(t.Context(), nil, m, 10); !left || !ca.IsKind(err, ca.Unavailable) {
			t.Fatalf("while somebody reads: %v, %v", left, err)
		}
		var there bool
		if err := admin.QueryRow(t.Context(), "select to_regclass('enrollgate.certificates_"+number+"') is not null").Scan(&there); err != nil || !there {
			t.Fatalf("the partition went while somebody reads: %v", err)
		}
	}
	if _, err := reader.Exec(t.Context(), "commit"); err != nil {
		t.Fatal(err)
	}
	if left, err := s.ClearMonth(t.Context(), nil, m, 10); left || err != nil {
		t.Fatalf("when nobody reads any more: %v, %v", left, err)
	}
	var left int
	if err := admin.QueryRow(t.Context(), "select count(*) from pg_class where relname like '%\\_"+number+"'").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d tables of the month are left: %v", left, err)
	}
	if _, err := role.Exec(t.Context(), "select enrollgate.ensure_month("+number+")"); err == nil {
		t.Error("a dropped month came back")
	}
}
