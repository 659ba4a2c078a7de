package status

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

func TestAnswers(t *testing.T) {
	k := start(t, nil)
	good, held, gone := k.book.issue("one"), k.book.issue("one"), k.book.issue("one")
	k.book.set(held, ca.Held, ca.CertificateHold)
	k.book.set(gone, ca.Revoked, ca.KeyCompromise)
	delete(k.book.issued, gone) // its month was dropped: the revocation outlives it
	k.poll()
	for _, c := range []struct {
		name           string
		serial         ca.Serial
		status, reason int
	}{
		{"good", good, ocsp.Good, 0},
		{"held", held, ocsp.Revoked, ocsp.CertificateHold},
		{"revoked", gone, ocsp.Revoked, ocsp.KeyCompromise},
		{"never issued", ca.NewSerial(birth.AddDate(1, 0, 0)), ocsp.Unknown, 0},
		{"of a month in which nothing ends", ca.NewSerial(birth.AddDate(40, 0, 0)), ocsp.Unknown, 0},
	} {
		for range 2 { // signed, and from the cache
			got := k.ask(c.serial)
			if got.Status != c.status || got.RevocationReason != c.reason || !bytes.Equal(got.SerialNumber.Bytes(), c.serial[:]) {
				t.Errorf("%s: status %d, reason %d", c.name, got.Status, got.RevocationReason)
			}
			if c.status == ocsp.Revoked && !got.RevokedAt.Equal(birth) {
				t.Errorf("%s: revoked at %v", c.name, got.RevokedAt)
			}
			life := 8 * time.Hour
			if c.status == ocsp.Unknown {
				life = unknownLife
			}
			if !got.ThisUpdate.Equal(birth) || got.NextUpdate.Sub(got.ThisUpdate) != life || !got.ProducedAt.Equal(birth) {
				t.Errorf("%s: this %v, next %v, produced %v", c.name, got.ThisUpdate, got.NextUpdate, got.ProducedAt)
			}
		}
	}
	if k.seen.cache.Load() != 3 || k.desk.Kept() != 3 {
		t.Errorf("%d from the cache, %d kept; want 3 of each: never issued ones are not", k.seen.cache.Load(), k.desk.Kept())
	}
}

// The way a CertID is written is repeated, also from the cache.
func TestCertIDsAreRepeated(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	for range 2 {
		for h := pkix.OCSPSHA1; h <= pkix.OCSPSHA256Bare; h++ {
			q := k.question(0, h, s)
			a, err := k.r.Answer(t.Context(), q)
			if err != nil || !bytes.Contains(a.DER, q.CertIDs[0].Raw) {
				t.Errorf("hash %d: %v", h, err)
			}
		}
	}
}

func TestForeignIssuers(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	for name, spoil := range map[string]func(*pkix.CertID){
		"key":       func(id *pkix.CertID) { id.KeyHash = make([]byte, 20) },
		"name":      func(id *pkix.CertID) { id.NameHash = make([]byte, 20) },
		"algorithm": func(id *pkix.CertID) { id.Algorithm = pkix.OCSPHashUnknown },
	} {
		for _, q := range []*pkix.OCSPRequest{k.question(0, pkix.OCSPSHA1, s), k.question(0, pkix.OCSPSHA1, s, s)} {
			spoil(&q.CertIDs[len(q.CertIDs)-1])
			if _, err := k.r.Answer(t.Context(), q); OutcomeOf(err) != Unauthorized {
				t.Errorf("another %s among %d: %v", name, len(q.CertIDs), err)
			}
		}
	}
}

