package status

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// listing is a list that tests write.
type listing struct {
	this, next time.Time
	entries    map[string]pkix.CRLEntry
}

func (l *listing) Span() (this, next time.Time) { return l.this, l.next }

func (l *listing) Find(serial []byte) (pkix.CRLEntry, bool) {
	e, ok := l.entries[string(serial)]
	return e, ok
}

// foreignKit is a responder that answers for generation 0 from a list.
type foreignKit struct {
	*kit
	f    *Foreign
	list atomic.Pointer[listing]
}

func startForeign(t *testing.T, change func(*ForeignRules)) *foreignKit {
	t.Helper()
	k := &foreignKit{kit: start(t, nil)}
	issuer, err := pkix.ParseCertificate(k.gens[0].cert.Raw)
	if err != nil {
		t.Fatal(err)
	}
	rules := ForeignRules{Tenant: tenant, CA: "partner", Issuer: issuer, Signer: Direct(k.gens[0], false, func(string, string, ca.Lane) {}), NotListed: SayGood, Lifetime: 8 * time.Hour, MaxAge: 5 * time.Minute,
		List: func() Listing {
			if l := k.list.Load(); l != nil {
				return l
			}
			return nil
		}}
	if change != nil {
		change(&rules)
	}
	k.f = k.desk.BindForeign(rules)
	k.list.Store(&listing{birth.Add(-time.Hour), birth.Add(24 * time.Hour), map[string]pkix.CRLEntry{
		"\x07": {Revoked: birth.AddDate(0, -1, 0), Reason: 1, Invalid: birth.AddDate(0, -2, 0)}, "\x08": {Revoked: birth.AddDate(0, -1, 0), Reason: 6}}})
	return k
}

func (k *foreignKit) about(serials ...string) *pkix.OCSPRequest {
	q := k.question(0, pkix.OCSPSHA256)
	for _, s := range serials {
		name, key := pkix.IssuerHashes(pkix.OCSPSHA256, k.gens[0].facts.Subject, k.gens[0].facts.Key)
		q.CertIDs = append(q.CertIDs, pkix.CertID{Raw: pkix.MarshalCertID(pkix.OCSPSHA256, name, key, []byte(s)), Algorithm: pkix.OCSPSHA256, NameHash: name, KeyHash: key, Serial: []byte(s)})
	}
	return q
}

func (k *foreignKit) says(serial string) (*Answer, *ocsp.Response) {
	k.Helper()
	a, err := k.f.Answer(k.Context(), k.about(serial))
	if err != nil {
		k.Fatalf("answer: %v", err)
	}
	return a, k.read(0, a)
}

// RFC 6960 section 2.4: thisUpdate is when the status was known, the list's.
func TestForeignAnswers(t *testing.T) {
	k := startForeign(t, nil)
	for range 2 { // signed, and from the cache
		for serial, want := range map[string][2]int{"\x07": {ocsp.Revoked, ocsp.KeyCompromise}, "\x08": {ocsp.Revoked, ocsp.CertificateHold}, "\x09": {ocsp.Good, 0}} {
			a, got := k.says(serial)
			if got.Status != want[0] || got.RevocationReason != want[1] || got.Status == ocsp.Revoked && !got.RevokedAt.Equal(birth.AddDate(0, -1, 0)) {
				t.Errorf("%x: status %d, reason %d, at %v", serial, got.Status, got.RevocationReason, got.RevokedAt)
			}
			if !got.ThisUpdate.Equal(birth.Add(-time.Hour)) || !got.NextUpdate.Equal(birth.Add(8*time.Hour)) || a.MaxAge != 5*time.Minute {
				t.Errorf("%x: this %v, next %v, max-age %v", serial, got.ThisUpdate, got.NextUpdate, a.MaxAge)
			}
		}
	}
	if n := k.gens[0].signs.Load(); n != 3 || k.seen.cache.Load() != 3 {
		t.Errorf("%d signatures, %d answers from the cache", n, k.seen.cache.Load())
	}
	q := k.about("\x07", "\x09")
	if a, err := k.f.Answer(t.Context(), q); err != nil || a.MaxAge != 0 {
		t.Errorf("two certificates: %v", err)
	}
	q.CertIDs[1].KeyHash = make([]byte, 32)
	if _, err := k.f.Answer(t.Context(), q); OutcomeOf(err) != Unauthorized {
		t.Errorf("another issuer among them: %v", err)
	}
}

