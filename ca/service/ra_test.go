package service

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/keys"
	ownpkix "github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/memory"
)

// raSite is a store with a CA that issues 90 days and records what it issues.
type raSite struct {
	*signer
	testing.TB
	store  *memory.Store
	before func() // what happens between a signature and its record
}

func newRASite(t *testing.T) *raSite {
	t.Helper()
	s := &raSite{signer: newSigner(t), TB: t}
	s.store = memory.New(memory.Options{Clock: func() time.Time { return s.now }})
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.store.KeepProfile(t.Context(), sha256.Sum256(nil), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *raSite) Enroll(ctx context.Context, requests ...*ca.Request) []ca.Result {
	if s.fail != nil {
		return []ca.Result{{Err: s.fail}}
	}
	s.made++
	template := &x509.Certificate{NotBefore: s.now, NotAfter: s.now.AddDate(0, 0, 90)}
	if template.NotAfter.After(s.ca.NotAfter) {
		template.NotAfter = s.ca.NotAfter
	}
	serial := ca.NewSerial(template.NotAfter)
	template.SerialNumber = new(big.Int).SetBytes(serial[:])
	public := requests[0].Possession.Key()
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca, public.Parsed(), s.key)
	if err != nil {
		return []ca.Result{{Err: err}}
	}
	if s.before != nil {
		s.before()
	}
	c := ca.Certificate{Tenant: "t", CA: "issuing", Serial: serial, DER: der, NotBefore: template.NotBefore, NotAfter: template.NotAfter}
	_, err = s.store.Record(ctx, &ca.Entry{Certificate: c, KeyHash: public.Hash(), Decision: []byte("[]"), ProfileHash: sha256.Sum256(nil),
		Audit: ca.Audit{Tenant: "t", Event: "certificate.issued", Detail: []byte("{}")}, Effects: requests[0].Effects})
	return []ca.Result{{Err: err, Certificate: &c}}
}

// signing is the generation that signs now, as long as its certificate says.
func (s *raSite) signing() (ca.Issuer, error) {
	parsed, err := ownpkix.ParseCertificate(s.ca.Raw)
	if err != nil {
		return nil, err
	}
	return generation{&ca.Facts{KeyID: s.ca.SubjectKeyId, Subject: parsed.Subject, Key: parsed.Key, NotAfter: parsed.NotAfter, Chain: [][]byte{s.ca.Raw}}, s.key}, nil
}

// drawer has RSA keys that were made once: making one takes long.
var drawer = sync.OnceValue(func() (all [3][]byte) {
	for i := range all {
		der, _, err := keys.NewPKCS8("rsa-2048")
		if err != nil {
			panic(err)
		}
		all[i] = der
	}
	return all
})

// replica starts another process on the store.
func (s *raSite) replica(name string) *RA {
	s.Helper()
	sealing, err := seal.NewKeyring(bytes.Repeat([]byte{7}, seal.KeySize), s.store)
	if err != nil {
		s.Fatal(err)
	}
	ring := keys.NewRing()
	s.Cleanup(func() {
		if err := ring.Close(); err != nil {
			s.Error(err)
		}
	})
	return &RA{Enroller: s, Endpoint: "service-ra", Tenant: "t", CA: "issuing", Ring: ring, Sealing: sealing, Store: s.store, Holder: name,
		Issuer: s.signing, Issuers: func() []ca.Issuer { i, _ := s.signing(); return []ca.Issuer{i} }, Callers: caller.NewVerifier(caller.System), Claims: claim.NewVerifier(caller.System),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return s.now },
		generate: func() ([]byte, crypto.PublicKey, error) {
			der := bytes.Clone(drawer()[s.made%3])
			key, err := x509.ParsePKCS8PrivateKey(der)
			return der, &key.(*rsa.PrivateKey).PublicKey, err
		}}
}

func (s *raSite) look(all ...*RA) {
	s.Helper()
	for _, r := range all {
		if err := r.Look(s.Context()); err != nil {
			s.Errorf("%s: %v", r.Holder, err)
		}
	}
}

func (s *raSite) current(r *RA) *RAKey {
	s.Helper()
	k, err := r.Current(s.Context())
	if err != nil {
		s.Fatalf("%s: %v", r.Holder, err)
	}
	return k
}

