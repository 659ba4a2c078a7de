package scep

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// manual is a kit where an operator decides.
func manual(t *testing.T) *kit {
	return newKit(t, func(k *kit) { k.change = func(w *profile.Written) { w.Approval = "manual" } })
}

// poll asks what became of a request for device-1.
func (c *client) poll() *received { return c.ask(certPoll, c.k.about("device-1")) }

// waits fails where a request does not wait.
func (k *kit) waits(what string, r *received) {
	k.Helper()
	if r.status != pending {
		k.Errorf("%s: %s %s %s", what, r.status, r.fail, r.text)
	}
}

// verdict decides about the one request that waits.
func (k *kit) verdict(approve bool) {
	k.Helper()
	k.Decide(k.Waiting(1)[0].ID, approve)
}

// month makes a credential last that long.
func month(c *credential.Credential) { c.Expires = c.Expires.AddDate(0, 1, 0) }

// TestPending: a request that waits is answered PENDING as often as it is sent or
// polled for, and then the certificate, days later, too.
func TestPending(t *testing.T) {
	k := manual(t)
	c, secret := k.newClient(1), k.secret(month)
	request := c.csr(with(secret))
	k.waits("sent", c.ask(pkcsReq, request))
	k.waits("sent again", c.ask(pkcsReq, request))
	k.waits("polled", c.poll())
	if k.burnt("one") != 1 || k.events()["request.parked"] != 1 {
		t.Errorf("%d secrets used, %d requests parked", k.burnt("one"), k.events()["request.parked"])
	}
	thief := k.newClient(2)
	k.refused("the secret is spent", thief.enroll(with(secret)), badMessageCheck, "used already")
	k.verdict(true)
	k.waits("approved, and not issued yet", c.poll())
	k.waits("the same, sent again", c.ask(pkcsReq, request))
	k.Settle()
	cert := c.issued(c.poll())
	if again := c.issued(c.ask(pkcsReq, request)); !again.Equal(cert) {
		t.Error("another certificate for the request that was sent again")
	}
	k.Late(3 * 24 * time.Hour)
	if again := c.issued(c.poll()); !again.Equal(cert) {
		t.Error("another certificate, three days later")
	}
	if again := c.issued(c.ask(pkcsReq, request)); !again.Equal(cert) {
		t.Error("another certificate for what was sent three days later")
	}
	holder := *c // polls with the certificate that it has by now
	holder.certificate = cert.Raw
	if again := holder.issued(holder.poll()); !again.Equal(cert) {
		t.Error("another certificate for its holder")
	}
	k.Revoke(cert.SerialNumber.Bytes(), ca.Superseded)
	k.refused("revoked meanwhile", c.poll(), badRequest, "is revoked now")
	if n := k.events()["certificate.issued"]; n != 1 {
		t.Errorf("%d were issued", n)
	}
	if n := k.seen.Replies("one-issuing-" + dual + " CertPoll pending"); n != 2 {
		t.Errorf("%d were counted", n)
	}
}

func TestDenied(t *testing.T) {
	k := manual(t)
	c, secret := k.newClient(1), k.secret()
	request := c.csr(with(secret))
	k.waits("sent", c.ask(pkcsReq, request))
	k.verdict(false)
	k.refused("polled", c.poll(), badRequest, "ticket 1")
	k.refused("sent again", c.ask(pkcsReq, request), badRequest, "ticket 1")
}

// TestPollByOthers: nobody learns of a request but who made it.
func TestPollByOthers(t *testing.T) {
	k := manual(t)
	c := k.newClient(1)
	k.waits("sent", c.enroll(with(k.secret())))
	other := *k.newClient(2)
	other.transaction = c.transaction
	unknown, elsewhere, profile, ca := *c, *c, *c, *c
	unknown.transaction += "1"
	elsewhere.path, profile.path, ca.path = atTwo, atStatic, atAddress
	for name, who := range map[string]*client{"another key": &other, "another transaction": &unknown, "another tenant": &elsewhere, "another endpoint": &profile, "another CA": &ca} {
		k.refused(name, who.poll(), badCertID, "there is no such request")
	}
	k.waits("who asked", c.poll())
	// A holder of another certificate in force is another caller.
	k.verdict(true)
	k.Settle()
	stranger := k.newClient(2)
	stranger.certificate = c.issued(c.poll()).Raw
	stranger.key, stranger.transaction = c.key, "other"
	k.refused("a holder, another transaction", stranger.poll(), badCertID, "there is no such request")
}

// TestPollContent: the content of a poll must parse, and is not believed.
func TestPollContent(t *testing.T) {
	k := manual(t)
	c := k.newClient(1)
	k.waits("sent", c.enroll(with(k.secret())))
	k.waits("another subject", c.ask(certPoll, k.about("device-2")))
	for name, content := range map[string][]byte{"nothing": {}, "garbage": []byte("garbage"), "a CSR": c.csr(), "more behind": append(k.about("x"), 5, 0), "empty": {0x30, 0}} {
		k.refused(name, c.ask(certPoll, content), badMessageCheck, "cannot be used")
	}
	ec := k.clientWith(fixture.Key(t))
	k.refused("a key that does not encrypt", ec.poll(), badAlg, "cannot be encrypted")
}

// TestPendingRenewal: a renewal waits, too, and is polled for with the certificate
// that is renewed, or with the key of the request.
func TestPendingRenewal(t *testing.T) {
	k := manual(t)
	c := k.newClient(1)
	k.waits("sent", c.enroll(with(k.secret())))
	k.verdict(true)
	k.Settle()
	old := c.issued(c.poll())
	holder := *c
	holder.certificate = old.Raw
	for _, kind := range []messageType{renewalReq, pkcsReq} {
		holder.transaction = ca.RandomID(12)
		request := holder.csr(func(r *csr) { r.key = rsaKey(t, 2) })
		k.waits("renewal", holder.ask(kind, request))
		k.waits("polled", holder.poll())
		k.verdict(true)
		k.Settle()
		next := holder.issued(holder.poll())
		if next.Equal(old) {
			t.Error("nothing was renewed")
		}
		if again := holder.issued(holder.ask(kind, request)); !again.Equal(next) {
			t.Error("another certificate for the request that was sent again")
		}
		k.Revoke(next.SerialNumber.Bytes(), ca.Superseded)
	}
}

// TestPollAfterBoth: a renewal that a certificate and a secret have let in is
// polled for with the certificate alone, and a first enrollment that was signed by
// a certificate of ours is polled for with it.
func TestPollAfterBoth(t *testing.T) {
	for name, policy := range map[string][]caller.Method{"both": {caller.Certificate, caller.SCEPSecret}, "secret alone": bySecret} {
		k := newKit(t, func(k *kit) { k.change = func(w *profile.Written) { w.Approval = "manual" } }, endpointOf("one", "issuing", dual, bySecret, policy))
		c := k.newClient(1)
		k.waits("sent", c.enroll(with(k.secret())))
		k.verdict(true)
		k.Settle()
		holder := *c
		holder.certificate, holder.transaction = c.issued(c.poll()).Raw, "next"
		k.waits("sent", holder.ask(pkcsReq, holder.csr(with(k.secret()), func(r *csr) {
			if name == "both" {
				r.key = rsaKey(t, 2)
			}
		})))
		k.waits(name, holder.poll())
		other := *k.newClient(2)
		other.transaction = holder.transaction
		k.refused("the new key, which has signed nothing", other.poll(), badCertID, "no such request")
		k.verdict(true)
		k.Settle()
		holder.issued(holder.poll())
	}
}
