package scep

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestEnroll: a one-time secret gets one certificate, as often as it is asked for
// in one transaction, by POST and by GET.
func TestEnroll(t *testing.T) {
	k := newKit(t, nil)
	c, secret := k.newClient(1), k.secret()
	request := c.csr(with(secret), named("device-1", "device-1.example"))
	first := c.issued(c.ask(pkcsReq, request))
	if first.Subject.String() != "CN=device-1" || len(first.DNSNames) != 1 || first.DNSNames[0] != "device-1.example" {
		t.Errorf("%s %v", first.Subject, first.DNSNames)
	}
	if again := c.issued(c.ask(pkcsReq, request)); !again.Equal(first) {
		t.Error("the retry got another certificate")
	}
	if again := c.issued(c.read(k.inAddress(at, c.message(pkcsReq, c.envelope(request))))); !again.Equal(first) {
		t.Error("the retry by GET got another certificate")
	}
	c.transaction += "1"
	k.refused("another transaction", c.ask(pkcsReq, request), badMessageCheck, "used already")
	thief := k.newClient(2)
	k.refused("another device", thief.enroll(with(secret)), badMessageCheck, "used already")
	if n := k.seen.Replies("one-issuing-" + dual + " PKCSReq success"); n != 3 {
		t.Errorf("%d were counted", n)
	}
	if n := k.seen.Replies("one-issuing-" + dual + " PKCSReq badMessageCheck"); n != 2 {
		t.Errorf("%d refusals were counted", n)
	}
}

// TestRenew: the certificate that signs is what renews, by RenewalReq or PKCSReq,
// with its key or another one.
func TestRenew(t *testing.T) {
	k := newKit(t, nil)
	c, secret := k.newClient(1), k.secret()
	old := c.issued(c.enroll(with(secret), named("device-1", "device-1.example")))
	holder := *c
	holder.certificate = old.Raw
	for i, kind := range []messageType{renewalReq, pkcsReq} {
		for n, key := range []int{1, 2} {
			holder.transaction = string(rune('a'+i)) + string(rune('a'+n))
			next := holder.issued(holder.ask(kind, holder.csr(named("device-1", "device-1.example"), with(secret), func(r *csr) { r.key = rsaKey(t, key) })))
			if next.Equal(old) || next.Subject.String() != "CN=device-1" {
				t.Errorf("%d: %s", kind, next.Subject)
			}
		}
	}
	holder.transaction = "other"
	k.refused("another name", holder.ask(renewalReq, holder.csr(named("device-2"))), badRequest, "keeps the subject")
	k.refused("nobody's", k.newClient(2).ask(renewalReq, c.csr(with(k.secret()), func(r *csr) { r.key = rsaKey(t, 2) })), badMessageCheck, "not issued here")
	k.Revoke(old.SerialNumber.Bytes(), ca.KeyCompromise)
	k.refused("revoked", holder.ask(renewalReq, holder.csr()), badMessageCheck, "revoked")
}

// TestKeysThatDoNotEncrypt: an EC key gets its reply under the secret, or nothing
// is issued.
func TestKeysThatDoNotEncrypt(t *testing.T) {
	k := newKit(t, nil)
	c, secret := k.clientWith(fixture.Key(t)), k.secret()
	cert := c.issuedWith(c.enroll(with(secret)), secret)
	holder := *c
	holder.certificate, holder.transaction = cert.Raw, "renewal"
	k.refused("renewal without a secret", holder.ask(renewalReq, holder.csr()), badAlg, "cannot be encrypted")
}

// TestRevokeSuperseded: where the profile says so, the certificate that was renewed
// is revoked once its overlap is over, as superseded.
func TestRevokeSuperseded(t *testing.T) {
	k := newKit(t, func(k *kit) {
		k.change = func(w *profile.Written) {
			w.Renewal.Overlap, w.Renewal.RevokeSuperseded = "PT1H", true
		}
	})
	c := k.newClient(1)
	old := c.issued(c.enroll(with(k.secret())))
	holder := *c
	holder.certificate, holder.transaction = old.Raw, "renewal"
	holder.issued(holder.ask(renewalReq, holder.csr()))
	state := func() ca.State {
		lease, err := k.Store.Acquire(t.Context(), "superseded", "test", time.Minute)
		if err == nil {
			err = k.Authority.RevokeSuperseded(t.Context(), lease, k.Store)
		}
		if err != nil {
			t.Fatal(err)
		}
		now, err := k.Store.Certificate(t.Context(), "one", "issuing", ca.Serial(old.SerialNumber.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		return now.State
	}
	if got := state(); got != ca.Issued {
		t.Errorf("%s at once", got)
	}
	if k.Late(2 * time.Hour); state() != ca.Revoked {
		t.Error("it is not revoked after the overlap")
	}
	holder.transaction = "again"
	k.refused("a superseded one", holder.ask(renewalReq, holder.csr()), badMessageCheck, "revoked")
}
