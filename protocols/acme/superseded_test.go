package acme

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// live puts a profile of one's own making in force, without approvals.
func (o *office) live(change func(*profile.Written)) { o.policy.Policy = o.engine(change) }

// renew orders and finishes an order that replaces a certificate.
func (o *office) renew(der []byte, names ...string) (orderObject, reply) {
	o.t.Helper()
	url, order, r := o.replacing(renewalIDOf(o.t, der), names...)
	if r.status != http.StatusCreated {
		o.t.Fatalf("%d %s", r.status, r.body)
	}
	order = o.prove(url, order)
	r = o.post(order.Finalize, fmt.Sprintf(`{"csr":%q}`, o.csr("", names...)))
	o.post(url, "").into(o.t, &order)
	return order, r
}

// revoker is one run of the job.
func (o *office) revoker(holder string) error {
	o.t.Helper()
	l, err := o.sqlite.Acquire(o.t.Context(), "superseded", holder, time.Minute)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.core.RevokeSuperseded(o.t.Context(), l, o.sqlite)
}

// TestRenewalWindow: an order that replaces a certificate too early is refused
// when it is opened, and the time that is suggested is not too early.
func TestRenewalWindow(t *testing.T) {
	o := newOffice(t)
	o.live(func(w *profile.Written) { w.Renewal = profile.WrittenRenewal{Window: "5%"} })
	der, _ := o.issue(fixture.Key(t), "a.example")
	id := renewalIDOf(t, der)
	_, _, r := o.replacing(id, "a.example")
	if p := r.problem(t); r.status != http.StatusForbidden || p.Type != urn+typeUnauthorized || !strings.Contains(p.Detail, "may be renewed from ") {
		t.Errorf("before its window: %d %s", r.status, r.body)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	opens := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 20)
	var info renewalObject
	o.ask(http.MethodGet, o.base+"/renewal-info/"+id).into(t, &info)
	if info.SuggestedWindow.Start.Before(opens.Add(-time.Second)) || !info.SuggestedWindow.End.Before(leaf.NotAfter) {
		t.Errorf("suggested from %s to %s; it is renewed from %s on", info.SuggestedWindow.Start, info.SuggestedWindow.End, opens)
	}
	now := time.Now().UTC().Truncate(time.Second)
	if err := o.store.SetRenewalWindows(t.Context(), "one", []ca.RenewalWindow{{Tenant: "one", CA: "issuing", Serial: serialOf(t, der), Start: now.Add(-time.Hour), End: now.Add(time.Hour), Expires: leaf.NotAfter}},
		ca.Audit{Tenant: "one", Event: "renewal.asked", Actor: "test"}); err != nil {
		t.Fatal(err)
	}
	if order, r := o.renew(der, "a.example"); order.Status != state.Valid {
		t.Errorf("an operator wants it renewed: %d %s", r.status, r.body)
	}
	o.issue(fixture.Key(t), "a.example") // and who names none renews none
}

// TestRevokedWhenSuperseded: the certificate that an order replaced is revoked when
// the overlap has passed, once, with an audit row, by who holds the lease.
func TestRevokedWhenSuperseded(t *testing.T) {
	o := newOffice(t)
	o.live(func(w *profile.Written) {
		w.Renewal = profile.WrittenRenewal{Overlap: "PT1H", RevokeSuperseded: true}
	})
	old, _ := o.issue(fixture.Key(t), "a.example")
	o.issue(fixture.Key(t), "b.example") // is not renewed, and stays
	order, r := o.renew(old, "a.example")
	if order.Status != state.Valid {
		t.Fatalf("%d %s", r.status, r.body)
	}
	by := decodePEM(o.post(order.Certificate, "").body)[0]
	fields, _, err := o.store.Decision(t.Context(), "one", "issuing", serialOf(t, by))
	if err != nil || !bytes.Contains(fields, []byte("named by the account that it was issued to")) || !bytes.Contains(fields, []byte("revoked as superseded at ")) {
		t.Errorf("the decision does not say what is renewed: %s, %v", fields, err)
	}
	if err := o.revoker("test"); err != nil {
		t.Fatal(err)
	}
	if got := o.revocations(); len(got) != 0 {
		t.Fatalf("revoked before the overlap has passed: %v", got)
	}
	o.clock.Late(61 * time.Minute)
	stale := &ca.Lease{Name: "superseded", Holder: "gone", Fence: 1}
	if err := o.core.RevokeSuperseded(t.Context(), stale, o.sqlite); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("without the lease: %v", err)
	}
	for range 2 { // and once
		if err := o.revoker("test"); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprint(o.revocations()), fmt.Sprintf("[%s revoked superseded]", serialOf(t, old)); got != want {
		t.Errorf("revoked: %s, want %s", got, want)
	}
	rows, err := o.sqlite.AuditOf(t.Context(), "one", serialOf(t, old))
	if err != nil || len(rows) != 1 || rows[0].Event != "certificate.revoked" || rows[0].Actor != "service:superseded" || !bytes.Contains(rows[0].Detail, []byte(serialOf(t, by).String())) {
		t.Errorf("audited as %+v, %v", rows, err)
	}
}

