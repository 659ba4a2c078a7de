package scep

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// only serves one endpoint with a policy and what it has of its own.
func only(t *testing.T, own Own, policies ...[]caller.Method) *kit {
	return newKit(t, func(k *kit) { k.adapt = func(o *Options) { o.Own["one-issuing-"+dual] = own } }, endpointOf("one", "issuing", dual, policies...))
}

var elsewhere = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}

// pretences are headers in which proxies say whom they speak for. The door
// believes none: the listener does, where it was told which proxies to trust.
var pretences = []string{"X-Forwarded-For", "10.1.1.1", "Forwarded", "for=10.1.1.1", "X-Real-IP", "10.1.1.1", "True-Client-IP", "10.1.1.1"}

// TestStaticSecret: the one secret of an endpoint, and the addresses that it is
// taken from.
func TestStaticSecret(t *testing.T) {
	k := only(t, Own{StaticSecret: []byte(staticSecret)}, byStatic)
	for what, sent := range map[string]string{"wrong": "the secret of every Device", "shorter": staticSecret[:5], "longer": staticSecret + " ", "registry's": k.secret()} {
		k.refused(what, k.newClient(1).enroll(with(sent)), badMessageCheck, "the challengePassword is wrong")
	}
	k.refused("none", k.newClient(1).enroll(), badMessageCheck, "wants a challengePassword")
	for i := range 2 { // as often as it likes
		c := k.newClient(1 + i)
		c.issued(c.enroll(with(staticSecret)))
	}
	if k.reached.secrets.Load() != 0 {
		t.Error("the registry was asked")
	}
}

func TestStaticSecretByAddress(t *testing.T) {
	here := only(t, Own{StaticSecret: []byte(staticSecret), Addresses: loopback}, byStatic)
	c := here.newClient(1)
	c.issued(c.enroll(with(staticSecret)))
	there := only(t, Own{StaticSecret: []byte(staticSecret), Addresses: elsewhere}, byStatic)
	c = there.newClient(1)
	there.refused("from elsewhere", c.enroll(with(staticSecret)), badMessageCheck, "not taken from this address")
	a := there.do("POST", at+"?operation=PKIOperation", c.message(pkcsReq, c.envelope(c.csr(with(staticSecret)))), pretences...)
	there.refused("from elsewhere, says who asks", c.read(a), badMessageCheck, "not taken from this address")
}

// TestStaticAndRegistry: an endpoint can take both, each by itself.
func TestStaticAndRegistry(t *testing.T) {
	k := only(t, Own{StaticSecret: []byte(staticSecret)}, byStatic, bySecret)
	for _, secret := range []string{staticSecret, k.secret()} {
		c := k.newClient(1)
		c.issued(c.enroll(with(secret)))
	}
	k.refused("wrong", k.newClient(1).enroll(with("wrong")), badMessageCheck, "wrong, or for another endpoint")
}

// TestUnauthenticated: an address list lets in, and a secret is not needed.
func TestUnauthenticated(t *testing.T) {
	here := only(t, Own{Addresses: loopback}, byAddress)
	for _, secret := range []string{"", "whatever the device has"} {
		c := here.newClient(1)
		c.issued(c.enroll(with(secret)))
	}
	there := only(t, Own{Addresses: elsewhere}, byAddress)
	c := there.newClient(1)
	there.refused("from elsewhere", c.enroll(), badMessageCheck, "from certain addresses")
	a := there.do("POST", at+"?operation=PKIOperation", c.message(pkcsReq, c.envelope(c.csr())), pretences...)
	there.refused("from elsewhere, says who asks", c.read(a), badMessageCheck, "from certain addresses")
	if there.events()["certificate.issued"] != 0 {
		t.Error("a certificate was issued")
	}
}

// TestAddressOrSecret: a wrong secret is not made good by the address.
func TestAddressOrSecret(t *testing.T) {
	k := only(t, Own{Addresses: loopback}, byAddress, bySecret)
	for _, secret := range []string{"", k.secret()} {
		c := k.newClient(1)
		c.issued(c.enroll(with(secret)))
	}
	k.refused("wrong", k.newClient(1).enroll(with("wrong")), badMessageCheck, "wrong, or for another endpoint")
}

// TestCertificateAndSecret: a renewal that wants both gets neither by one of them.
func TestCertificateAndSecret(t *testing.T) {
	both := []caller.Method{caller.Certificate, caller.SCEPSecret}
	k := only(t, Own{}, bySecret, both)
	c, first := k.newClient(1), k.secret()
	old := c.issued(c.enroll(with(first)))
	holder := *c
	holder.certificate = old.Raw
	for i, kind := range []messageType{renewalReq, pkcsReq} {
		holder.transaction = string(rune('a' + i))
		k.refused("certificate alone", holder.ask(kind, holder.csr()), badMessageCheck, "wants a challengePassword")
		k.refused("wrong secret", holder.ask(kind, holder.csr(with("wrong"))), badMessageCheck, "wrong, or for another endpoint")
		k.refused("spent secret", holder.ask(kind, holder.csr(with(first))), badMessageCheck, "used already")
		burnt := k.burnt("one")
		if next := holder.issued(holder.ask(kind, holder.csr(with(k.secret())))); next.Equal(old) {
			t.Error("nothing was renewed")
		}
		if k.burnt("one") != burnt+1 {
			t.Error("the secret was not used")
		}
	}
	k.refused("secret alone", c.ask(renewalReq, c.csr(with(k.secret()))), badMessageCheck, "not issued here")
	alone := only(t, Own{}, both)
	alone.refused("nothing to enroll by", alone.newClient(1).enroll(with(alone.secret())), badMessageCheck, "renews certificates and enrolls none")
}

