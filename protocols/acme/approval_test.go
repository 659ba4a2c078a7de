package acme

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/store/sqlite"
	"github.com/enrollgate/enrollgate/test/core"
)

// office is a bench whose profile wants an operator's approval.
type office struct {
	*bench
	*client
	core   *ca.Authority
	sqlite *sqlite.Store
	policy *today
	clock  core.Clock
}

// today is the profile engine in force.
type today struct{ ca.Policy }

func newOffice(t *testing.T) *office { return newOfficeWith(t, true) }

// newOfficeWith may also issue at once. The clocks of store, core and door are late.
func newOfficeWith(t *testing.T, manual bool) *office {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	o := &office{}
	store, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Log: slog.New(slog.DiscardHandler), Replica: "test",
		Clock: o.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewKeyring([]byte(strings.Repeat("k", 32)), store)
	if err != nil {
		t.Fatal(err)
	}
	o.sqlite = store
	o.bench = newBenchWith(t, store, further{now: o.clock.Now, adapt: func(b *bench, p *ca.Parts) {
		o.bench = b
		o.policy = &today{o.engine(func(w *profile.Written) {
			if manual {
				w.Approval = "manual"
			}
		})}
		p.Now = o.clock.Now
		p.Policy = o.policy
		p.Approvals = &ca.Approvals{Store: store, Leases: store, Sealing: core.Sealing{Keyring: ring, Purpose: seal.Pending}, Lifetime: time.Hour,
			Completions: map[caller.Door]ca.Completion{caller.ACME: Completion{Store: store}}}
	}})
	o.core = o.door.Core.(*ca.Authority)
	o.client = o.registered("one")
	return o
}

// engine binds the tenants' endpoints to a profile of one's own making.
func (o *office) engine(change func(*profile.Written)) ca.Policy {
	o.t.Helper()
	p := core.Profile(o.t, "privatessl-tls-server", change)
	return core.Engine(o.t, map[string]*profile.Profile{"acme-one": p, "acme-two": p}, o.store)
}

// park takes an order up to where it waits.
func (o *office) park(name string) (url string, p *ca.PendingRequest) {
	o.t.Helper()
	url, order := o.order(name)
	order = o.prove(url, order)
	body := `{"csr":"` + o.csr("", name) + `"}`
	for _, csr := range []string{body, body, `{"csr":"` + o.csr("", name) + `"}`} { // a client that lost our answer asks again
		r := o.post(order.Finalize, csr)
		var got orderObject
		r.into(o.t, &got)
		if r.status != 200 || got.Status != state.Processing || got.Certificate != "" || r.header.Get("Retry-After") != "30" || r.header.Get("Location") != url {
			o.t.Fatalf("finalize: %d %v %s", r.status, r.header, r.body)
		}
	}
	all, err := o.sqlite.PendingRequests(o.t.Context(), "one", ca.AwaitsApproval, "", 10)
	if err != nil {
		o.t.Fatal(err)
	}
	for i := range all {
		if strings.HasSuffix(url, "/"+all[i].Transaction) {
			return url, &all[i]
		}
	}
	o.t.Fatalf("no request of %s among %+v", url, all)
	return "", nil
}

func (o *office) verdict(tenant string, p *ca.PendingRequest) *ca.Verdict {
	o.t.Helper()
	return &ca.Verdict{Tenant: tenant, ID: p.ID, Caller: core.Operator(o.t, tenant, time.Now()), Reason: "ticket 7"}
}

// approve must succeed.
func (o *office) approve(p *ca.PendingRequest) {
	o.t.Helper()
	if _, err := o.core.Approve(o.t.Context(), o.verdict("one", p)); err != nil {
		o.t.Fatal(err)
	}
}

// work is one run of the job.
func (o *office) work() error {
	o.t.Helper()
	l, err := o.sqlite.Acquire(o.t.Context(), "approvals", "test", time.Minute)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.core.SettlePending(o.t.Context(), l)
}

