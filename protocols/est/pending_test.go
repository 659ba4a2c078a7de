package est

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestPending: a request that waits for an operator is answered 202 as often as it
// is sent, and then the certificate, as often as it is sent (RFC 7030 section 4.2.3).
func TestPending(t *testing.T) {
	k := newKit(t, func(k *kit) { k.change = func(w *profile.Written) { w.Approval = "manual" } })
	code := k.user("one", 1, func(c *credential.Credential) { c.Expires = k.Now().AddDate(0, 1, 0) })
	csr, denied := fixture.CSR(t, fixture.Key(t), "device-1"), fixture.CSR(t, fixture.Key(t), "device-2")
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
	k.refused("a second request with the same code", k.enroll(fixture.CSR(t, fixture.Key(t), "device-3"), code), http.StatusUnauthorized, "used already")
	second := k.user("one", 1)
	waiting("second", k.enroll(denied, second))
	for _, p := range k.Waiting(2) {
		k.Decide(p.ID, p.Subject == "CN=device-1")
	}
	waiting("approved, and not issued yet", k.enroll(csr, code))
	k.Settle()
	c := k.issued(k.enroll(csr, code))
	k.Late(3 * 24 * time.Hour)
	if again := k.issued(k.enroll(csr, code)); !again.Equal(c) {
		t.Error("another certificate, three days later")
	}
	k.Late(0)
	k.refused("denied", k.enroll(denied, second), http.StatusForbidden, "ticket 1")
}

// TestPendingRenewal: a renewal waits, too, and is issued for the certificate that
// was shown when it was asked for.
func TestPendingRenewal(t *testing.T) {
	k := newKit(t, func(k *kit) { k.change = func(w *profile.Written) { w.Approval = "manual" } })
	code, key := k.user("one", 1), fixture.Key(t)
	approved := func(ask func() reply) *tls.Certificate {
		t.Helper()
		k.refused("asked", ask(), http.StatusAccepted, "waits for an operator")
		k.Decide(k.Waiting(1)[0].ID, true)
		k.Settle()
		return &tls.Certificate{Certificate: [][]byte{k.issued(ask()).Raw}, PrivateKey: key}
	}
	csr := fixture.CSR(t, key, "device-1", "device-1.example")
	old := approved(func() reply { return k.enroll(csr, code) })
	next := approved(func() reply { return k.reenroll(csr, old) })
	if bytes.Equal(next.Certificate[0], old.Certificate[0]) {
		t.Error("nothing was renewed")
	}
}