// TestNoRenewals: where no policy names certificates, one that signs is nothing
// but a key.
func TestNoRenewals(t *testing.T) {
	k := only(t, Own{}, bySecret)
	c := k.newClient(1)
	old := c.issued(c.enroll(with(k.secret())))
	holder := *c
	holder.certificate, holder.transaction = old.Raw, "next"
	k.refused("RenewalReq", holder.ask(renewalReq, holder.csr()), badRequest, "do not renew themselves")
	k.refused("RenewalReq with a secret", holder.ask(renewalReq, holder.csr(with(k.secret()))), badRequest, "do not renew themselves")
	k.refused("PKCSReq", holder.ask(pkcsReq, holder.csr()), badMessageCheck, "wants a challengePassword")
	k.refused("another key", holder.ask(pkcsReq, holder.csr(with(k.secret()), func(r *csr) { r.key = rsaKey(t, 2) })), badMessageCheck, "cannot be used")
	if next := holder.issued(holder.ask(pkcsReq, holder.csr(with(k.secret()), named("device-2")))); next.Subject.CommonName != "device-2" {
		t.Error(next.Subject)
	}
}

// TestSecretKeptForGood: clients that send the secret of their first enrollment
// with every renewal are let in by their certificate (iLO), a long time after.
func TestSecretKeptForGood(t *testing.T) {
	k := newKit(t, nil)
	c, secret := k.newClient(1), k.secret()
	old := c.issued(c.enroll(with(secret)))
	holder := *c
	holder.certificate = old.Raw
	k.Late(60 * 24 * time.Hour)
	for _, kind := range []messageType{renewalReq, pkcsReq} {
		holder.transaction = ca.RandomID(12)
		holder.issued(holder.ask(kind, holder.csr(with(secret))))
	}
	if k.reached.secrets.Load() != 1 {
		t.Error("the secret was looked at")
	}
	for _, change := range []func(*csr){with(secret), named("device-2")} {
		k.refused("as a first enrollment", k.newClient(1).enroll(with(secret), change), badMessageCheck, "is expired")
	}
}

// TestNew: options that do not hold together do not start.
func TestNew(t *testing.T) {
	k := newKit(t, nil)
	good := func() Options {
		o := k.door.Options
		o.Endpoints, o.Own, o.NDES = []ca.Endpoint{endpointOf("one", "issuing", dual)}, map[string]Own{}, nil
		return o
	}
	own := func(own Own, policies ...[]caller.Method) func(*Options) {
		return func(o *Options) {
			o.Endpoints, o.Own = []ca.Endpoint{endpointOf("one", "issuing", dual, policies...)}, map[string]Own{"one-issuing-" + dual: own}
		}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	everywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}
	for _, c := range []struct {
		name   string
		change func(*Options)
		text   string
	}{
		{"no core", func(o *Options) { o.Core = nil }, "a part is missing"},
		{"no registry", func(o *Options) { o.Credentials = nil }, "a part is missing"},
		{"no clock", func(o *Options) { o.Now = nil }, "a part is missing"},
		{"no RA", func(o *Options) { o.RAs = func(string, string) RA { return nil } }, "no registration authority"},
		{"static without a secret", own(Own{}, byStatic), "by a static secret and has none"},
		{"a secret without static", own(Own{StaticSecret: []byte("x")}), "or has one for nothing"},
		{"unauthenticated without addresses", own(Own{}, byAddress), "needs the addresses"},
		{"unauthenticated for all", own(Own{Addresses: everywhere}, byAddress), "not every address"},
		{"unauthenticated for all, and more", own(Own{Addresses: append(everywhere, loopback...)}, byAddress), "not every address"},
		{"unauthenticated for all of IPv6", own(Own{Addresses: []netip.Prefix{netip.MustParsePrefix("::/0")}}, byAddress), "not every address"},
		{"unauthenticated for a zero prefix", own(Own{Addresses: []netip.Prefix{{}}}, byAddress), "not every address"},
		{"unknown quirk set", own(Own{Quirks: "acme"}), `no quirk set "acme"`},
		{"unknown bundle", own(Own{Certificates: "all"}), "is not what GetCACert can give"},
		{"unknown algorithm", own(Own{Legacy: []string{"rc4"}}), "no old algorithm"},
		{"another door", func(o *Options) { o.Endpoints[0].Door = caller.EST }, "is of door"},
		{"one path twice", func(o *Options) {
			second := o.Endpoints[0]
			second.ID = "second"
			o.Endpoints, o.Core = append(o.Endpoints, second), offering{o.Core}
		}, "share the path"},
		{"an endpoint that the core does not have", func(o *Options) { o.Endpoints[0].ID = "second" }, "no such endpoint"},
		{"NDES elsewhere", func(o *Options) { o.NDES = &NDES{Endpoint: "x", Lifetime: time.Hour} }, "shape of NDES"},
		{"NDES for no time", func(o *Options) { o.NDES = &NDES{Endpoint: "one-issuing-" + dual} }, "shape of NDES"},
		{"NDES without secrets", func(o *Options) {
			own(Own{StaticSecret: []byte("x")}, byStatic)(o)
			o.NDES = &NDES{Endpoint: "one-issuing-" + dual, Lifetime: time.Hour}
		}, "takes no secrets"},
	} {
		o := good()
		c.change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// offering has every endpoint.
type offering struct{ Core }

func (offering) Offer(string) (ca.Offer, error) { return ca.Offer{}, nil }
