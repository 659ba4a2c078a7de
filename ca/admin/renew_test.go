package admin

import (
	"context"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// windows keeps renewal windows.
type windows struct {
	ca.Renewals
	set    map[ca.Serial]ca.RenewalWindow
	audits []ca.Audit
	err    error
}

func (w *windows) SetRenewalWindows(_ context.Context, tenant string, all []ca.RenewalWindow, a ca.Audit) error {
	if w.err != nil {
		return w.err
	}
	for _, each := range all {
		if each.Tenant != tenant {
			return ca.Errorf(ca.Internal, "a window of another tenant")
		}
		w.set[each.Serial] = each
	}
	w.audits = append(w.audits, a)
	return nil
}

// byName finds certificates by their serial numbers, too.
type byName struct{ shelf }

func (b byName) Certificate(_ context.Context, tenant, id string, serial ca.Serial) (*ca.Certificate, error) {
	for _, c := range b.certificates[id] {
		if c.Serial == serial {
			return &c, nil
		}
	}
	return nil, ca.Errorf(ca.NotFound, "there is no such certificate")
}

func (b byName) Month(context.Context, ca.Month) (*ca.MonthRecord, error) {
	return nil, ca.Errorf(ca.NotFound, "no month was dropped")
}

// TestAskRenewal goes through two CAs in pages: revoked and expired certificates
// get no window, the others one inside the period.
func TestAskRenewal(t *testing.T) {
	now := time.Now().Truncate(time.Second).UTC()
	until := now.Add(24 * time.Hour)
	s := byName{shelf{certificates: map[string][]ca.Certificate{"a": nil, "b": nil}}}
	for i := range 100 {
		id := map[bool]string{true: "a", false: "b"}[i < 70]
		c := ca.Certificate{Tenant: "t", CA: id, Serial: ca.Serial{0x5f, byte(i)}, State: ca.Issued, NotAfter: now.Add(time.Hour)}
		switch i {
		case 0:
			c.State = ca.Revoked
		case 1:
			c.NotAfter = now
		case 2:
			c.State = ca.Held
		}
		s.certificates[id] = append(s.certificates[id], c)
	}
	w := &windows{set: map[ca.Serial]ca.RenewalWindow{}}
	job := Bulk{Selection: Selection{Tenants: []string{"t"}}, Job: ca.NewTrace(), Actor: operatorOf, Now: now, Limit: 67}
	var total Tally
	for pages := 0; ; pages++ {
		out, err := AskRenewal(t.Context(), s, w, job, now, until, "https://why.example/")
		if err != nil || pages > 5 {
			t.Fatalf("page %d: %v", pages, err)
		}
		total.Add(out.Tally)
		if job.Page = out.Next; job.Page == "" {
			break
		}
	}
	if want := (Tally{Matched: 100, Changed: 98, Already: 2}); total != want || len(w.set) != 98 {
		t.Errorf("%+v, want %+v; %d windows", total, want, len(w.set))
	}
	different := map[time.Time]bool{}
	for serial, each := range w.set {
		if each.Start.Before(now) || each.End.After(until) || each.End.Sub(each.Start) != 3*time.Hour || each.Explanation != "https://why.example/" || !each.Expires.Equal(now.Add(time.Hour)) {
			t.Errorf("%s: %+v", serial, each)
		}
		different[each.Start] = true
	}
	if len(different) < 90 {
		t.Errorf("98 certificates have %d different windows", len(different))
	}
	for _, a := range w.audits {
		if a.Event != "renewal.asked" || a.Tenant != "t" || a.Trace != job.Job || a.Actor != "operator:ann" {
			t.Errorf("audit row %+v", a)
		}
	}
	job.Page = ""
	named := job
	named.Selection.Serials = []ca.Serial{{0x5f, 5}, {0x5f, 5}, {0x5f, 200}}
	if out, err := AskRenewal(t.Context(), s, w, named, now, until, ""); err != nil || out.Tally != (Tally{Matched: 3, Changed: 1, Already: 1, Failed: 1}) {
		t.Errorf("named twice, and one that there is not: %+v, %v", out, err)
	}
	for what, bad := range map[string]func(*Bulk) (time.Time, time.Time, string){
		"no time at all":  func(*Bulk) (time.Time, time.Time, string) { return now, now, "" },
		"backwards":       func(*Bulk) (time.Time, time.Time, string) { return until, now, "" },
		"years":           func(*Bulk) (time.Time, time.Time, string) { return now, now.AddDate(2, 0, 0), "" },
		"a script as URL": func(*Bulk) (time.Time, time.Time, string) { return now, until, "javascript:alert(1)" },
		"no job":          func(b *Bulk) (time.Time, time.Time, string) { b.Job = "x"; return now, until, "" },
		"a huge page":     func(b *Bulk) (time.Time, time.Time, string) { b.Limit = MaxBulk + 1; return now, until, "" },
		"another page":    func(b *Bulk) (time.Time, time.Time, string) { b.Page = "t/other/5f"; return now, until, "" },
	} {
		in := job
		from, to, why := bad(&in)
		if _, err := AskRenewal(t.Context(), s, w, in, from, to, why); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	job.Actor = func(string) (caller.Caller, error) { return caller.Caller{}, ca.Errorf(ca.BadProof, "nobody") }
	if _, err := AskRenewal(t.Context(), s, w, job, now, until, ""); !ca.IsKind(err, ca.BadProof) {
		t.Errorf("without an actor: %v", err)
	}
}