// opens encrypts to a certificate as a client does, and has the replica decrypt.
func (s *raSite) opens(r *RA, to *RAKey) bool {
	s.Helper()
	secret := []byte("0123456789abcdef")
	message, err := rsa.EncryptPKCS1v15(rand.Reader, to.Certificate.Key.Parsed().(*rsa.PublicKey), secret)
	if err != nil {
		s.Fatal(err)
	}
	opened := 0
	for _, recipient := range []Recipient{{Issuer: to.Certificate.Issuer, Serial: to.Certificate.Serial}, {KeyID: subjectKeyID(to.Certificate)}} {
		key, err := r.ByRecipient(s.Context(), recipient)
		if err != nil {
			if !ca.IsKind(err, ca.NotFound) {
				s.Errorf("%s: %v", r.Holder, err)
			}
			continue
		}
		plain, err := key.Key.Decrypt(s.Context(), ca.LaneEnrollment, "t", message, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: len(secret)})
		if err != nil {
			s.Errorf("%s: %v", r.Holder, err)
		}
		if bytes.Equal(plain, secret) {
			opened++
		}
	}
	if opened == 1 {
		s.Errorf("%s: the two names of a recipient lead to different keys", r.Holder)
	}
	return opened == 2
}

// Two replicas over one store: one issues, both use it; the certificate is
// renewed at two thirds of its life, and the one before it is kept until it ends.
func TestRALife(t *testing.T) {
	s := newRASite(t)
	a, b := s.replica("a"), s.replica("b")
	first := s.current(b) // the first that is asked makes it
	s.look(a, b)
	if got := s.current(a); s.made != 1 || got.Number != 1 || !bytes.Equal(got.Certificate.Raw, first.Certificate.Raw) {
		t.Fatalf("%d certificates, number %d", s.made, got.Number)
	}
	if !s.opens(a, first) || !s.opens(b, first) || len(first.Chain) != 1 || !a.NotAfter().Equal(s.now.AddDate(0, 0, 90)) {
		t.Errorf("the first one: chain of %d, until %s", len(first.Chain), a.NotAfter())
	}
	s.now = s.now.AddDate(0, 0, 59)
	if s.look(a, b); s.made != 1 {
		t.Error("renewed before two thirds of its life")
	}
	s.now = s.now.AddDate(0, 0, 1)
	s.fail = errors.New("refused")
	if err := a.Look(t.Context()); !errors.Is(err, s.fail) || s.current(a).Number != 1 {
		t.Errorf("a renewal that failed: %v", err)
	}
	s.fail = nil
	s.look(a)
	second := s.current(a)
	if s.made != 2 || second.Number != 2 || s.current(b).Number != 1 {
		t.Fatalf("%d certificates, numbers %d and %d", s.made, second.Number, s.current(b).Number)
	}
	if !s.opens(b, second) { // it looks for a recipient that it does not know
		t.Error("the other replica does not open what is for the new certificate")
	}
	if s.look(b); s.made != 2 || s.current(b).Number != 2 || !s.opens(a, first) || !s.opens(b, first) {
		t.Error("the one before is not kept")
	}
	s.now = s.now.AddDate(0, 0, 30) // the first ends
	if s.opens(b, first) {
		t.Error("the one before it is used after its end")
	}
	s.look(a, b)
	rows, err := s.store.ServiceCertificates(t.Context(), "t", "issuing", RAName)
	if err != nil || len(rows) != 1 || rows[0].Number != 2 || s.opens(b, first) || !s.opens(b, second) {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if bytes.Contains(rows[0].Sealed, drawer()[1][40:80]) {
		t.Error("the key in the store is not sealed")
	}
}

// A rollover of the CA brings a certificate of the new generation at once, and
// the old one's key stays.
func TestRARollsOver(t *testing.T) {
	s := newRASite(t)
	a := s.replica("a")
	first := s.current(a)
	s.generation(t, "generation two")
	s.look(a)
	second := s.current(a)
	if issued, err := x509.ParseCertificate(second.Certificate.Raw); err != nil || issued.CheckSignatureFrom(s.ca) != nil || !bytes.Equal(second.Chain[0], s.ca.Raw) {
		t.Errorf("not the new generation's: %v", err)
	}
	if !s.opens(a, first) || !s.opens(a, second) || s.made != 2 {
		t.Errorf("%d certificates", s.made)
	}
	// Nearly at the CA's end renewing brings nothing: it is not tried again and again.
	s.now = s.ca.NotAfter.AddDate(0, 0, -80)
	for range 3 {
		s.look(a)
		s.now = s.now.AddDate(0, 0, 20)
	}
	if s.made != 3 {
		t.Errorf("%d certificates at the CA's end, want 3", s.made)
	}
	s.now = s.ca.NotAfter
	if _, err := a.Current(t.Context()); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("after its end: %v", err)
	}
}

