package crl

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/store/memory"
)

const base = "http://pki.example"

// clock is the store's.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(by)
}

// world is a store with one CA.
type world struct {
	testing.TB
	*clock
	store  *memory.Store
	issuer *testIssuer
	hash   [32]byte
}

func newWorld(t testing.TB) *world {
	c := &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w := &world{TB: t, clock: c, store: memory.New(memory.Options{Clock: c.now}), issuer: newIssuer(t, 1, c.at.AddDate(10, 0, 0))}
	t.Cleanup(func() { w.store.Close() })
	text := []byte("id: x\n")
	w.hash = sha256.Sum256(text)
	if err := w.store.KeepProfile(context.Background(), w.hash, text); err != nil {
		t.Fatal(err)
	}
	return w
}

// testIssuer signs, after it was let.
type testIssuer struct {
	facts *ca.Facts
	key   *ecdsa.PrivateKey
	gate  func() // called before each signature, nil: nothing
}

func newIssuer(t testing.TB, generation int, until time.Time) *testIssuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := pkix.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	algorithm, err := pkix.SignatureFor(public)
	if err != nil {
		t.Fatal(err)
	}
	oid, _ := pkix.AttributeOID("CN")
	cn, err := pkix.NewAttribute(oid, "Test Issuing CA")
	if err != nil {
		t.Fatal(err)
	}
	name, err := pkix.MarshalName([]pkix.RDN{{cn}})
	if err != nil {
		t.Fatal(err)
	}
	return &testIssuer{key: key, facts: &ca.Facts{Tenant: "default", CA: "issuing", Generation: generation, Subject: name, KeyID: public.KeyID(), Key: public,
		Signature: algorithm, NotAfter: until, CRLSign: true}}
}

func (i *testIssuer) Facts() *ca.Facts { return i.facts }

func (i *testIssuer) Sign(_ context.Context, lane ca.Lane, tbs []byte) ([]byte, error) {
	if lane != ca.LaneStatus {
		return nil, ca.Errorf(ca.Internal, "a list was signed in the lane %s", lane)
	}
	if i.gate != nil {
		i.gate()
	}
	return ecdsa.SignASN1(rand.Reader, i.key, i.facts.Signature.Digest(tbs))
}

type counting struct{}

func (counting) Signed(string, string, ca.Lane) {}
func (counting) CRLPublished(*ca.CRL)           {}

var hourly = Settings{Interval: time.Hour, Lifetime: 7 * 24 * time.Hour, Overlap: 24 * time.Hour, OnRevocation: time.Minute, DeltaLifetime: 24 * time.Hour}

// replica is a publisher over a store, as one process has it.
func (w *world) replica(store Store, set Settings, issuers ...ca.Issuer) *Publisher {
	w.Helper()
	if len(issuers) == 0 {
		issuers = []ca.Issuer{w.issuer}
	}
	settings := map[string]Settings{"default/issuing": set}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	p, err := NewPublisher(Options{Store: store, Shelf: NewShelf(store, settings, log), Issuers: func() []ca.Issuer { return issuers }, Settings: settings, BaseURL: base,
		Observer: counting{}, Log: log})
	if err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) ensured(p *Publisher) *Publisher {
	w.Helper()
	if err := p.Ensure(w.Context()); err != nil {
		w.Fatal(err)
	}
	return p
}

// issued records a certificate.
func (w *world) issued(notAfter time.Time) ca.Serial {
	w.Helper()
	serial := ca.NewSerial(notAfter)
	_, err := w.store.Record(w.Context(), &ca.Entry{Certificate: ca.Certificate{Tenant: "default", CA: "issuing", Serial: serial, DER: serial[:], NotAfter: notAfter},
		KeyHash: sha256.Sum256(serial[:]), ProfileHash: w.hash, Decision: []byte("[]"), Audit: ca.Audit{Tenant: "default", Event: "certificate.issued"}})
	if err != nil {
		w.Fatal(err)
	}
	return serial
}

func (w *world) change(serial ca.Serial, reason ca.Reason, shard int) {
	w.Helper()
	_, err := w.store.Revoke(w.Context(), &ca.Revocation{Tenant: "default", CA: "issuing", Serial: serial, Reason: reason, Shard: shard,
		Audit: ca.Audit{Tenant: "default", Event: "certificate.revoked"}})
	if err != nil {
		w.Fatal(err)
	}
}

// revoked issues a certificate for a year and revokes it.
func (w *world) revoked() ca.Serial {
	w.Helper()
	serial := w.issued(w.now().AddDate(1, 0, 0))
	w.change(serial, ca.Superseded, 0)
	return serial
}

func (w *world) run(p *Publisher) {
	w.Helper()
	l, err := w.store.Acquire(w.Context(), "crl", "one", time.Minute)
	if err != nil {
		w.Fatal(err)
	}
	if err := p.Run(w.Context(), l); err != nil {
		w.Fatal(err)
	}
}

// stored reads a published list from the store and verifies it.
func (w *world) stored(name string) (*ca.CRL, *pkix.CRL, map[ca.Serial]ca.Reason) {
	w.Helper()
	shelf := NewShelf(w.store, nil, slog.New(slog.DiscardHandler))
	if err := shelf.Refresh(w.Context()); err != nil {
		w.Fatal(err)
	}
	p := shelf.Find("default", "issuing", name)
	if p == nil {
		w.Fatalf("there is no list %s", name)
	}
	list, err := pkix.ParseCRL(p.DER)
	if err != nil {
		w.Fatal(err)
	}
	entries := map[ca.Serial]ca.Reason{}
	for e, err := range list.Entries() {
		if err != nil {
			w.Fatal(err)
		}
		entries[ca.Serial(e.Serial)] = ca.Reason(e.Reason)
	}
	return p.CRL, list, entries
}
