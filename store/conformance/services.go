package conformance

import (
	"sync/atomic"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

var serviceCases = []Case{
	{"ServiceReadBack", serviceReadBack},
	{"ServiceNumbersRise", serviceNumbersRise},
	{"ServiceRace", serviceRace},
	{"ServiceFenced", serviceFenced},
	{"ServiceForget", serviceForget},
}

func serviceOf(tenant string, number int) *ca.ServiceCertificate {
	return &ca.ServiceCertificate{Tenant: tenant, CA: caID, Service: "ra", Number: number, Sealed: randomBytes(60)}
}

// keeps records a certificate as the service's and gives what the store should hold.
func (k *kit) keeps(c *ca.ServiceCertificate, first ...ca.Effect) ca.ServiceCertificate {
	k.Helper()
	e := k.entry(c.Tenant, append(first, k.Store.KeepServiceCertificate(c))...)
	k.record(e)
	kept := *c
	kept.DER, kept.NotAfter = e.Certificate.DER, e.Certificate.NotAfter
	return kept
}

func (k *kit) services(tenant, issuer, service string) []ca.ServiceCertificate {
	k.Helper()
	all, err := k.Store.ServiceCertificates(k.Context(), tenant, issuer, service)
	if err != nil {
		k.Fatalf("service certificates: %v", err)
	}
	return all
}

func (k *kit) holds(want ...ca.ServiceCertificate) {
	k.Helper()
	got := k.services(Tenant, caID, "ra")
	for i := range got {
		if got[i].CreatedAt.IsZero() {
			k.Errorf("a service certificate without its time")
		}
		if i < len(want) {
			got[i].CreatedAt = want[i].CreatedAt
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		k.Errorf("service certificates:\n%s", diff)
	}
}

// notKept fails unless the effect is lost and the certificate with it.
func (k *kit) notKept(what string, c *ca.ServiceCertificate, index int, first ...ca.Effect) {
	k.Helper()
	e := k.entry(c.Tenant, append(first, k.Store.KeepServiceCertificate(c))...)
	_, err := k.Store.Record(k.Context(), e)
	k.lost(err, 0, index)
	if k.stored(e) {
		k.Errorf("%s: the certificate was recorded", what)
	}
}

// serviceReadBack: key and certificate come with the record of the issuance.
func serviceReadBack(t T, open func() *Driver) {
	k := start(t, open)
	first := k.keeps(serviceOf(Tenant, 1))
	elsewhere := serviceOf(Tenant, 2)
	elsewhere.Sealed, elsewhere.KeyURI = nil, "pkcs11:token=keys;object=ra"
	second := k.keeps(elsewhere)
	for _, other := range []*ca.ServiceCertificate{{CA: "another", Service: "ra"}, {CA: caID, Service: "cmp"}} {
		other.Tenant, other.Number, other.Sealed = Tenant, 7, randomBytes(60)
		e := k.entry(Tenant, k.Store.KeepServiceCertificate(other))
		k.record(e)
		if got := k.services(Tenant, other.CA, other.Service); len(got) != 1 || string(got[0].Sealed) != string(other.Sealed) {
			t.Errorf("another CA's or service's: %+v", got)
		}
	}
	k.holds(first, second)
	r := revocation(k.keyedEntry(), ca.Superseded)
	r.Effects = []ca.Effect{k.Store.KeepServiceCertificate(serviceOf(Tenant, 9))}
	_, err := k.Store.Revoke(t.Context(), r)
	k.kind("a service certificate beside a revocation", err, ca.Internal)
}

func (k *kit) keyedEntry() *ca.Entry {
	e := k.entry(Tenant)
	k.record(e)
	return e
}

func serviceNumbersRise(t T, open func() *Driver) {
	k := start(t, open)
	kept := k.keeps(serviceOf(Tenant, 3))
	k.notKept("the same number", serviceOf(Tenant, 3), 0)
	k.notKept("a lower number", serviceOf(Tenant, 2), 0)
	k.holds(kept)
}

// serviceRace: of replicas that renew at once one wins, and the others issue nothing.
func serviceRace(t T, open func() *Driver) {
	k := start(t, open)
	var won, left atomic.Int64
	k.gathered(6, func(int) {
		e := k.entry(Tenant, k.Store.KeepServiceCertificate(serviceOf(Tenant, 1)))
		if _, err := k.Store.Record(t.Context(), e); err == nil {
			won.Add(1)
		} else if k.lost(err, 0, 0); k.stored(e) {
			left.Add(1)
		}
	})
	if n := len(k.services(Tenant, caID, "ra")); won.Load() != 1 || left.Load() != 0 || n != 1 {
		t.Errorf("%d won, %d certificates of losers, %d kept", won.Load(), left.Load(), n)
	}
}

// serviceFenced: who lost the lease keeps and forgets nothing.
func serviceFenced(t T, open func() *Driver) {
	k := start(t, open)
	lost := k.acquire("ra", "one")
	if err := k.Store.Release(t.Context(), lost); err != nil {
		t.Fatalf("release: %v", err)
	}
	held := k.acquire("ra", "two")
	first := k.keeps(serviceOf(Tenant, 1), k.Store.Held(held))
	k.notKept("a lease that is lost", serviceOf(Tenant, 2), 0, k.Store.Held(lost))
	second := k.keeps(serviceOf(Tenant, 2), k.Store.Held(held))
	a := crlAudit(list(Tenant, "g1", 1, 0, 0))
	k.kind("to forget without the lease", k.Store.ForgetServiceCertificate(t.Context(), lost, &first, a), ca.Conflict)
	k.holds(first, second)
}

func serviceForget(t T, open func() *Driver) {
	k := start(t, open)
	first, second := k.keeps(serviceOf(Tenant, 1)), k.keeps(serviceOf(Tenant, 2))
	a := crlAudit(list(Tenant, "g1", 1, 0, 0))
	k.kind("the one in use", k.Store.ForgetServiceCertificate(t.Context(), nil, &second, a), ca.Conflict)
	k.kind("one that there is not", k.Store.ForgetServiceCertificate(t.Context(), nil, serviceOf(Tenant, 9), a), ca.Conflict)
	k.holds(first, second)
	if k.audited(a.Trace) != 0 {
		t.Errorf("what was refused is audited")
	}
	if k.TryDelete != nil {
		if err := k.TryDelete("service_certificates"); err == nil {
			t.Errorf("the newest service certificate was deleted")
		}
	}
	if err := k.Store.ForgetServiceCertificate(t.Context(), nil, &first, a); err != nil {
		t.Errorf("forget: %v", err)
	}
	if n := k.audited(a.Trace); n != 1 {
		t.Errorf("%d audit rows", n)
	}
	k.holds(second)
	k.kind("one that is gone", k.Store.ForgetServiceCertificate(t.Context(), nil, &first, a), ca.Conflict)
	k.notKept("a number that was forgotten", serviceOf(Tenant, 1), 0)
}

// swapServices: the same number in another tenant is another one, and neither
// tenant finds or forgets the other's.
func swapServices(k *kit, _ *ca.Entry) {
	first, second := k.keeps(serviceOf(Tenant, 1)), k.keeps(serviceOf(Tenant, 2))
	a := crlAudit(list(OtherTenant, "g1", 1, 0, 0))
	if got := k.services(OtherTenant, caID, "ra"); len(got) != 0 {
		k.Errorf("another tenant's service certificates: %+v", got)
	}
	theirs := first
	theirs.Tenant = OtherTenant
	k.kind("another tenant's service certificate", k.Store.ForgetServiceCertificate(k.Context(), nil, &theirs, a), ca.Conflict)
	e := k.entry(OtherTenant, k.Store.KeepServiceCertificate(serviceOf(OtherTenant, 1)))
	if _, err := k.Store.Record(k.Context(), e); err != nil {
		k.Errorf("the same number in another tenant: %v", err)
	}
	_, err := k.Store.Record(k.Context(), k.entry(OtherTenant, k.Store.KeepServiceCertificate(serviceOf(Tenant, 3))))
	k.kind("a service certificate of another tenant", err, ca.Internal)
	k.holds(first, second)
}
