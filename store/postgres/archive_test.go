package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestArchivePlans: with thousands of rows and parameters unknown, every search
// goes down the index that is meant for it.
func TestArchivePlans(t *testing.T) {
	owner, _ := migrated(t, harness.Postgres(t))
	conn, err := pgx.Connect(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const month = 24360 // 2030-01
	for _, fill := range []string{
		fmt.Sprintf("select enrollgate.ensure_month(%d)", month),
		fmt.Sprintf(`insert into enrollgate.certificates select 't', 'c', %d, decode('5f28' || lpad(to_hex(i), 28, '0'), 'hex'), 'x', now(), now(), 'p', 'r' || i/10,
			'e', 't' || i, 'CN=' || i, decode(lpad(to_hex(i), 40, '0'), 'hex'), 'h', 'h', now() from generate_series(1, 20000) i`, month),
		fmt.Sprintf(`insert into enrollgate.sans select 't', 'c', %d, decode('5f28' || lpad(to_hex(i), 28, '0'), 'hex'), 0, 2, convert_to(i || '.example', 'UTF8')
			from generate_series(1, 20000) i`, month),
		`insert into enrollgate.revocations select 't', 'c', decode('5f28' || lpad(to_hex(i), 28, '0'), 'hex'), 'revoked', 0, null, now() from generate_series(1, 20000) i`,
		`insert into enrollgate.audit select 1, i, 0, 't', 'certificate.revoked', 'a', 'trace' || i,
			convert_to('{"serial":"' || lpad(to_hex(i), 32, '0') || '"}', 'UTF8'), now() from generate_series(1, 20000) i`,
		"analyze enrollgate.certificates_24360, enrollgate.sans_24360, enrollgate.certificates, enrollgate.sans, enrollgate.revocations, enrollgate.audit",
		"set plan_cache_mode = force_generic_plan",
	} {
		if _, err := conn.Exec(t.Context(), fill); err != nil {
			t.Fatalf("%s: %v", fill, err)
		}
	}
	for name, c := range map[string]struct {
		statement, index string
		parameters       int
	}{
		"all":       {sql.Find, "certificates_24360_pkey", 14},
		"subject":   {sql.FindBySubject, "certificates_24360_subject_tenant_idx", 14},
		"requester": {sql.FindByRequester, "certificates_24360_requester_tenant_idx", 14},
		"key":       {sql.FindByKey, "certificates_24360_key_id_tenant_idx", 14},
		"name":      {sql.FindByName, "sans_24360_reverse_kind_idx", 17},
		"state":     {sql.FindByState, "certificates_24360_pkey", 14},
		"status":    {sql.RevocationFind, "revocations_pkey", 3},
		"statuses":  {sql.StatusPage, "revocations_pkey", 4},
		"trace":     {sql.AuditByTrace, "audit_by_trace", 3},
		"serial":    {sql.AuditBySerial, "audit_by_serial", 3},
	} {
		if _, err := conn.Exec(t.Context(), "prepare q as "+c.statement); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		arguments := strings.TrimSuffix(strings.Repeat("null, ", c.parameters), ", ")
		if c.parameters > 4 { // the months, so that no partition is left out at the start
			arguments = "'t', 'c', 1, 32767" + strings.Repeat(", null", c.parameters-4)
		}
		rows, err := conn.Query(t.Context(), "explain execute q("+arguments+")", pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plan := strings.Join(lines, "\n")
		if !strings.Contains(plan, c.index) || strings.Contains(plan, "Seq Scan on certificates_24360") || strings.Contains(plan, "Seq Scan on sans_24360") {
			t.Errorf("%s does not go down %s:\n%s", name, c.index, plan)
		}
		if _, err := conn.Exec(t.Context(), "deallocate q"); err != nil {
			t.Fatal(err)
		}
	}
}