func (o *office) stands(url string, want state.Status) (order orderObject) {
	o.t.Helper()
	r := o.post(url, "")
	r.into(o.t, &order)
	if order.Status != want {
		o.t.Errorf("the order is %s, not %s: %s", order.Status, want, r.body)
	}
	return order
}

// refusedWith looks at an order that ended without a certificate.
func (o *office) refusedWith(url, text string) {
	o.t.Helper()
	var p problem
	order := o.stands(url, state.Invalid)
	if err := json.Unmarshal(order.Error, &p); err != nil || p.Type != urn+typeUnauthorized || !strings.Contains(p.Detail, text) || !strings.Contains(p.Detail, "[trace ") {
		o.t.Errorf("the order's error is %s, %v; want %q", order.Error, err, text)
	}
}

func (o *office) state(p *ca.PendingRequest) *ca.PendingRequest {
	o.t.Helper()
	now, err := o.sqlite.PendingRequest(o.t.Context(), p.Tenant, p.ID)
	if err != nil {
		o.t.Fatal(err)
	}
	return now
}

func TestApproval(t *testing.T) {
	o := newOffice(t)
	url, p := o.park("a.example")
	if err := o.work(); err != nil {
		t.Fatal(err)
	}
	o.stands(url, state.Processing)
	o.approve(p)
	o.stands(url, state.Processing)

	// A holder of the lease that was paused or killed between the mark and the commit issues nothing.
	stale := &ca.Lease{Name: "approvals", Holder: "gone", Fence: 1, Until: time.Now().Add(time.Hour)}
	if err := o.core.SettlePending(t.Context(), stale); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("without the lease: %v", err)
	}
	o.stands(url, state.Processing)
	for range 2 { // the next one goes on, and once
		if err := o.work(); err != nil {
			t.Fatal(err)
		}
	}
	order := o.stands(url, state.Valid)
	if der := decodePEM(o.post(order.Certificate, "").body); len(der) == 0 {
		t.Fatal("no certificate")
	}
	done := o.state(p)
	if done.State != ca.PendingIssued || done.DecidedBy != "operator:test" {
		t.Errorf("the request is %+v", done)
	}
	fields, _, err := o.store.Decision(t.Context(), "one", "issuing", done.Serial)
	if err != nil || !strings.Contains(string(fields), "approved by operator:test at ") || !strings.Contains(string(fields), "ticket 7") {
		t.Errorf("the decision does not say who approved: %s, %v", fields, err)
	}
	if _, err := o.core.Deny(t.Context(), o.verdict("one", p)); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("denied after its issuance: %v", err)
	}
}

func TestApprovalDenied(t *testing.T) {
	o := newOffice(t)
	url, p := o.park("a.example")
	for what, v := range map[string]*ca.Verdict{"no reason": {Tenant: "one", ID: p.ID, Caller: o.verdict("one", p).Caller, Reason: " "},
		"a line break": {Tenant: "one", ID: p.ID, Caller: o.verdict("one", p).Caller, Reason: "a\nb"}} {
		if _, err := o.core.Deny(t.Context(), v); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	other := o.verdict("two", p)
	if _, err := o.core.Deny(t.Context(), other); !ca.IsKind(err, ca.NotFound) {
		t.Errorf("another tenant's operator: %v", err)
	}
	other.Tenant = "one"
	if _, err := o.core.Approve(t.Context(), other); !ca.IsKind(err, ca.BadProof) {
		t.Errorf("another tenant's operator in this one's name: %v", err)
	}
	if _, err := o.core.Deny(t.Context(), o.verdict("one", p)); err != nil {
		t.Fatal(err)
	}
	o.refusedWith(url, "an operator denied the request: ticket 7")
	if _, err := o.core.Approve(t.Context(), o.verdict("one", p)); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("approved after it was denied: %v", err)
	}
}

