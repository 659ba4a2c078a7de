package admin

import (
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
)

// TestExplainDropped: of a certificate whose month was dropped, what is left is
// told, and to its own tenant alone; of any other one only that nobody knows.
func TestExplainDropped(t *testing.T) {
	month := ca.Month(24336) // 2028-01
	serial := func(n byte) ca.Serial { return ca.Serial{byte(month >> 8), byte(month & 0xff), n} }
	revoked, issued, madeUp := serial(1), serial(2), serial(3)
	h := houses{dropped: []ca.Month{month}, revoked: map[string][]ca.Serial{"one": {revoked}},
		issued: map[string]map[string]ca.Serial{"one": {"TTTTTTTTTT": issued}}}
	for name, c := range map[string]struct {
		tenants, what string
		left          bool
		revocation    bool
		lines         int
	}{
		"revoked":                         {"one two", revoked.String(), true, true, 1},
		"revoked, in its own tenant":      {"one", revoked.String(), true, true, 1},
		"revoked, in another tenant":      {"two", revoked.String(), false, false, 0},
		"never revoked":                   {"one", issued.String(), false, false, 0},
		"made up":                         {"one two", madeUp.String(), false, false, 0},
		"by the trace id of its issuance": {"one two", "TTTTTTTTTT", true, false, 1},
	} {
		e, err := Explain(t.Context(), h, strings.Fields(c.tenants), c.what)
		if !c.left {
			if !ca.IsKind(err, ca.NotFound) || !strings.Contains(err.Error(), "expired in 2028-01 was dropped on 2030-05-06") {
				t.Errorf("%s: %+v, %v", name, e, err)
			}
			continue
		}
		if err != nil || e.Tenant != "one" || e.Certificate != nil || e.Dropped == nil || e.Dropped.Month != "2028-01" || e.Dropped.CA != "issuing" ||
			(e.Dropped.Revocation != nil) != c.revocation || len(e.Audit) != c.lines {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
}