// A newer list takes effect at once, whatever was kept of the one before.
func TestForeignListChanges(t *testing.T) {
	k := startForeign(t, nil)
	if _, got := k.says("\x09"); got.Status != ocsp.Good {
		t.Fatalf("status %d", got.Status)
	}
	k.list.Store(&listing{birth, birth.Add(2 * time.Hour), map[string]pkix.CRLEntry{"\x09": {Revoked: birth}}})
	if _, got := k.says("\x09"); got.Status != ocsp.Revoked || !got.NextUpdate.Equal(birth.Add(2*time.Hour)) {
		t.Errorf("status %d until %v: no answer outlives its list", got.Status, got.NextUpdate)
	}
}

// What there is no good list for is not called good.
func TestForeignWithoutList(t *testing.T) {
	k := startForeign(t, nil)
	k.says("\x09")
	k.advance(24 * time.Hour)
	if _, err := k.f.Answer(t.Context(), k.about("\x09")); OutcomeOf(err) != TryLater {
		t.Errorf("a list that has ended: %v", err)
	}
	k.list.Store(nil)
	if _, err := k.f.Answer(t.Context(), k.about("\x09")); OutcomeOf(err) != TryLater {
		t.Errorf("no list: %v", err)
	}
}

func TestForeignSettings(t *testing.T) {
	k := startForeign(t, func(r *ForeignRules) { r.NotListed, r.Nonce, r.ArchiveCutoff = SayUnknown, true, true })
	for range 2 {
		if a, got := k.says("\x09"); got.Status != ocsp.Unknown || a.MaxAge != 0 {
			t.Errorf("not listed: status %d, max-age %v", got.Status, a.MaxAge)
		}
	}
	if n := k.gens[0].signs.Load(); n != 2 {
		t.Errorf("%d signatures: unknown is never kept", n)
	}
	q := k.about("\x07")
	q.Nonce = []byte("a nonce")
	a, err := k.f.Answer(t.Context(), q)
	if err != nil || a.MaxAge != 0 {
		t.Fatalf("a nonce: %v", err)
	}
	for _, e := range k.read(0, a).Extensions {
		if e.Id.Equal(pkix.OIDOCSPArchiveCutoff) {
			return
		}
	}
	t.Error("no archive cutoff")
}

// Strangers can make up numbers: signatures about them are bounded, those about
// listed ones are not.
func TestForeignFlood(t *testing.T) {
	k := startForeign(t, nil)
	refused := 0
	for i := range liveEvery + 50 {
		_, err := k.f.Answer(t.Context(), k.about(string([]byte{1, byte(i >> 8), byte(i)})))
		switch {
		case err == nil:
		case OutcomeOf(err) == TryLater:
			refused++
		default:
			t.Fatal(err)
		}
	}
	if refused != 50 {
		t.Errorf("%d refused", refused)
	}
	k.says("\x07")
}

// A signer that fails is no answer, and the next question tries again.
func TestForeignSignerFails(t *testing.T) {
	broken := &failing{err: errors.New("gone")}
	k := startForeign(t, func(r *ForeignRules) { broken.Signer, r.Signer = r.Signer, broken })
	if _, err := k.f.Answer(t.Context(), k.about("\x07")); err == nil {
		t.Error("an answer that nobody signed")
	}
	broken.err = nil
	k.says("\x07")
}

type failing struct {
	Signer
	err error
}

func (f *failing) Signatory(ctx context.Context) (*Signatory, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Signer.Signatory(ctx)
}