// One that an operator revokes is replaced, and what is under way still opens.
func TestRARevoked(t *testing.T) {
	s := newRASite(t)
	a := s.replica("a")
	first := s.current(a)
	for _, c := range []struct {
		reason ca.Reason
		made   int
	}{{ca.CertificateHold, 1}, {ca.Superseded, 2}} {
		_, err := s.store.Revoke(t.Context(), &ca.Revocation{Tenant: "t", CA: "issuing", Serial: ca.Serial(first.Certificate.Serial), Reason: c.reason,
			Audit: ca.Audit{Tenant: "t", Event: "certificate.revoked", Detail: []byte("{}")}})
		if err != nil {
			t.Fatal(err)
		}
		if s.look(a); s.made != c.made || s.current(a).Number != c.made || !s.opens(a, first) {
			t.Errorf("%v: %d certificates", c.reason, s.made)
		}
	}
}

// Who was paused until the lease was another's records nothing.
func TestRAFenced(t *testing.T) {
	s := newRASite(t)
	a, b := s.replica("a"), s.replica("b")
	s.before = func() {
		s.before = nil
		s.now = s.now.Add(2 * raLease)
		s.look(b)
	}
	if err := a.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "another replica took over") {
		t.Errorf("the paused replica: %v", err)
	}
	rows, err := s.store.ServiceCertificates(t.Context(), "t", "issuing", RAName)
	if err != nil || len(rows) != 1 || s.made != 2 {
		t.Fatalf("%d rows of %d certificates, %v", len(rows), s.made, err)
	}
	if s.look(a); !bytes.Equal(s.current(a).Certificate.Raw, rows[0].DER) || s.made != 2 {
		t.Error("the replicas have different certificates")
	}
	// While somebody else renews, nobody waits and nobody disturbs.
	s.now = s.now.AddDate(0, 0, 60)
	lease, err := s.store.Acquire(t.Context(), "ra/t/issuing", "c", raLease)
	if err != nil {
		t.Fatal(err)
	}
	if s.look(a); s.made != 2 {
		t.Error("renewed without the lease")
	}
	if err := s.store.Release(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	if s.look(a); s.made != 3 {
		t.Error("not renewed once the lease was free")
	}
}

// Rotating the data key and changing the key-encryption key leave every key open.
func TestRASealRotates(t *testing.T) {
	s := newRASite(t)
	a := s.replica("a")
	first, ring := s.current(a), a.Sealing.(*seal.Keyring)
	audit := ca.Audit{Tenant: ca.Installation, Event: "seal.rotated", Actor: "operator", Detail: []byte("{}")}
	if _, err := ring.Rotate(t.Context(), seal.RA, audit); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.AddDate(0, 0, 60)
	if err := ring.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.look(a)
	second := s.current(a)
	next, err := seal.NewKeyring(bytes.Repeat([]byte{8}, seal.KeySize), s.store)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := ring.Rewrap(t.Context(), next, audit); err != nil || n != 2 {
		t.Fatalf("%d data keys, %v", n, err)
	}
	b := s.replica("b")
	if b.Look(t.Context()) == nil {
		t.Error("the old key-encryption key still opens the keys")
	}
	b.Sealing = next
	if s.look(b); s.current(b).Number != 2 || !s.opens(b, first) || !s.opens(b, second) || s.made != 2 {
		t.Errorf("after the change of the key-encryption key: %d certificates", s.made)
	}
}

// heldKeys is a token with one RSA and one EC key, behind one PIN.
type heldKeys struct{ rsa, ec keys.Signer }

