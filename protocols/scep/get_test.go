package scep

import (
	"bytes"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestGetCert: a certificate is given to who holds its key, and to holders of
// certificates of the CA that are in force.
func TestGetCert(t *testing.T) {
	k := newKit(t, nil)
	owner, holder := k.newClient(1), k.newClient(2)
	cert := owner.issued(owner.enroll(with(k.secret())))
	second := holder.issued(holder.enroll(with(k.secret()), named("device-2")))
	holder.certificate = second.Raw
	find := func(c *client, der []byte) *received { return c.ask(getCert, number(t, der)) }
	if found := owner.issued(find(owner, cert.Raw)); !found.Equal(cert) {
		t.Error("another certificate for its owner")
	}
	if found := holder.issued(find(holder, cert.Raw)); !found.Equal(cert) {
		t.Error("another certificate for a holder")
	}
	stranger := k.newClient(3)
	k.refused("a stranger", find(stranger, cert.Raw), badCertID, "no such certificate")
	unknown := bytes.Clone(number(t, cert.Raw))
	unknown[len(unknown)-1] ^= 1
	k.refused("another serial number", holder.ask(getCert, unknown), badCertID, "no such certificate")
	k.refused("a short serial number", find(holder, certificateLike(t, rsaKey(t, 1), withSerial(cert, 1))), badCertID, "no such certificate")
	spare := k.newClient(1)
	spare.path = atAddress
	k.refused("of another CA", find(holder, spare.issued(spare.enroll(with(k.secret()))).Raw), badCertID, "no such certificate")
	k.refused("garbage", holder.ask(getCert, []byte("garbage")), badMessageCheck, "cannot be used")
	tenant := *holder
	tenant.path = atTwo
	k.refused("at another tenant", find(&tenant, cert.Raw), badCertID, "no such certificate")
	k.Late(time.Until(second.NotAfter) + time.Hour)
	k.refused("a holder whose certificate has ended", find(holder, cert.Raw), badCertID, "no such certificate")
	k.Late(0)
	k.Revoke(second.SerialNumber.Bytes(), ca.KeyCompromise)
	k.refused("a holder whose certificate is revoked", find(holder, cert.Raw), badCertID, "no such certificate")
	if found := holder.issued(find(holder, second.Raw)); !found.Equal(second) {
		t.Error("its own, though revoked, is given to who holds the key")
	}
}

// TestGetCRL: the list goes to holders of certificates in force; all others get it
// where certificates say.
func TestGetCRL(t *testing.T) {
	k := newKit(t, func(k *kit) { k.adapt = func(o *Options) { o.Own["one-spare-"+dual] = Own{Addresses: loopback} } },
		endpointOf("one", "issuing", dual), endpointOf("one", "spare", dual, byAddress))
	holder := k.newClient(1)
	cert := holder.issued(holder.enroll(with(k.secret())))
	list := func(c *client, der []byte) *received { return c.ask(getCRL, number(t, der)) }
	k.refused("with its key alone", list(holder, cert.Raw), badMessageCheck, "holders of a certificate")
	holder.certificate = cert.Raw
	k.refused("none yet", list(holder, cert.Raw), badCertID, "no list")
	k.lists["issuing"] = append([]byte{0x30, 3}, 2, 1, 7)
	k.lists["spare"] = append([]byte{0x30, 3}, 2, 1, 8)
	for name, of := range map[string][]byte{"its own": cert.Raw, "an unknown one": certificateLike(t, rsaKey(t, 1), withSerial(cert, 1))} {
		if certificates, lists := holder.open(list(holder, of), ""); len(certificates) != 0 || len(lists) != 1 || !bytes.Equal(lists[0], k.lists["issuing"]) {
			t.Errorf("%s: %d certificates, lists %x", name, len(certificates), lists)
		}
	}
	stranger := k.newClient(2)
	k.refused("a stranger", list(stranger, cert.Raw), badMessageCheck, "holders of a certificate")
	spare := k.newClient(2)
	spare.path = atAddress
	foreign := spare.issued(spare.enroll())
	k.refused("of another CA", list(holder, foreign.Raw), badCertID, "not one of this CA")
	spare.certificate, spare.path = foreign.Raw, at
	k.refused("a holder of another CA", list(spare, cert.Raw), badMessageCheck, "holders of a certificate")
	k.refused("garbage", holder.ask(getCRL, []byte("garbage")), badMessageCheck, "cannot be used")
	k.lists["issuing"] = make([]byte, maxList+1)
	k.refused("a long one", list(holder, cert.Raw), badRequest, "fetch it where certificates say")
	k.lists["issuing"] = []byte{0x30, 0}
	k.Late(time.Until(cert.NotAfter) + time.Hour)
	k.refused("ended", list(holder, cert.Raw), badMessageCheck, "holders of a certificate")
	k.Late(0)
	k.Revoke(cert.SerialNumber.Bytes(), ca.CertificateHold)
	k.refused("on hold", list(holder, cert.Raw), badMessageCheck, "holders of a certificate")
}

// TestGetByKeysThatDoNotEncrypt: there is no secret here to encrypt the reply with.
func TestGetByKeysThatDoNotEncrypt(t *testing.T) {
	k := newKit(t, func(k *kit) { k.adapt = func(o *Options) { o.Own["one-issuing-"+dual] = Own{Addresses: loopback} } },
		endpointOf("one", "issuing", dual, byAddress, []caller.Method{caller.SCEPSecret}))
	c, secret := k.clientWith(fixture.Key(t)), k.secret()
	cert := c.issuedWith(c.enroll(with(secret)), secret)
	for _, kind := range []messageType{getCert, getCRL} {
		k.refused(messages[kind].name, c.ask(kind, number(t, cert.Raw)), badAlg, "cannot be encrypted")
	}
	issued := k.events()["certificate.issued"]
	k.refused("without a secret", k.clientWith(fixture.Key(t)).enroll(), badAlg, "cannot be encrypted")
	if k.events()["certificate.issued"] != issued {
		t.Error("what could not be delivered was issued")
	}
}
