package scep

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/profile"
)

// TestOneTimeSecret: what a secret of the registry is bound to holds, and one
// that was refused was not used.
func TestOneTimeSecret(t *testing.T) {
	k := newKit(t, nil)
	holder := k.newClient(1)
	key, stranger := holder.certificate, k.newClient(2).certificate
	hash := func(der []byte) []byte {
		sum := k.message(holder.message(pkcsReq, nil)).certificate.Key.Hash()
		if bytes.Equal(der, stranger) {
			sum[0] ^= 1
		}
		return sum[:]
	}
	const wrong = "wrong, or for another endpoint"
	for _, c := range []struct {
		name   string
		change func(*credential.Credential)
		cn     string
		dns    []string
		fail   failInfo
		text   string // "": issued
	}{
		{name: "bound to nothing"},
		{name: "name below", change: bound(func(b *caller.Binding) { b.Names = []string{"*.example"} }), cn: "a.example", dns: []string{"a.example"}},
		{name: "name beside", change: bound(func(b *caller.Binding) { b.Names = []string{"*.example"} }), cn: "a.example", dns: []string{"a.other"}, fail: badRequest, text: "does not allow the name"},
		{name: "CN alone, beside", change: bound(func(b *caller.Binding) { b.Names = []string{"*.example"} }), cn: "a.other", fail: badRequest, text: "does not allow the CN"},
		{name: "CN", change: bound(func(b *caller.Binding) { b.CommonName = "device-1" })},
		{name: "another CN", change: bound(func(b *caller.Binding) { b.CommonName = "device-2" }), fail: badRequest, text: "another CN"},
		{name: "key", change: bound(func(b *caller.Binding) { b.KeyHash = hash(key) })},
		{name: "another key", change: bound(func(b *caller.Binding) { b.KeyHash = hash(stranger) }), fail: badRequest, text: "another key"},
		{name: "profile", change: bound(func(b *caller.Binding) { b.Profile = dual })},
		{name: "another profile", change: bound(func(b *caller.Binding) { b.Profile = other }), fail: badMessageCheck, text: wrong},
		{name: "endpoint", change: func(c *credential.Credential) { c.Endpoints = []string{"one-issuing-" + dual} }},
		{name: "another endpoint", change: func(c *credential.Credential) { c.Endpoints = []string{"one-issuing-" + other} }, fail: badMessageCheck, text: wrong},
		{name: "another tenant", change: ofTwo, fail: badMessageCheck, text: wrong},
		{name: "another door", change: func(c *credential.Credential) { c.Door = caller.EST }, fail: badMessageCheck, text: wrong},
		{name: "password of an administrator", change: func(c *credential.Credential) { c.Kind = credential.Password }, fail: badMessageCheck, text: wrong},
		{name: "enrollment code", change: func(c *credential.Credential) { c.Kind = credential.Code }, fail: badMessageCheck, text: wrong},
		{name: "expired", change: func(c *credential.Credential) { c.Expires = k.Now().Add(-time.Minute) }, fail: badMessageCheck, text: "is expired"},
		{name: "several uses", change: func(c *credential.Credential) { c.Granted, c.Left = 3, 3 }},
		{name: "uses without end", change: func(c *credential.Credential) { c.Granted, c.Left = credential.Unlimited, credential.Unlimited }},
	} {
		var changes []func(*credential.Credential)
		if c.change != nil {
			changes = append(changes, c.change)
		}
		secret, device := k.secret(changes...), *holder
		device.transaction = ca.RandomID(12)
		if c.cn == "" {
			c.cn = "device-1"
		}
		burnt := k.burnt("one") + k.burnt("two")
		r := device.enroll(with(secret), named(c.cn, c.dns...))
		if c.text == "" {
			device.issued(r)
			continue
		}
		k.refused(c.name, r, c.fail, c.text)
		if k.burnt("one")+k.burnt("two") != burnt {
			t.Errorf("%s: the secret was used", c.name)
		}
	}
}

// bound changes the binding of a credential.
func bound(change func(*caller.Binding)) func(*credential.Credential) {
	return func(c *credential.Credential) { change(&c.Binding) }
}