func (h *heldKeys) Open(_ context.Context, uri string, secret keys.Secret) (keys.Signer, error) {
	pin, err := secret.Resolve()
	switch {
	case err != nil || string(pin) != "pin":
		return nil, ca.Errorf(ca.BadProof, "wrong PIN")
	case uri == "token:ec":
		return h.ec, nil
	}
	return h.rsa, nil
}

func (h *heldKeys) Generate(context.Context, string, string, keys.Secret) error {
	return ca.Errorf(ca.Denied, "read-only")
}

func (h *heldKeys) Close() error { return nil }

// Another key in the configuration is taken up at once; one that cannot decrypt
// is refused and leaves what there is.
func TestRAKeyChanges(t *testing.T) {
	s := newRASite(t)
	a, b := s.replica("a"), s.replica("b")
	first := s.current(a)
	key, err := a.Ring.FromPKCS8(drawer()[2])
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*RA{a, b} {
		r.Ring = keys.NewRing(keys.WithBackend("token", &heldKeys{rsa: key, ec: &heldKey{key: freshKey(t)}}))
		r.Secret = keys.LiteralSecret("pin")
	}
	a.KeyURI = "token:ec"
	if err := a.Look(t.Context()); !ca.IsKind(err, ca.BadRequest) || s.current(a).Number != 1 {
		t.Errorf("a key that cannot decrypt: %v", err)
	}
	a.KeyURI, b.KeyURI = "token:ra", "token:ra"
	s.look(a)
	second := s.current(a)
	rows, err := s.store.ServiceCertificates(t.Context(), "t", "issuing", RAName)
	if err != nil || len(rows) != 2 || rows[1].Sealed != nil || rows[1].KeyURI != a.KeyURI || second.Number != 2 || !s.opens(a, first) || !s.opens(a, second) {
		t.Errorf("%+v, %v", rows, err)
	}
	b.Secret = keys.LiteralSecret("another")
	if err := b.Look(t.Context()); !ca.IsKind(err, ca.BadProof) || s.current(b).Number != 1 || s.made != 2 {
		t.Errorf("a replica that cannot open the new key: %v, certificate %d of %d", err, s.current(b).Number, s.made)
	}
	b.Secret = a.Secret
	if s.look(b); !s.opens(b, first) || !s.opens(b, second) {
		t.Error("the key does not open once the PIN is right")
	}
	// With the same key the certificate alone is renewed.
	s.now = s.now.AddDate(0, 0, 60)
	if s.look(b, a); s.made != 3 || !bytes.Equal(subjectKeyID(s.current(a).Certificate), subjectKeyID(second.Certificate)) || !s.opens(a, second) {
		t.Errorf("renewed with the same key: %d certificates", s.made)
	}
}

// Strangers that name recipients at random do not each cost a question to the store.
func TestRAUnknownRecipient(t *testing.T) {
	s := newRASite(t)
	a := s.replica("a")
	s.current(a)
	counting := &countedReads{RAStore: s.store}
	a.Store = counting
	for range 50 {
		_, err := a.ByRecipient(t.Context(), Recipient{Serial: []byte{1}})
		if !ca.IsKind(err, ca.NotFound) {
			t.Fatal(err)
		}
	}
	if counting.reads != 1 {
		t.Errorf("%d questions to the store within a second", counting.reads)
	}
}

type countedReads struct {
	RAStore
	reads int
}

func (c *countedReads) ServiceCertificates(ctx context.Context, tenant, issuer, service string) ([]ca.ServiceCertificate, error) {
	c.reads++
	return c.RAStore.ServiceCertificates(ctx, tenant, issuer, service)
}

// Every replica follows within seconds, without a restart.
func TestRAFollow(t *testing.T) {
	drawer()
	synctest.Test(t, func(t *testing.T) {
		s := newRASite(t)
		s.now = time.Now()
		s.generation(t, "generation one")
		a, b := s.replica("a"), s.replica("b")
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for _, r := range []*RA{a, b} {
			all.Go(func() { r.Follow(ctx) })
		}
		time.Sleep(2*raPoll + time.Second)
		synctest.Wait()
		if one, two := s.current(a), s.current(b); s.made != 1 || !bytes.Equal(one.Certificate.Raw, two.Certificate.Raw) {
			t.Errorf("%d certificates", s.made)
		}
		stop()
		all.Wait()
	})
}