func TestApprovalExpires(t *testing.T) {
	o := newOffice(t)
	url, p := o.park("a.example")
	o.clock.Late(2 * time.Hour)
	o.nonce = "" // it has expired
	if _, err := o.core.Approve(t.Context(), o.verdict("one", p)); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("approved too late: %v", err)
	}
	if err := o.work(); err != nil {
		t.Fatal(err)
	}
	o.refusedWith(url, "no operator approved the request in time")
}

// TestApprovalDecidesToday: the profile of the day decides, when it is approved
// and when it is issued.
func TestApprovalDecidesToday(t *testing.T) {
	o := newOffice(t)
	urlA, a := o.park("a.example")
	_, b := o.park("b.example")
	o.approve(a)
	then := o.policy.Policy
	o.policy.Policy = o.engine(func(w *profile.Written) { w.Keys = []string{"rsa>=3072"} })
	if _, err := o.core.Approve(t.Context(), o.verdict("one", b)); !ca.IsKind(err, ca.Denied) || !strings.Contains(err.Error(), "today") {
		t.Errorf("approved what today's profile refuses: %v", err)
	}
	if got := o.state(b).State; got != ca.AwaitsApproval {
		t.Errorf("it is %s, and should wait on", got)
	}
	if err := o.work(); err != nil {
		t.Fatal(err)
	}
	o.refusedWith(urlA, "could not be issued any more")
	if got := o.state(a).State; got != ca.PendingRejected {
		t.Errorf("it is %s", got)
	}
	o.policy.Policy = then
	o.approve(b)
	if err := o.work(); err != nil {
		t.Fatal(err)
	}
	if got := o.state(b).State; got != ca.PendingIssued {
		t.Errorf("it is %s", got)
	}
}

// TestApprovalRace: of approval and denial at the same time one counts, for the
// request and for its order.
func TestApprovalRace(t *testing.T) {
	o := newOffice(t)
	for range 5 {
		url, p := o.park("a.example")
		var both sync.WaitGroup
		v := o.verdict("one", p)
		errs := make([]error, 2)
		both.Go(func() { _, errs[0] = o.core.Approve(t.Context(), v) })
		both.Go(func() { _, errs[1] = o.core.Deny(t.Context(), v) })
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("approve: %v; deny: %v", errs[0], errs[1])
		}
		if err := o.work(); err != nil {
			t.Fatal(err)
		}
		if errs[0] == nil {
			o.stands(url, state.Valid)
		} else {
			o.stands(url, state.Invalid)
		}
	}
}

// TestApprovalWithdrawn: who asked may not be there any more.
func TestApprovalWithdrawn(t *testing.T) {
	o := newOffice(t)
	_, p := o.park("a.example")
	o.approve(p)
	if r := o.post(o.kid, `{"status":"deactivated"}`); r.status != 200 {
		t.Fatalf("deactivate: %d %s", r.status, r.body)
	}
	if err := o.work(); err != nil {
		t.Fatal(err)
	}
	if got := o.state(p); got.State != ca.PendingRejected || !strings.Contains(got.Reason, "withdrawn") {
		t.Errorf("the request of a deactivated account is %+v", got)
	}
}

// TestApprovalForged: who can write to the store, but not seal, approves nothing.
func TestApprovalForged(t *testing.T) {
	o := newOffice(t)
	urlA, a := o.park("a.example")
	urlB, b := o.park("b.example")
	o.approve(a)
	for _, word := range [][]byte{[]byte("yes"), o.state(a).Approval} {
		err := o.sqlite.Settle(t.Context(), &ca.Settlement{Tenant: "one", ID: b.ID, From: ca.AwaitsApproval, To: ca.Approved, By: "operator:test", Reason: "x", Approval: word,
			Audit: ca.Audit{Tenant: "one", Event: "request.approved", Actor: "operator:test", Detail: []byte("{}")}})
		if err != nil && !ca.IsKind(err, ca.Conflict) {
			t.Fatal(err)
		}
	}
	if err := o.work(); !ca.IsKind(err, ca.Internal) {
		t.Errorf("a forged approval: %v", err)
	}
	o.stands(urlA, state.Valid)
	o.stands(urlB, state.Processing)
}