// TestDevice: the device and the owner that a secret was given for are what a
// profile may name, and nothing that a request says.
func TestDevice(t *testing.T) {
	k := newKit(t, func(k *kit) {
		k.change = func(w *profile.Written) {
			w.Subject = profile.WrittenSubject{Template: []map[string]string{{"SERIALNUMBER": "<serial>"}, {"CN": "<principal>"}}}
		}
	})
	c := k.newClient(1)
	cert := c.issued(c.enroll(with(k.secret(bound(func(b *caller.Binding) { b.Device, b.Subject = "asset-4711", "warehouse" })))))
	if cert.Subject.String() != "CN=warehouse,SERIALNUMBER=asset-4711" && cert.Subject.String() != "SERIALNUMBER=asset-4711,CN=warehouse" {
		t.Error(cert.Subject)
	}
	k.refused("a secret for no device", k.newClient(1).enroll(with(k.secret())), badRequest, "<serial>")
}

// TestUses: a secret gets as many certificates as it has uses; one that was
// revoked or ran out meanwhile gets not even an answer again.
func TestUses(t *testing.T) {
	k := newKit(t, nil)
	const id = "twice"
	secret := k.secret(func(c *credential.Credential) { c.ID, c.Granted, c.Left = id, 2, 2 })
	var c *client
	for range 2 {
		c = k.newClient(1)
		c.issued(c.enroll(with(secret)))
	}
	k.refused("a third", k.newClient(2).enroll(with(secret)), badMessageCheck, "used already")
	c.issued(c.enroll(with(secret))) // again
	if err := k.Registry.RevokeCredential(t.Context(), "one", id, ca.Audit{Tenant: "one", Event: "credential.revoked", Actor: "operator:x", Detail: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	k.refused("revoked", c.enroll(with(secret)), badMessageCheck, "is revoked")
	late := k.secret()
	c = k.newClient(1)
	c.issued(c.enroll(with(late)))
	k.Late(retryWindow + time.Minute)
	k.refused("after the window of the retry", c.enroll(with(late)), badMessageCheck, "used already")
	k.Late(2 * time.Hour)
	k.refused("expired", c.enroll(with(late)), badMessageCheck, "is expired")
}

// TestStringsOfTheChallenge: clients send the challengePassword in many types.
func TestStringsOfTheChallenge(t *testing.T) {
	k := newKit(t, nil)
	for name, c := range map[string]struct {
		tag  casn1.Tag
		wide bool
		text string // "": issued
	}{
		"PrintableString": {tag: casn1.PrintableString}, "UTF8String": {tag: casn1.UTF8String}, "IA5String": {tag: casn1.IA5String}, "T61String": {tag: casn1.T61String},
		"BMPString": {tag: casn1.Tag(30), wide: true}, "OCTET STRING": {tag: casn1.OCTET_STRING, text: "not one text"}, "INTEGER": {tag: casn1.INTEGER, text: "not one text"},
	} {
		device, secret := k.newClient(1), k.secret()
		r := device.enroll(func(r *csr) {
			if r.challenge, r.tag = secret, c.tag; c.wide {
				r.challenge = ""
				for _, one := range []byte(secret) {
					r.challenge += string([]byte{0, one})
				}
			}
		})
		if c.text == "" {
			device.issued(r)
		} else {
			k.refused(name, r, badRequest, c.text)
		}
	}
	c := k.newClient(1)
	k.refused("two", c.enroll(with(k.secret()), func(r *csr) { r.twice = true }), badRequest, "not one text")
	k.refused("longer than any", c.enroll(with(strings.Repeat("a", credential.MaxSecret+1))), badMessageCheck, "wrong, or for another endpoint")
}

// TestOneSecretAtOnce: of many devices with one secret at the same time one gets
// a certificate, and the one that got it gets it again.
func TestOneSecretAtOnce(t *testing.T) {
	k := newKit(t, nil)
	secret := k.secret()
	messages, clients := make([][]byte, 6), make([]*client, 6)
	for i := range clients {
		clients[i] = k.newClient(1 + i%3)
		messages[i] = clients[i].message(pkcsReq, clients[i].envelope(clients[i].csr(with(secret))))
	}
	answers := make([]answer, len(clients))
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() { answers[i] = k.post(at, messages[i]) })
	}
	all.Wait()
	won := 0
	for i, c := range clients {
		if r := c.read(answers[i]); r.status == success {
			won++
			if again := c.issued(c.read(k.post(at, messages[i]))); !again.Equal(c.issued(r)) {
				t.Error("the retry got another certificate")
			}
		} else {
			k.refused("who came late", r, badMessageCheck, "used already")
		}
	}
	if won != 1 || k.events()["certificate.issued"] != 1 || k.burnt("one") != 1 {
		t.Errorf("%d of them got one, %d were issued", won, k.events()["certificate.issued"])
	}
}
