package conformance

import (
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

var crlCases = []Case{
	{"CRLReadBack", crlReadBack},
	{"CRLNumbersRise", crlNumbersRise},
	{"CRLLatePublisher", crlLatePublisher},
	{"CRLRace", crlRace},
	{"CRLLease", crlLease},
	{"CRLDelta", crlDelta},
	{"CRLBytes", crlBytes},
	{"CRLBytesStay", crlBytesStay},
	{"CRLContradiction", crlContradiction},
}

// list makes a list of a scope; every one has other bytes.
func list(tenant, scope string, number, base, position int64) *ca.CRL {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(number) * time.Second)
	c := &ca.CRL{Tenant: tenant, CA: caID, Scope: scope, Number: number, Base: base, Position: position, ThisUpdate: at,
		NextUpdate: at.Add(7 * 24 * time.Hour), Entries: 3, DER: randomBytes(300)}
	c.SHA256, c.Size = sha256.Sum256(c.DER), len(c.DER)
	return c
}

func crlAudit(c *ca.CRL) ca.Audit {
	return ca.Audit{Tenant: c.Tenant, Event: "crl.published", Actor: "service:crl", Trace: ca.NewTrace(), Detail: []byte("{}")}
}

func (k *kit) publish(c *ca.CRL) {
	k.Helper()
	if err := k.Store.PublishCRL(k.Context(), nil, c, crlAudit(c)); err != nil {
		k.Fatalf("publish %s number %d: %v", c.Scope, c.Number, err)
	}
}

// refuses fails unless the list is refused and leaves nothing.
func (k *kit) refuses(what string, l *ca.Lease, c *ca.CRL, want ca.Kind) {
	k.Helper()
	a := crlAudit(c)
	before := k.heads()
	err := k.Store.PublishCRL(k.Context(), l, c, a)
	k.kind(what, err, want)
	if diff := cmp.Diff(before, k.heads()); diff != "" || k.audited(a.Trace) != 0 {
		k.Errorf("%s: %d audit rows, heads:\n%s", what, k.audited(a.Trace), diff)
	}
}

func (k *kit) heads() []ca.CRLHead {
	k.Helper()
	heads, err := k.Store.CRLHeads(k.Context())
	if err != nil {
		k.Fatalf("CRL heads: %v", err)
	}
	return heads
}

func (k *kit) reads(want *ca.CRL) {
	k.Helper()
	got, err := k.Store.CRL(k.Context(), want.Tenant, want.CA, want.Scope, want.Number)
	if err != nil {
		k.Errorf("CRL %s number %d: %v", want.Scope, want.Number, err)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		k.Errorf("CRL %s number %d:\n%s", want.Scope, want.Number, diff)
	}
}

func crlReadBack(t T, open func() *Driver) {
	k := start(t, open)
	if heads := k.heads(); len(heads) != 0 {
		t.Errorf("heads of an empty store: %v", heads)
	}
	a, b := list(Tenant, "g1", 1792000000, 0, 12), list(Tenant, "g1-s3", 7, 0, 12)
	b.URLs = []string{"http://pki.example/crl/default/issuing/g1-s3.crl", "http://old.example/crl/default/issuing/g1-s3.crl"}
	k.publish(a)
	audit := crlAudit(b)
	if err := k.Store.PublishCRL(t.Context(), nil, b, audit); err != nil {
		t.Fatalf("publish: %v", err)
	}
	if n := k.audited(audit.Trace); n != 1 {
		t.Errorf("%d audit rows of a publication", n)
	}
	k.reads(a)
	k.reads(b)
	want := []ca.CRLHead{{Tenant: Tenant, CA: caID, Scope: "g1", Number: 1792000000, Position: 12, Complete: 1792000000},
		{Tenant: Tenant, CA: caID, Scope: "g1-s3", Number: 7, Position: 12, Complete: 7}}
	if diff := cmp.Diff(want, k.heads()); diff != "" {
		t.Errorf("heads:\n%s", diff)
	}
	_, err := k.Store.CRL(t.Context(), Tenant, caID, "g1", 8)
	k.kind("a number that was never published", err, ca.NotFound)
	_, err = k.Store.CRL(t.Context(), Tenant, caID, "g2", 7)
	k.kind("a scope that was never published", err, ca.NotFound)
}

func crlNumbersRise(t T, open func() *Driver) {
	k := start(t, open)
	k.publish(list(Tenant, "g1", 10, 0, 5))
	k.refuses("the same number", nil, list(Tenant, "g1", 10, 0, 6), ca.Conflict)
	k.refuses("a lower number", nil, list(Tenant, "g1", 9, 0, 6), ca.Conflict)
	k.publish(list(Tenant, "g1", 11, 0, 5)) // nothing was revoked in between
	k.publish(list(Tenant, "g2", 1, 0, 0))  // another scope counts for itself
}

// crlLatePublisher: who was paused between reading the feed and publishing has
// an old position, whatever number it takes.
func crlLatePublisher(t T, open func() *Driver) {
	k := start(t, open)
	paused := list(Tenant, "g1", 30, 0, 5)
	k.publish(list(Tenant, "g1", 20, 0, 9))
	k.refuses("an older position", nil, paused, ca.Conflict)
	k.publish(list(Tenant, "g1", 31, 0, 9))
}