// TestUniqueRenewed: what is unique goes from a certificate to the one that
// replaces it, and to no other.
func TestUniqueRenewed(t *testing.T) {
	o := newOffice(t)
	o.live(func(w *profile.Written) { w.Unique.SAN = ca.WithinCA })
	old, _ := o.issue(fixture.Key(t), "a.example")
	if r := o.finalize(fixture.Key(t), "a.example"); r.status != http.StatusBadRequest || !bytes.Contains(r.body, []byte("has the same name already")) {
		t.Errorf("a second certificate: %d %s", r.status, r.body)
	}
	if order, r := o.renew(old, "a.example"); order.Status != state.Valid {
		t.Errorf("its renewal: %d %s", r.status, r.body)
	}
	if r := o.finalize(fixture.Key(t), "a.example"); r.status != http.StatusBadRequest {
		t.Errorf("a certificate beside the renewed one: %d %s", r.status, r.body)
	}
}

// TestApprovalUnderAnAutoProfile: a request that was parked and whose profile asks
// for no approval any more waits on, is decided under the profile of the day when it is
// approved, and takes what is unique then: nothing is reserved for what waits.
func TestApprovalUnderAnAutoProfile(t *testing.T) {
	o := newOffice(t)
	key := fixture.Key(t)
	wait := func(name string) (string, string, *ca.PendingRequest) {
		t.Helper()
		url, order := o.order(name)
		order = o.prove(url, order)
		body := fmt.Sprintf(`{"csr":%q}`, o.csrWith(key, "", name))
		if r := o.post(order.Finalize, body); r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		all, err := o.sqlite.PendingRequests(t.Context(), "one", ca.AwaitsApproval, "", 10)
		if err != nil || len(all) == 0 {
			t.Fatal(err)
		}
		return url, order.Finalize, &all[len(all)-1]
	}
	urlA, finalizeA, a := wait("a.example")
	urlB, _, b := wait("b.example")
	o.live(func(w *profile.Written) {
		w.Validity.Default, w.Validity.Maximum = "P7D", "P7D"
		w.Unique.Key = ca.WithinTenant
	})
	if r := o.post(finalizeA, fmt.Sprintf(`{"csr":%q}`, o.csrWith(key, "", "a.example"))); r.status != http.StatusOK || !bytes.Contains(r.body, []byte(`"processing"`)) {
		t.Errorf("the same again, under auto: %d %s", r.status, r.body)
	}
	o.stands(urlA, state.Processing)
	o.approve(a)
	o.approve(b)
	if err := o.work(); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(decodePEM(o.post(o.stands(urlA, state.Valid).Certificate, "").body)[0])
	if err != nil || leaf.NotAfter.Sub(leaf.NotBefore) > 7*24*time.Hour {
		t.Errorf("not decided under today's profile: valid until %s, %v", leaf.NotAfter, err)
	}
	fields, _, err := o.store.Decision(t.Context(), "one", "issuing", o.state(a).Serial)
	if err != nil || !bytes.Contains(fields, []byte("approved by operator:test at ")) {
		t.Errorf("the decision does not say who approved: %s, %v", fields, err)
	}
	o.refusedWith(urlB, "has the same key already")
	if got := o.state(b); got.State != ca.PendingRejected {
		t.Errorf("a second request for the key is %s", got.State)
	}
}

// TestApprovalOfRenewals: of two renewals that wait the first that is issued replaces
// the certificate, and a denied one replaces nothing.
func TestApprovalOfRenewals(t *testing.T) {
	o := newOffice(t)
	manual := o.policy.Policy
	revoking := func(w *profile.Written) { w.Renewal = profile.WrittenRenewal{RevokeSuperseded: true} }
	o.live(revoking)
	old, _ := o.issue(fixture.Key(t), "a.example")
	o.policy.Policy = manual
	waits := func() *ca.PendingRequest {
		t.Helper()
		order, r := o.renew(old, "a.example")
		all, err := o.sqlite.PendingRequests(t.Context(), "one", ca.AwaitsApproval, "", 10)
		if err != nil || len(all) == 0 || order.Status != state.Processing {
			t.Fatalf("%d %s, %v", r.status, r.body, err)
		}
		return &all[len(all)-1]
	}
	denied, first, second := waits(), waits(), waits()
	if _, err := o.core.Deny(t.Context(), o.verdict("one", denied)); err != nil {
		t.Fatal(err)
	}
	o.live(revoking) // the profile is auto now, and those that wait are decided under it
	for i, p := range []*ca.PendingRequest{first, second} {
		o.approve(p)
		if err := o.work(); err != nil {
			t.Fatal(err)
		}
		if got, want := o.state(p), []ca.PendingState{ca.PendingIssued, ca.PendingRejected}[i]; got.State != want {
			t.Errorf("renewal %d is %s: %s", i, got.State, got.Reason)
		}
	}
	if err := o.revoker("test"); err != nil {
		t.Fatal(err)
	}
	if got := o.revocations(); len(got) != 1 {
		t.Errorf("revoked: %v", got)
	}
}
