package est

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
)

// TestPending: a request that waits for an operator is answered 202 as often as it
// is sent, and then the certificate, as often as it is sent (RFC 7030 section 4.2.3).
func TestPending(t *testing.T) {
	k := newKit(t, func(k *kit) { k.change = func(w *profile.Written) { w.Approval = "manual" } })
	code := k.user("one", 1, func(c *credential.Credential) { c.Expires = k.now().AddDate(0, 1, 0) })
	csr, denied := newCSR(t, newKey(t), "device-1"), newCSR(t, newKey(t), "device-2")
	waiting := func(what string, r reply) {
		t.Helper()
		k.refused(what, r, http.StatusAccepted, "waits for an operator")
		if n, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || n < 1 {
			t.Errorf("%s: Retry-After %q", what, r.header.Get("Retry-After"))
		}
	}
	for range 3 {
		waiting("first", k.enroll(csr, code))
	}
	k.refused("a second request with the same code", k.enroll(newCSR(t, newKey(t), "device-3"), code), http.StatusUnauthorized, "used already")
	second := k.user("one", 1)
	waiting("second", k.enroll(denied, second))
	all, err := k.store.PendingRequests(t.Context(), "one", ca.AwaitsApproval, "", 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d wait, %v", len(all), err)
	}
	operator := k.operator()
	for _, p := range all {
		v := &ca.Verdict{Tenant: "one", ID: p.ID, Caller: operator, Reason: "ticket 1"}
		if p.Subject == "CN=device-1" {
			_, err = k.core.Approve(t.Context(), v)
		} else {
			_, err = k.core.Deny(t.Context(), v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	waiting("approved, and not issued yet", k.enroll(csr, code))
	k.settle()
	c := k.issued(k.enroll(csr, code))
	k.late(3 * 24 * time.Hour)
	if again := k.issued(k.enroll(csr, code)); !again.Equal(c) {
		t.Error("another certificate, three days later")
	}
	k.late(0)
	k.refused("denied", k.enroll(denied, second), http.StatusForbidden, "ticket 1")
}

// TestPendingRenewal: a renewal waits, too, and is issued for the certificate that
// was shown when it was asked for.
func TestPendingRenewal(t *testing.T) {
	k := newKit(t, func(k *kit) { k.change = func(w *profile.Written) { w.Approval = "manual" } })
	code, key := k.user("one", 1), newKey(t)
	approved := func(ask func() reply) *tls.Certificate {
		t.Helper()
		k.refused("asked", ask(), http.StatusAccepted, "waits for an operator")
		all, err := k.store.PendingRequests(t.Context(), "one", ca.AwaitsApproval, "", 10)
		if err != nil || len(all) != 1 {
			t.Fatalf("%d wait, %v", len(all), err)
		}
		if _, err := k.core.Approve(t.Context(), &ca.Verdict{Tenant: "one", ID: all[0].ID, Caller: k.operator(), Reason: "ticket 1"}); err != nil {
			t.Fatal(err)
		}
		k.settle()
		return &tls.Certificate{Certificate: [][]byte{k.issued(ask()).Raw}, PrivateKey: key}
	}
	csr := newCSR(t, key, "device-1", "device-1.example")
	old := approved(func() reply { return k.enroll(csr, code) })
	next := approved(func() reply { return k.reenroll(csr, old) })
	if bytes.Equal(next.Certificate[0], old.Certificate[0]) {
		t.Error("nothing was renewed")
	}
}

func (k *kit) operator() caller.Caller {
	k.Helper()
	operator, err := caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: "one", User: "o", At: k.now()})
	if err != nil {
		k.Fatal(err)
	}
	return operator
}

// settle issues what was approved.
func (k *kit) settle() {
	k.Helper()
	lease, err := k.store.Acquire(k.Context(), "approvals", "test", time.Minute)
	if err != nil {
		k.Fatal(err)
	}
	if err := k.core.SettlePending(k.Context(), lease); err != nil {
		k.Fatal(err)
	}
	if err := k.store.Release(k.Context(), lease); err != nil {
		k.Fatal(err)
	}
}