func TestUnknownBySetting(t *testing.T) {
	extended, err := asn1.Marshal(asn1.ObjectIdentifier(pkix.OIDOCSPExtendedRevoke))
	if err != nil {
		t.Fatal(err)
	}
	for say, want := range map[UnknownAs]int{SayUnknown: ocsp.Unknown, SayGood: ocsp.Good, SayRevoked: ocsp.Revoked} {
		k := start(t, func(r *Rules) { r.Unknown = say })
		issued := k.book.issue("one")
		q := k.question(0, pkix.OCSPSHA1, ca.NewSerial(birth.AddDate(1, 0, 0)))
		a, err := k.r.Answer(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got := k.read(0, a)
		if got.Status != want || bytes.Contains(a.DER, extended) != (say == SayRevoked) {
			t.Errorf("%s: status %d", say, got.Status)
		}
		// RFC 6960 section 2.2: since 1970, on hold.
		if say == SayRevoked && (!got.RevokedAt.Equal(time.Unix(0, 0)) || got.RevocationReason != ocsp.CertificateHold) {
			t.Errorf("%s: at %v, reason %d", say, got.RevokedAt, got.RevocationReason)
		}
		if got := k.ask(issued); got.Status != ocsp.Good {
			t.Errorf("%s: an issued certificate has status %d", say, got.Status)
		}
	}
}

// Only who asks for it gets a nonce back, and only where the settings say so.
func TestNonces(t *testing.T) {
	for _, on := range []bool{false, true} {
		k := start(t, func(r *Rules) { r.Nonce = on })
		s := k.book.issue("one")
		for i := range 3 {
			q := k.question(0, pkix.OCSPSHA1, s)
			q.Nonce = []byte("a nonce of this question")
			a, err := k.r.Answer(t.Context(), q)
			if err != nil || bytes.Contains(a.DER, q.Nonce) != on {
				t.Errorf("nonces %v: %v", on, err)
			}
			if want := map[bool]int64{false: 1, true: int64(i) + 1}[on]; k.gens[0].signs.Load() != want || on && a.MaxAge != 0 {
				t.Errorf("nonces %v: %d signatures after %d questions, max-age %v", on, k.gens[0].signs.Load(), i+1, a.MaxAge)
			}
		}
	}
}

// Each generation answers for what it issued itself, and for nothing else.
func TestGenerations(t *testing.T) {
	k := start(t, nil, "two", "one")
	old, young := k.book.issue("one"), k.book.issue("two")
	for g, want := range [][2]int{{ocsp.Unknown, ocsp.Good}, {ocsp.Good, ocsp.Unknown}} {
		for i, s := range []ca.Serial{old, young} {
			a, err := k.r.Answer(t.Context(), k.question(g, pkix.OCSPSHA256, s))
			if err != nil {
				t.Fatal(err)
			}
			if got := k.read(g, a); got.Status != want[i] {
				t.Errorf("generation %d, certificate %d: status %d", g, i, got.Status)
			}
		}
	}
}

// One signature serves everybody who waits for the same answer.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := start(t, nil)
		s := k.book.issue("one")
		release := make(chan struct{})
		k.gens[0].hold = func() { <-release }
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, s)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(release)
		all.Wait()
		if n := k.gens[0].signs.Load(); n != 1 {
			t.Errorf("%d signatures", n)
		}
	})
}

// A revocation that arrives while the answer is signed is in the answer.
func TestRevokedWhileSigned(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	k.gens[0].hold = func() {
		k.gens[0].hold = nil
		k.book.set(s, ca.Revoked, ca.Superseded)
		k.poll()
	}
	if got := k.ask(s); got.Status != ocsp.Revoked {
		t.Errorf("status %d", got.Status)
	}
}

// A change takes the old answer out at once and signs the new one ahead.
func TestChangeIsSignedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := start(t, nil)
		s, other := k.book.issue("one"), k.book.issue("one")
		k.ask(s)
		go k.desk.Keep(t.Context())
		k.book.set(s, ca.Held, ca.CertificateHold)
		k.book.set(other, ca.Revoked, ca.Superseded) // nobody asked for it
		k.poll()
		synctest.Wait()
		before := k.gens[0].signs.Load()
		if got := k.ask(s); got.Status != ocsp.Revoked || before != 2 || k.gens[0].signs.Load() != before {
			t.Errorf("status %d, %d signatures before, %d after", got.Status, before, k.gens[0].signs.Load())
		}
		k.book.set(s, ca.Issued, ca.RemoveFromCRL)
		k.poll()
		if got := k.ask(s); got.Status != ocsp.Good {
			t.Errorf("after the release: status %d", got.Status)
		}
	})
}