// crlRace: of several publishers that took the same number one wins.
func crlRace(t T, open func() *Driver) {
	k := start(t, open)
	var won atomic.Int64
	k.gathered(8, func(int) {
		c := list(Tenant, "g1", 10, 0, 5)
		err := k.Store.PublishCRL(t.Context(), nil, c, crlAudit(c))
		if err == nil {
			won.Add(1)
		} else {
			k.kind("a racing publisher", err, ca.Conflict)
		}
	})
	if heads := k.heads(); won.Load() != 1 || len(heads) != 1 || heads[0].Number != 10 {
		t.Errorf("%d of 8 publishers of one number won; heads %v", won.Load(), heads)
	}
}

func crlLease(t T, open func() *Driver) {
	k := start(t, open)
	first := k.acquire("crl", "one")
	c := list(Tenant, "g1", 10, 0, 5)
	if err := k.Store.PublishCRL(t.Context(), first, c, crlAudit(c)); err != nil {
		t.Fatalf("with a lease: %v", err)
	}
	k.Advance(2 * time.Minute)
	k.refuses("a lease that ran out", first, list(Tenant, "g1", 11, 0, 5), ca.Conflict)
	second := k.acquire("crl", "two")
	k.refuses("somebody else's lease", first, list(Tenant, "g1", 11, 0, 5), ca.Conflict)
	c = list(Tenant, "g1", 11, 0, 5)
	if err := k.Store.PublishCRL(t.Context(), second, c, crlAudit(c)); err != nil {
		t.Errorf("with the next lease: %v", err)
	}
}

// crlDelta: complete and delta lists share their numbers (RFC 5280 section 5.2.3).
func crlDelta(t T, open func() *Driver) {
	k := start(t, open)
	k.refuses("a delta without base", nil, list(Tenant, "g1", 10, 9, 5), ca.Conflict)
	base := list(Tenant, "g1", 10, 0, 5)
	k.publish(base)
	k.refuses("a delta of a list that is to come", nil, list(Tenant, "g1", 12, 11, 5), ca.Conflict)
	delta := list(Tenant, "g1", 11, 10, 6)
	k.publish(delta)
	k.refuses("a complete list with a delta's number", nil, list(Tenant, "g1", 11, 0, 6), ca.Conflict)
	k.reads(base)
	k.reads(delta)
	want := []ca.CRLHead{{Tenant: Tenant, CA: caID, Scope: "g1", Number: 11, Position: 6, Complete: 10, Delta: 11}}
	if diff := cmp.Diff(want, k.heads()); diff != "" {
		t.Errorf("heads:\n%s", diff)
	}
}

// crlBytes: a list longer than a part is whole.
func crlBytes(t T, open func() *Driver) {
	k := start(t, open)
	c := list(Tenant, "g1", 10, 0, 5)
	c.DER = append(randomBytes(2*ca.CRLPart), 1, 2, 3)
	c.SHA256, c.Size = sha256.Sum256(c.DER), len(c.DER)
	k.publish(c)
	k.reads(c)
}

// crlBytesStay: the newest list of each kind is always there, and the one
// before it, which a replica may be reading.
func crlBytesStay(t T, open func() *Driver) {
	k := start(t, open)
	var complete, deltas []*ca.CRL
	for n := int64(10); n < 20; n++ {
		if n%5 == 0 {
			complete = append(complete, list(Tenant, "g1", n, 0, n))
			k.publish(complete[len(complete)-1])
		} else {
			deltas = append(deltas, list(Tenant, "g1", n, n/5*5, n))
			k.publish(deltas[len(deltas)-1])
		}
	}
	if k.TryDelete != nil {
		for _, table := range []string{"crls", "crl_heads", "crl_parts"} {
			if err := k.TryDelete(table); err == nil {
				t.Errorf("table %s: rows were deleted", table)
			}
		}
	}
	for _, all := range [][]*ca.CRL{complete, deltas} {
		for _, c := range all[len(all)-2:] {
			k.reads(c)
		}
	}
}

func crlContradiction(t T, open func() *Driver) {
	k := start(t, open)
	for what, spoil := range map[string]func(*ca.CRL){
		"other bytes":             func(c *ca.CRL) { c.DER[7] ^= 1 },
		"another size":            func(c *ca.CRL) { c.Size++ },
		"no bytes":                func(c *ca.CRL) { c.DER = nil },
		"no scope":                func(c *ca.CRL) { c.Scope = "" },
		"a delta of itself":       func(c *ca.CRL) { c.Base = c.Number },
		"a number below 1":        func(c *ca.CRL) { c.Number = 0 },
		"a position that is none": func(c *ca.CRL) { c.Position = -1 },
	} {
		c := list(Tenant, "g1", 10, 0, 5)
		spoil(c)
		k.refuses(what, nil, c, ca.Internal)
	}
}

func swapCRL(k *kit, _ *ca.Entry) {
	c := list(Tenant, "g1", 10, 0, 5)
	k.publish(c)
	_, err := k.Store.CRL(k.Context(), OtherTenant, caID, "g1", 10)
	k.kind("another tenant's CRL", err, ca.NotFound)
	k.reads(c)
}

func swapPublishCRL(k *kit, _ *ca.Entry) {
	ours, theirs := list(Tenant, "g1", 10, 0, 5), list(OtherTenant, "g1", 10, 0, 3)
	k.publish(ours)
	if err := k.Store.PublishCRL(k.Context(), nil, theirs, crlAudit(theirs)); err != nil {
		k.Errorf("the same scope and number in another tenant: %v", err)
	}
	k.reads(ours)
	k.reads(theirs)
}
