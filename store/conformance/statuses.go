package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

func (k *kit) statusPage(tenant, issuer string, after ca.Serial, limit int) []ca.Status {
	k.Helper()
	page, err := k.Store.StatusPage(k.Context(), tenant, issuer, after, limit)
	if err != nil {
		k.Fatalf("status page: %v", err)
	}
	return page
}

// statusPages: pages give every certificate whose status ever changed, once,
// as it stands now, in the order of serials whatever the month.
func statusPages(t T, open func() *Driver) {
	k := start(t, open)
	if page := k.statusPage(Tenant, caID, ca.Serial{}, 10); len(page) != 0 {
		t.Errorf("statuses of a CA that revoked nothing: %v", page)
	}
	var want []ca.Status
	for i := range 7 {
		e := k.entryUntil(Tenant, time.Date(2031, time.Month(1+i/2), 10, 12, 0, 0, 0, time.UTC))
		k.record(e)
		if i == 3 {
			continue // nothing happened to this one
		}
		r := revocation(e, ca.Superseded)
		switch i {
		case 0:
			r.Invalid, r.Shard = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), 3
		case 1:
			r.Reason = ca.CertificateHold
		case 2:
			k.revoke(revocation(e, ca.CertificateHold))
			r.Reason = ca.RemoveFromCRL
		case 4:
			k.revoke(revocation(e, ca.CertificateHold))
			r.Reason = ca.KeyCompromise
		}
		st := *k.revoke(r)
		st.Position = 0
		want = append(want, st)
	}
	slices.SortFunc(want, func(a, b ca.Status) int { return strings.Compare(a.Serial.String(), b.Serial.String()) })
	var got []ca.Status
	for after := (ca.Serial{}); ; {
		page := k.statusPage(Tenant, caID, after, 2)
		if len(page) == 0 || len(got) > len(want) {
			break
		}
		got, after = append(got, page...), page[len(page)-1].Serial
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in pages of two:\n%s", diff)
	}
	if diff := cmp.Diff(want, k.statusPage(Tenant, caID, ca.Serial{}, ca.MaxStatusPage)); diff != "" {
		t.Errorf("in one page:\n%s", diff)
	}
	// The months before one are passed over by a serial number that no certificate has.
	february := ca.MonthOf(time.Date(2031, 2, 1, 0, 0, 0, 0, time.UTC))
	end := ca.Serial{byte(february >> 8), byte(february)}
	for i := 2; i < len(end); i++ {
		end[i] = 0xff
	}
	if diff := cmp.Diff(want[len(want)-3:], k.statusPage(Tenant, caID, end, ca.MaxStatusPage)); diff != "" {
		t.Errorf("after a month:\n%s", diff)
	}
	if page := k.statusPage(Tenant, "another-ca", ca.Serial{}, 10); len(page) != 0 {
		t.Errorf("another CA's statuses: %v", page)
	}
}

func statusPageRefuses(t T, open func() *Driver) {
	k := start(t, open)
	for _, limit := range []int{-1, 0, ca.MaxStatusPage + 1} {
		_, err := k.Store.StatusPage(t.Context(), Tenant, caID, ca.Serial{}, limit)
		k.kind("a page of a size that there is not", err, ca.BadRequest)
	}
}

// feedEnd: the end is the position of the last row that the feed shows.
func feedEnd(t T, open func() *Driver) {
	k := start(t, open)
	end := func() int64 {
		n, err := k.Store.FeedEnd(t.Context())
		if err != nil {
			t.Fatalf("feed end: %v", err)
		}
		return n
	}
	if n := end(); n != 0 {
		t.Errorf("an empty feed ends at %d", n)
	}
	for _, tenant := range []string{Tenant, OtherTenant, Tenant} {
		e := k.entry(tenant)
		k.record(e)
		st := k.revoke(revocation(e, ca.Superseded))
		if n := end(); n != st.Position {
			t.Errorf("after position %d the feed ends at %d", st.Position, n)
		}
		if rows := k.feed(end()); len(rows) != 0 {
			t.Errorf("after its end the feed has %v", rows)
		}
	}
}

func swapStatusPage(k *kit, _ *ca.Entry) {
	e := k.entry(Tenant)
	k.record(e)
	k.revoke(revocation(e, ca.Superseded))
	if page := k.statusPage(Tenant, caID, ca.Serial{}, 10); len(page) != 1 {
		k.Errorf("the tenant's own statuses: %v", page)
	}
	if page := k.statusPage(OtherTenant, caID, ca.Serial{}, 10); len(page) != 0 {
		k.Errorf("another tenant's statuses: %v", page)
	}
}