// Hot and revoked answers are signed again at half of their life; the rest goes.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := start(t, nil)
		hot, cold, revoked := k.book.issue("one"), k.book.issue("one"), k.book.issue("one")
		k.book.set(revoked, ca.Revoked, ca.Superseded)
		k.poll()
		for _, s := range []ca.Serial{hot, hot, cold, revoked} {
			k.ask(s)
		}
		go k.desk.Keep(t.Context())
		k.advance(4 * time.Hour)
		k.poll()
		time.Sleep(refreshEvery)
		synctest.Wait()
		if n := k.gens[0].signs.Load(); n != 5 || k.desk.Kept() != 3 {
			t.Errorf("%d signatures, %d kept", n, k.desk.Kept())
		}
		if got := k.ask(hot); !got.ThisUpdate.Equal(birth.Add(4 * time.Hour)) {
			t.Errorf("the hot answer is of %v", got.ThisUpdate)
		}
		k.advance(4*time.Hour - 5*time.Minute) // the cold one may not go to caches any more
		k.poll()
		time.Sleep(refreshEvery)
		synctest.Wait()
		if n := k.desk.Kept(); n != 2 {
			t.Errorf("%d are kept", n)
		}
		if got := k.ask(cold); !got.ThisUpdate.Equal(birth.Add(8*time.Hour - 5*time.Minute)) {
			t.Errorf("the cold answer is of %v", got.ThisUpdate)
		}
	})
}

// An answer that is too old for caches is not given even where nothing signed it again.
func TestStaleAnswersAreNotGiven(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	k.ask(s)
	k.advance(8*time.Hour - 5*time.Minute)
	k.poll()
	if got := k.ask(s); !got.ThisUpdate.Equal(birth.Add(8*time.Hour - 5*time.Minute)) {
		t.Errorf("the answer is of %v", got.ThisUpdate)
	}
}

// While the view is old nothing is answered, not even what is in the cache.
func TestOldViewSaysTryLater(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	k.ask(s)
	k.advance(TooOld + time.Second)
	for name, q := range map[string]*pkix.OCSPRequest{"cached": k.question(0, pkix.OCSPSHA1, s), "new": k.question(0, pkix.OCSPSHA256, s),
		"several": k.question(0, pkix.OCSPSHA1, s, s), "never issued": k.question(0, pkix.OCSPSHA1, ca.Serial{1})} {
		if _, err := k.r.Answer(t.Context(), q); OutcomeOf(err) != TryLater {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Made-up serial numbers take nothing from the cache, and only so many
// signatures a second; certificates are still answered for.
func TestFloodOfMadeUpSerials(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	k.ask(s)
	refused := 0
	for range 3 * liveEvery {
		if _, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, ca.NewSerial(birth.AddDate(1, 0, 0)))); err != nil {
			if OutcomeOf(err) != TryLater {
				t.Fatal(err)
			}
			refused++
		}
	}
	if n := k.gens[0].signs.Load(); n != liveEvery+1 || refused != 2*liveEvery || k.desk.Kept() != 1 {
		t.Errorf("%d signatures, %d refused, %d kept", n, refused, k.desk.Kept())
	}
	if got := k.ask(s); got.Status != ocsp.Good {
		t.Errorf("status %d", got.Status)
	}
	asked := k.book.asked
	for range 10 { // no month of this CA: not even the store is asked
		if _, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, ca.Serial{1})); OutcomeOf(err) != TryLater {
			t.Error(err)
		}
	}
	if k.book.asked != asked {
		t.Errorf("the store was asked %d times", k.book.asked-asked)
	}
	k.advance(time.Second)
	if _, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, ca.Serial{1})); err != nil {
		t.Errorf("a second later: %v", err)
	}
}

// Who comes while too many wait for a signature is told to come back.
func TestTooManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := start(t, nil)
		release := make(chan struct{})
		k.gens[0].hold = func() { <-release }
		var all sync.WaitGroup
		for range coldAtOnce {
			s := k.book.issue("one")
			all.Go(func() {
				if _, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, s)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if _, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, k.book.issue("one"))); OutcomeOf(err) != TryLater {
			t.Errorf("one more: %v", err)
		}
		close(release)
		all.Wait()
	})
}

func TestCacheIsBounded(t *testing.T) {
	k := start(t, nil)
	k.desk.cache.size = 10
	hot := k.book.issue("one")
	k.ask(hot)
	for range 100 {
		k.ask(k.book.issue("one"))
		k.ask(hot)
	}
	if n := k.desk.Kept(); n != 10 {
		t.Errorf("%d answers are kept", n)
	}
}

