package admin

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// houses are tenants that each have a CA "issuing", with what they own; what is
// not implemented panics.
type houses struct {
	Records
	serials map[string][]ca.Serial // by tenant
	traces  map[string][]string
	issued  map[string]map[string]ca.Serial // by tenant and trace id
	revoked map[string][]ca.Serial
	dropped []ca.Month
}

func (h houses) Generations(_ context.Context, tenant string) ([]ca.Generation, error) {
	return []ca.Generation{{Tenant: tenant, CA: "issuing", Number: 1}}, nil
}

func (h houses) Certificate(_ context.Context, tenant, id string, serial ca.Serial) (*ca.Certificate, error) {
	if !slices.Contains(h.serials[tenant], serial) {
		return nil, ca.Errorf(ca.NotFound, "there is no such certificate")
	}
	return &ca.Certificate{Tenant: tenant, CA: id, Serial: serial}, nil
}

func (h houses) Month(_ context.Context, m ca.Month) (*ca.MonthRecord, error) {
	if !slices.Contains(h.dropped, m) {
		return nil, ca.Errorf(ca.NotFound, "the month was not dropped")
	}
	return &ca.MonthRecord{Month: m, Dropped: time.Date(2030, 5, 6, 0, 0, 0, 0, time.UTC)}, nil
}

func (h houses) Revocation(_ context.Context, tenant, id string, serial ca.Serial) (*ca.Status, error) {
	if !slices.Contains(h.revoked[tenant], serial) {
		return nil, ca.Errorf(ca.NotFound, "its status never changed")
	}
	return &ca.Status{Tenant: tenant, CA: id, Serial: serial, State: ca.Revoked, Reason: ca.Superseded}, nil
}

func (h houses) AuditOf(_ context.Context, tenant string, serial ca.Serial) ([]ca.Audit, error) {
	if !slices.Contains(h.revoked[tenant], serial) {
		return nil, nil
	}
	return []ca.Audit{{Tenant: tenant, Event: "certificate.revoked", Trace: "RRRRRRRRRR", Detail: []byte(`{"serial":"` + serial.String() + `"}`)}}, nil
}

func (h houses) AuditByTrace(_ context.Context, tenant, trace string) ([]ca.Audit, error) {
	if serial, ok := h.issued[tenant][trace]; ok {
		return []ca.Audit{{Tenant: tenant, Event: "certificate.issued", Trace: trace, Detail: []byte(`{"ca":"issuing","serial":"` + serial.String() + `"}`)}}, nil
	}
	if !slices.Contains(h.traces[tenant], trace) {
		return nil, nil
	}
	return []ca.Audit{{Tenant: tenant, Event: "request.refused", Trace: trace, Detail: []byte(`{"kind":"denied"}`)}}, nil
}

// TestFindInTenants: an id is looked up in the tenants that are asked about and
// in no other, and what several of them have is not guessed.
func TestFindInTenants(t *testing.T) {
	a, b, both, none := ca.Serial{1}, ca.Serial{2}, ca.Serial{3}, ca.Serial{4}
	const ta, tb, tboth, tnone = "AAAAAAAAAA", "BBBBBBBBBB", "CCCCCCCCCC", "DDDDDDDDDD"
	h := houses{serials: map[string][]ca.Serial{"one": {a, both}, "two": {b, both}},
		traces: map[string][]string{"one": {ta, tboth}, "two": {tb, tboth}}}
	for _, c := range []struct {
		asked  string
		serial ca.Serial
		trace  string
		want   string // tenant
		kind   ca.Kind
	}{
		{"one two", a, ta, "one", 0}, {"one two", b, tb, "two", 0}, {"one", a, ta, "one", 0}, {"two", b, tb, "two", 0},
		{"one", b, tb, "", ca.NotFound}, {"two", a, ta, "", ca.NotFound}, {"one two", none, tnone, "", ca.NotFound},
		{"one two", both, tboth, "", ca.Conflict}, {"one", both, tboth, "one", 0}, {"two", both, tboth, "two", 0},
	} {
		tenants := strings.Fields(c.asked)
		found, err := Find(t.Context(), h, tenants, "", c.serial)
		if c.want == "" && !ca.IsKind(err, c.kind) || c.want != "" && (err != nil || found.Tenant != c.want) {
			t.Errorf("serial %s in %s: %v, %v", c.serial, c.asked, found, err)
		}
		explained, err := Explain(t.Context(), h, tenants, c.trace)
		if c.want == "" && !ca.IsKind(err, c.kind) || c.want != "" && (err != nil || explained.Tenant != c.want || len(explained.Refusals) != 1) {
			t.Errorf("trace %s in %s: %v, %v", c.trace, c.asked, explained, err)
		}
		if c.kind == ca.Conflict && !strings.Contains(err.Error(), "--tenant") {
			t.Errorf("what to do is not said: %v", err)
		}
	}
}
