package status

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

const (
	tenant = "t"
	caID   = "issuing"
)

var birth = time.Date(2030, 1, 15, 12, 0, 0, 0, time.UTC)

// book is a store that tests write into.
type book struct {
	mu     sync.Mutex
	issued map[ca.Serial]string // by which generation
	feed   []ca.Status
	fail   error
	asked  int // lookups of certificates
	gone   map[ca.Month]bool
	paging func() // called before a page is read
}

func (b *book) Feed(_ context.Context, after int64, limit int) ([]ca.Status, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	rows := b.feed[min(int(after), len(b.feed)):]
	return slices.Clone(rows[:min(limit, len(rows))]), nil
}

func (b *book) FeedEnd(context.Context) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.feed)), b.fail
}

func (b *book) StatusPage(_ context.Context, tenant, id string, after ca.Serial, limit int) ([]ca.Status, error) {
	if b.paging != nil {
		b.paging()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	last := map[ca.Serial]ca.Status{}
	for _, s := range b.feed {
		if s.Tenant == tenant && s.CA == id && bytes.Compare(s.Serial[:], after[:]) > 0 {
			last[s.Serial] = s
		}
	}
	var page []ca.Status
	for _, s := range last {
		page = append(page, s)
	}
	slices.SortFunc(page, func(a, b ca.Status) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
	return page[:min(limit, len(page))], nil
}

func (b *book) Certificate(_ context.Context, _, _ string, serial ca.Serial) (*ca.Certificate, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.fail != nil {
		return nil, b.fail
	}
	g, ok := b.issued[serial]
	if !ok {
		return nil, ca.Errorf(ca.NotFound, "there is no such certificate")
	}
	return &ca.Certificate{Tenant: tenant, CA: caID, Serial: serial, Requester: g}, nil
}

func (b *book) Month(_ context.Context, m ca.Month) (*ca.MonthRecord, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.gone[m] {
		return nil, ca.Errorf(ca.NotFound, "the month was not dropped")
	}
	return &ca.MonthRecord{Month: m, Dropped: birth}, b.fail
}

// drop forgets the certificates of a month.
func (b *book) drop(m ca.Month) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone = map[ca.Month]bool{m: true}
	for s := range b.issued {
		if s.Month() == m {
			delete(b.issued, s)
		}
	}
}

func (b *book) issue(generation string) ca.Serial {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := ca.NewSerial(birth.AddDate(1, 0, 0))
	b.issued[s] = generation
	return s
}

func (b *book) set(s ca.Serial, state ca.State, reason ca.Reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.feed = append(b.feed, ca.Status{Position: int64(len(b.feed)) + 1, Tenant: tenant, CA: caID, Serial: s, State: state, Reason: reason, At: birth})
}

func (b *book) broken(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = err
}

// generation is a CA certificate whose key signs; signing can be held up.
type caCertificate struct {
	name  string
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	facts *ca.Facts
	signs atomic.Int64
	hold  func()
}

func newGeneration(t testing.TB, name string) *caCertificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: name}, NotBefore: birth.AddDate(-1, 0, 0), NotAfter: birth.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte(name)}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	g := &caCertificate{name: name, key: key}
	if g.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	parsed, err := pkix.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	algorithm, err := pkix.SignatureFor(parsed.Key)
	if err != nil {
		t.Fatal(err)
	}
	g.facts = &ca.Facts{Tenant: tenant, CA: caID, Subject: parsed.Subject, KeyID: []byte(name), Key: parsed.Key, Signature: algorithm,
		NotBefore: parsed.NotBefore, NotAfter: parsed.NotAfter}
	return g
}

func (g *caCertificate) Facts() *ca.Facts { return g.facts }

func (g *caCertificate) Sign(_ context.Context, lane ca.Lane, tbs []byte) ([]byte, error) {
	if lane != ca.LaneStatus {
		return nil, errors.New("the wrong lane")
	}
	g.signs.Add(1)
	if g.hold != nil {
		g.hold()
	}
	return g.key.Sign(rand.Reader, g.facts.Signature.Digest(tbs), crypto.SHA256)
}

type counted struct{ cache, signed atomic.Int64 }

func (c *counted) OCSPAnswered(_, _ string, _ Outcome, fromCache bool) {
	if fromCache {
		c.cache.Add(1)
	} else {
		c.signed.Add(1)
	}
}

// kit is a responder of one CA over a book, at a time that the test sets.
type kit struct {
	testing.TB
	book *book
	view *View
	desk *Desk
	r    *Responder
	gens []*caCertificate

	issuers []ca.Issuer
	seen    counted
	used    atomic.Int64 // of CAs' keys, as the counter is told
	at      atomic.Int64
}

func (k *kit) now() time.Time { return time.Unix(0, k.at.Load()) }

func (k *kit) advance(d time.Duration) { k.at.Add(int64(d)) }

// start makes a kit whose view is fresh.
func start(t testing.TB, change func(*Rules), names ...string) *kit {
	t.Helper()
	k := &kit{TB: t, book: &book{issued: map[ca.Serial]string{}}}
	k.at.Store(birth.UnixNano())
	log := slog.New(slog.DiscardHandler)
	k.view = NewView(k.book, log, k.now)
	k.desk = NewDesk(Options{View: k.view, Certificates: k.book, Observer: &k.seen, Log: log, Now: k.now})
	rules := Rules{Tenant: tenant, CA: caID, Unknown: SayUnknown, Lifetime: 8 * time.Hour, MaxAge: 5 * time.Minute,
		IssuerOf: func(c *ca.Certificate) (ca.Issuer, error) {
			for _, g := range k.gens {
				if g.name == c.Requester {
					return g, nil
				}
			}
			return nil, ca.Errorf(ca.NotFound, "no such generation")
		}}
	rules.Issuers = func() []ca.Issuer { return k.issuers }
	rules.Signer = func(i ca.Issuer) Signer {
		return Direct(i, false, func(_, _ string, lane ca.Lane) {
			if lane == ca.LaneStatus {
				k.used.Add(1)
			}
		})
	}
	if len(names) == 0 {
		names = []string{"one"}
	}
	for _, name := range names {
		g := newGeneration(t, name)
		k.gens = append(k.gens, g)
		k.issuers = append(k.issuers, g)
	}
	if change != nil {
		change(&rules)
	}
	k.r = k.desk.Bind(rules)
	k.poll()
	return k
}

func (k *kit) poll() {
	k.Helper()
	if err := k.view.Poll(k.Context()); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) question(g int, hash pkix.OCSPHash, serials ...ca.Serial) *pkix.OCSPRequest {
	q := &pkix.OCSPRequest{}
	name, keyHash := pkix.IssuerHashes(hash, k.gens[g].facts.Subject, k.gens[g].facts.Key)
	for _, s := range serials {
		q.CertIDs = append(q.CertIDs, pkix.CertID{Raw: pkix.MarshalCertID(hash, name, keyHash, s[:]), Algorithm: hash, NameHash: name, KeyHash: keyHash, Serial: s[:]})
	}
	return q
}

// ask asks about one certificate and has another library read the answer.
func (k *kit) ask(s ca.Serial) *ocsp.Response {
	k.Helper()
	a, err := k.r.Answer(k.Context(), k.question(0, pkix.OCSPSHA1, s))
	if err != nil {
		k.Fatalf("answer: %v", err)
	}
	return k.read(0, a)
}

func (k *kit) read(g int, a *Answer) *ocsp.Response {
	k.Helper()
	got, err := ocsp.ParseResponse(a.DER, k.gens[g].cert)
	if err != nil {
		k.Fatalf("read the answer: %v", err)
	}
	return got
}