func TestSeveral(t *testing.T) {
	k := start(t, nil)
	good, gone := k.book.issue("one"), k.book.issue("one")
	k.book.set(gone, ca.Revoked, ca.Superseded)
	k.poll()
	q := k.question(0, pkix.OCSPSHA1, good, gone, ca.Serial{1})
	a, err := k.r.Answer(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{ocsp.Good, ocsp.Revoked, ocsp.Unknown} {
		if !bytes.Contains(a.DER, q.CertIDs[i].Raw) {
			t.Errorf("CertID %d is not repeated", i)
		}
		asked := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(q.CertIDs[i].Serial)}
		got, err := ocsp.ParseResponseForCert(a.DER, asked, k.gens[0].cert)
		if err != nil || got.Status != want {
			t.Errorf("certificate %d: %+v, %v; want status %d", i, got, err, want)
		}
	}
	if a.MaxAge != 0 || a.NextUpdate.Sub(a.ThisUpdate) != unknownLife {
		t.Errorf("max-age %v, good for %v: the shortest counts", a.MaxAge, a.NextUpdate.Sub(a.ThisUpdate))
	}
}

// Errors of store and signer become statuses; nothing of them is kept.
func TestFailures(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	k.book.broken(ca.UnavailableError(errors.New("gone"), time.Second))
	if _, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, s)); OutcomeOf(err) != TryLater {
		t.Errorf("store gone: %v", err)
	}
	k.book.broken(nil)
	k.r.Signer = func(ca.Issuer) Signer { return nobody{} }
	if _, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, s)); OutcomeOf(err) != Failed || k.desk.Kept() != 0 {
		t.Errorf("no signer: %v, %d kept", err, k.desk.Kept())
	}
}

type nobody struct{}

func (nobody) Signatory(context.Context) (*Signatory, error) {
	return nil, ca.InternalError(errors.New("no key"))
}

func TestErrorAnswers(t *testing.T) {
	for outcome, want := range map[Outcome]ocsp.ResponseStatus{Malformed: ocsp.Malformed, Failed: ocsp.InternalError, TryLater: ocsp.TryLater, Unauthorized: ocsp.Unauthorized} {
		_, err := ocsp.ParseResponse(ErrorAnswer(outcome), nil)
		var status ocsp.ResponseError
		if !errors.As(err, &status) || status.Status != want {
			t.Errorf("%s: %v", outcome, err)
		}
	}
}

// A generation that comes while the responder answers is answered for, and
// answers about the others stay where they are.
func TestNextGeneration(t *testing.T) {
	k := start(t, nil)
	old := k.book.issue("one")
	k.ask(old)
	next := newGeneration(t, "two")
	k.gens, k.issuers = append(k.gens, next), append(slices.Clone(k.issuers), next)
	young := k.book.issue("two")
	for g, want := range [][2]int{{ocsp.Good, ocsp.Unknown}, {ocsp.Unknown, ocsp.Good}} {
		for i, s := range []ca.Serial{old, young} {
			a, err := k.r.Answer(t.Context(), k.question(g, pkix.OCSPSHA1, s))
			if err != nil {
				t.Fatal(err)
			}
			if got := k.read(g, a); got.Status != want[i] {
				t.Errorf("generation %d, certificate %d: status %d", g, i, got.Status)
			}
		}
	}
	if n := k.seen.cache.Load(); n != 1 {
		t.Errorf("%d answers came from the cache, want the one about the old certificate", n)
	}
	k.book.set(old, ca.Revoked, ca.Superseded)
	k.poll()
	if got := k.ask(old); got.Status != ocsp.Revoked {
		t.Errorf("revoked after the rollover: status %d", got.Status)
	}
}

// Two certificates of one key and name, such as a cross-certificate, issue
// together: a question cannot say which of them it means.
func TestGenerationsOfOneKey(t *testing.T) {
	k := start(t, nil)
	cross := newGeneration(t, "two")
	facts := *k.gens[0].facts
	facts.KeyID, facts.NotAfter = []byte("two"), facts.NotAfter.AddDate(5, 0, 0)
	cross.facts, cross.key, cross.cert = &facts, k.gens[0].key, k.gens[0].cert
	k.gens, k.issuers = append(k.gens, cross), append(slices.Clone(k.issuers), cross)
	late := ca.NewSerial(facts.NotAfter)
	k.book.issued[late] = "two"
	for _, s := range []ca.Serial{k.book.issue("one"), k.book.issue("two"), late} {
		if got := k.ask(s); got.Status != ocsp.Good {
			t.Errorf("%s: status %d", s, got.Status)
		}
	}
}
