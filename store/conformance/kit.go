package conformance

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Tenants of the suite.
const (
	Tenant      = "default"
	OtherTenant = "other"
)

const caID = "issuing"

// kit is one empty store with a kept profile, and shorthands.
type kit struct {
	T
	*Driver
	profile [32]byte
}

var profileText = []byte("id: tls-server\n")

func start(t T, open func() *Driver) *kit {
	t.Helper()
	k := &kit{T: t, Driver: open(), profile: sha256.Sum256(profileText)}
	if err := k.Store.KeepProfile(t.Context(), k.profile, profileText); err != nil {
		t.Fatalf("keep the profile text: %v", err)
	}
	return k
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func random32() [32]byte { return [32]byte(randomBytes(32)) }

// entry makes an entry that differs from every other in serial, key and bytes.
func (k *kit) entry(tenant string, effects ...ca.Effect) *ca.Entry {
	return k.entryUntil(tenant, time.Now().AddDate(0, 3, 0), effects...)
}

func (k *kit) entryUntil(tenant string, notAfter time.Time, effects ...ca.Effect) *ca.Entry {
	notAfter = notAfter.UTC().Truncate(time.Second)
	id := ca.RandomID(8)
	return &ca.Entry{
		Certificate: ca.Certificate{Tenant: tenant, CA: caID, Serial: ca.NewSerial(notAfter), DER: randomBytes(700),
			NotBefore: time.Now().UTC().Truncate(time.Second), NotAfter: notAfter, Profile: "tls-server",
			Requester: "acme:account/" + id, Endpoint: "acme/" + tenant, Trace: ca.NewTrace()},
		Subject: "CN=" + id + ".example",
		AltNames: []pkix.GeneralName{pkix.DNS(id + ".example"), pkix.IP(netip.MustParseAddr("192.0.2.1")),
			{Kind: pkix.OtherName, Raw: []byte{0, 255, 0x27, '%'}}, pkix.DNS("*." + id + ".example")},
		KeyID: randomBytes(20), KeyHash: random32(), TBSHash: random32(), ProfileHash: k.profile,
		Decision: []byte(`[{"field":"san.dns","value":"` + id + `.example","source":"test"}]`),
		Audit: ca.Audit{Tenant: tenant, Event: "certificate.issued", Actor: "acme:account/" + id, Trace: ca.NewTrace(),
			Detail: []byte(`{"id":"` + id + `"}`)},
		Effects: effects,
	}
}

// record records entries that must pass.
func (k *kit) record(entries ...*ca.Entry) []ca.Recorded {
	k.Helper()
	got, err := k.Store.Record(k.Context(), entries...)
	if err != nil {
		k.Fatalf("record: %v", err)
	}
	if len(got) != len(entries) {
		k.Fatalf("record: %d answers to %d entries", len(got), len(entries))
	}
	return got
}

// stored tells whether the entry's certificate is in the ledger, with its very bytes.
func (k *kit) stored(e *ca.Entry) bool {
	k.Helper()
	c, err := k.Store.Certificate(k.Context(), e.Certificate.Tenant, e.Certificate.CA, e.Certificate.Serial)
	switch {
	case ca.IsKind(err, ca.NotFound):
		return false
	case err != nil:
		k.Fatalf("certificate: %v", err)
	}
	return string(c.DER) == string(e.Certificate.DER)
}

// absent fails where anything of an entry that was refused is found.
func (k *kit) absent(e *ca.Entry) {
	k.Helper()
	if k.stored(e) {
		k.Errorf("the certificate of a refused entry was recorded")
	}
	if _, _, err := k.Store.Decision(k.Context(), e.Certificate.Tenant, e.Certificate.CA, e.Certificate.Serial); !ca.IsKind(err, ca.NotFound) {
		k.Errorf("the decision of a refused entry: %v, want not found", err)
	}
	if k.audited(e.Audit.Trace) > 0 {
		k.Errorf("the audit row of a refused entry was recorded")
	}
}

// audited counts the audit rows with a trace id.
func (k *kit) audited(trace string) (n int) {
	k.Helper()
	batches, err := k.Trail(k.Context())
	if err != nil {
		k.Fatalf("audit trail: %v", err)
	}
	for _, b := range batches {
		for _, r := range b.Rows {
			if r.Trace == trace {
				n++
			}
		}
	}
	return n
}

func (k *kit) now() time.Time {
	k.Helper()
	now, err := k.Store.Now(k.Context())
	if err != nil {
		k.Fatalf("now: %v", err)
	}
	return now
}

// lost fails unless err is a *ca.LostEffect of that place.
func (k *kit) lost(err error, entry, index int) {
	k.Helper()
	var l *ca.LostEffect
	if !errors.As(err, &l) {
		k.Errorf("got %v, want a lost effect", err)
	} else if l.Entry != entry || l.Index != index {
		k.Errorf("lost effect %d of entry %d, want effect %d of entry %d", l.Index, l.Entry, index, entry)
	}
}

// kind fails unless err is an Error of that kind.
func (k *kit) kind(what string, err error, want ca.Kind) {
	k.Helper()
	if !ca.IsKind(err, want) {
		k.Errorf("%s: got %v, want %s", what, err, want)
	}
}

// gathered runs f n times at once while commits are held, lets the calls pile
// up, and releases them, so that they share batches.
func (k *kit) gathered(n int, f func(i int)) {
	release := k.Hold()
	var all, started sync.WaitGroup
	started.Add(n)
	for i := range n {
		all.Go(func() {
			started.Done()
			f(i)
		})
	}
	started.Wait()
	time.Sleep(20 * time.Millisecond) // lets the calls reach the queue; nothing is asserted about it
	release()
	all.Wait()
}
