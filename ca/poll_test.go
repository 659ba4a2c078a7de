package ca_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/store/memory"
)

// unsealed keeps requests as they are.
type unsealed struct{}

func (unsealed) Seal(_ context.Context, _, _ string, plain []byte) ([]byte, error) { return plain, nil }

func (unsealed) Open(_ context.Context, _, _ string, sealed []byte) ([]byte, error) {
	return sealed, nil
}

// waits is a door that has nothing to do when a request ends.
type waits struct{}

func (waits) Complete(*ca.PendingRequest, *ca.Request) []ca.Effect { return nil }

func (waits) End(*ca.PendingRequest, *ca.Error) []ca.Effect { return nil }

// TestPoll: what became of a parked request is told to who made it, and by the
// transaction to who holds its key, at its own endpoint; to nobody else.
func TestPoll(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store := memory.New(memory.Options{})
	t.Cleanup(func() { store.Close() })
	written, _, err := profile.BuiltinByID("privatessl-tls-server")
	must(err)
	written.Approval = "manual"
	rules, err := profile.Compile(written)
	must(err)
	must(store.KeepProfile(ctx, rules.Hash(), rules.Text()))
	policy, err := profile.NewEngine(map[string]*profile.Profile{"web": rules, "other": rules})
	must(err)
	var endpoints []ca.Endpoint
	for _, id := range []string{"web", "other"} {
		endpoints = append(endpoints, ca.Endpoint{ID: id, Door: caller.ACME, Tenant: "default", CA: "issuing", Profile: rules.ID(), Policies: [][]caller.Method{{caller.ACMEAccount}}})
	}
	parts := ca.Parts{Endpoints: endpoints, Policy: policy, Linter: lint.Linter{}, Issuers: newTestCA(now), Ledger: store, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	impatient, err := ca.NewAuthority(parts)
	must(err)
	parts.Approvals = &ca.Approvals{Store: store, Leases: store, Sealing: unsealed{}, Lifetime: time.Hour, Completions: map[caller.Door]ca.Completion{caller.ACME: waits{}}}
	core, err := ca.NewAuthority(parts)
	must(err)

	by := func(tenant, endpoint, account string) caller.Caller {
		c, err := caller.FromAccountSignature(caller.NewVerifier(caller.ACME), caller.AccountSignature{Tenant: tenant, Endpoint: endpoint, Account: account,
			Status: "valid", KeyThumbprint: [32]byte{1}, AccountKey: [32]byte{1}, At: now})
		must(err)
		return c
	}
	holder := func(tenant, endpoint string, key [32]byte) caller.Caller {
		c, err := caller.FromCertificateKey(caller.NewVerifier(caller.ACME), caller.CertificateKeySignature{Tenant: tenant, Endpoint: endpoint, SignatureKey: key, Certificate: key, At: now})
		must(err)
		return c
	}
	park := func(c caller.Caller, transaction string) (id string, key [32]byte) {
		t.Helper()
		csr, possession, err := claim.VerifyCSR(newCSR("a.example"), false)
		must(err)
		r := core.Enroll(ctx, &ca.Request{Trace: ca.NewTrace(), Endpoint: c.Endpoint(), Operation: ca.Enroll, Caller: c, Possession: possession,
			Claims: []claim.Claim{proven(c, "a.example", now)}, Asserted: ca.Asserted{AltNames: csr.AltNames}, Transaction: transaction, Window: time.Hour})[0]
		if !ca.IsKind(r.Err, ca.Pending) {
			t.Fatalf("parked: %+v", r)
		}
		return r.Request, possession.Key().Hash()
	}
	maker := by("default", "web", "a")
	id, key := park(maker, "T1")
	_, otherKey := park(maker, "")
	type answer struct {
		Kind    ca.Kind
		Request string
	}
	asked := func(r ca.Result) answer {
		t.Helper()
		if r.Err == nil || r.Certificate != nil {
			t.Errorf("answered %+v", r)
			return answer{}
		}
		return answer{ca.AsError(r.Err).Kind, r.Request}
	}
	none, waiting := answer{ca.NotFound, ""}, answer{ca.Pending, id}
	for what, c := range map[string]struct {
		by          caller.Caller
		transaction string
		polled      answer // by id
		want        answer // by transaction
	}{
		"who made it":                    {maker, "T1", waiting, waiting},
		"who made it, another one":       {maker, "T2", waiting, none},
		"who made it, no transaction":    {maker, "", waiting, none},
		"who made it, elsewhere":         {by("default", "other", "a"), "T1", none, none},
		"who made it, in another tenant": {by("second", "web", "a"), "T1", none, none},
		"somebody else":                  {by("default", "web", "b"), "T1", none, none},
		"who holds its key":              {holder("default", "web", key), "T1", none, waiting},
		"its key, no transaction":        {holder("default", "web", otherKey), "", none, none},
		"its key, elsewhere":             {holder("default", "other", key), "T1", none, none},
		"its key, in another tenant":     {holder("second", "web", key), "T1", none, none},
		"who holds another key":          {holder("default", "web", otherKey), "T1", none, none},
		"nobody":                         {caller.Caller{}, "T1", answer{ca.BadProof, ""}, answer{ca.BadProof, ""}},
	} {
		if diff := cmp.Diff(c.polled, asked(core.Poll(ctx, c.by, id))); diff != "" {
			t.Errorf("%s, by id: %s", what, diff)
		}
		if diff := cmp.Diff(c.want, asked(core.PollTransaction(ctx, c.by, c.transaction))); diff != "" {
			t.Errorf("%s, by transaction: %s", what, diff)
		}
	}
	if got := asked(impatient.PollTransaction(ctx, maker, "T1")); got != none {
		t.Errorf("where nothing waits: %+v", got)
	}

	operator, err := caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: "default", User: "o", At: now})
	must(err)
	_, err = core.Approve(ctx, &ca.Verdict{Tenant: "default", ID: id, Caller: operator, Reason: "ticket 1"})
	must(err)
	lease, err := store.Acquire(ctx, "approvals", "test", time.Minute)
	must(err)
	must(core.SettlePending(ctx, lease))
	for what, c := range map[string]caller.Caller{"who made it": maker, "who holds its key": holder("default", "web", key)} {
		if r := core.PollTransaction(ctx, c, "T1"); r.Err != nil || r.Certificate == nil || len(r.Chain) != len(core.Poll(ctx, maker, id).Chain) || r.Request != id {
			t.Errorf("%s, when it is issued: %+v", what, r)
		}
	}
	newest, _ := park(maker, "T1x")
	if got := asked(core.PollTransaction(ctx, maker, "T1x")); got != (answer{ca.Pending, newest}) {
		t.Errorf("a later transaction: %+v", got)
	}
}
