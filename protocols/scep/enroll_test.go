package scep

import (
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
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
	if n := k.seen.count("one-issuing-" + dual + " PKCSReq success"); n != 3 {
		t.Errorf("%d were counted", n)
	}
	if n := k.seen.count("one-issuing-" + dual + " PKCSReq badMessageCheck"); n != 2 {
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
	k.revoke(old.SerialNumber.Bytes(), ca.KeyCompromise)
	k.refused("revoked", holder.ask(renewalReq, holder.csr()), badMessageCheck, "revoked")
}

// TestKeysThatDoNotEncrypt: an EC key gets its reply under the secret, or nothing
// is issued.
func TestKeysThatDoNotEncrypt(t *testing.T) {
	k := newKit(t, nil)
	c, secret := k.clientWith(ecKey(t)), k.secret()
	cert := c.issuedWith(c.enroll(with(secret)), secret)
	holder := *c
	holder.certificate, holder.transaction = cert.Raw, "renewal"
	k.refused("renewal without a secret", holder.ask(renewalReq, holder.csr()), badAlg, "cannot be encrypted")
	if holder.cipher = cms.AES256CBC; k.seen.panics != 0 {
		t.Error("a panic")
	}
}
