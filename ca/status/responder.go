package status

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// UnknownAs is what is said of serial numbers that were never issued.
type UnknownAs string

// The ways (RFC 6960 section 2.2).
const (
	SayUnknown UnknownAs = "unknown"
	SayGood    UnknownAs = "good"
	SayRevoked UnknownAs = "revoked" // extended revoked, section 4.4.8
)

// Rules are the settings of one CA's responder.
type Rules struct {
	Tenant, CA string
	// Issuers gives every generation of the CA, each a certificate that questions
	// may name as issuer; at least one. The list only ever grows.
	Issuers func() []ca.Issuer
	// Signer gives who signs for what a generation issued.
	Signer func(ca.Issuer) Signer
	// IssuerOf finds the generation of a recorded certificate.
	IssuerOf func(*ca.Certificate) (ca.Issuer, error)

	Unknown       UnknownAs
	Nonce         bool          // answer nonces, each with a signature of its own; else they are ignored
	Lifetime      time.Duration // nextUpdate - thisUpdate
	MaxAge        time.Duration // for HTTP caches; at most a quarter of Lifetime
	ArchiveCutoff bool          // say since when expired certificates are answered for
	// ArchiveSince gives since when every expired certificate is still recorded,
	// the zero time where nothing was ever dropped; nil: never. The CA's beginning bounds it.
	ArchiveSince func(now time.Time) time.Time
}

// Responder answers for one CA.
type Responder struct {
	Rules
	desk   *Desk
	table  *Table
	last   atomic.Pointer[generations] // as Issuers last gave them
	bucket bucket
}

// generations are those of the CA, with what is found out about them once.
type generations struct {
	issuers []ca.Issuer
	known   []generation
}

// generation is one CA certificate. Several may be of the same key and name.
type generation struct {
	*ca.Facts
	issuerHashes
	first, last ca.Month // in which certificates of this key and name can end
}

func gather(issuers []ca.Issuer) *generations {
	all := &generations{issuers: issuers}
	for _, i := range issuers {
		f := i.Facts()
		g := generation{Facts: f, issuerHashes: hashesOf(f.Subject, f.Key), first: ca.MonthOf(f.NotBefore), last: ca.MonthOf(f.NotAfter)}
		for _, other := range issuers {
			if o := other.Facts(); same(o, f) {
				g.first, g.last = min(g.first, ca.MonthOf(o.NotBefore)), max(g.last, ca.MonthOf(o.NotAfter))
			}
		}
		all.known = append(all.known, g)
	}
	return all
}

// same tells whether two certificates are of one key and name: what either
// signed, both did.
func same(a, b *ca.Facts) bool {
	return bytes.Equal(a.Subject, b.Subject) && bytes.Equal(a.Key.Raw(), b.Key.Raw())
}

// generations gives the CA's generations as they are now.
func (r *Responder) generations() []generation {
	issuers := r.Issuers()
	all := r.last.Load()
	if all == nil || !slices.Equal(all.issuers, issuers) {
		all = gather(issuers)
		r.last.Store(all)
	}
	return all.known
}

// Bind makes the responder of one CA. It reads nothing: a CA's statuses are
// read when somebody first asks.
func (d *Desk) Bind(rules Rules) *Responder {
	r := &Responder{Rules: rules, desk: d}
	r.table = d.View.Table(rules.Tenant, rules.CA, r.changed)
	return r
}

// changed takes out the answers about a certificate and has those that were
// asked for signed again.
func (r *Responder) changed(s *ca.Status) {
	for g := range r.generations() {
		for h := pkix.OCSPSHA1; h <= pkix.OCSPSHA256Bare; h++ {
			k := key{r, g, h, s.Serial}
			if !r.desk.cache.drop(k) {
				continue
			}
			select {
			case r.desk.again <- k:
			default: // signed when somebody asks
			}
		}
	}
}

// issuer finds the generation that a CertID names; -1 where it is none of ours.
func (r *Responder) issuer(id *pkix.CertID) int {
	for n, g := range r.generations() {
		if g.match(id) {
			return n
		}
	}
	return -1
}

var (
	errForeign = ca.Errorf(ca.NotFound, "the certificate's issuer is not this CA")
	errNeeds   = ca.Errorf(ca.RateLimited, "too many questions about certificates that were never issued")
)

// Answer answers a request. Errors: NotFound where this CA did not issue what
// is asked for (unauthorized), Unavailable and RateLimited (tryLater).
func (r *Responder) Answer(ctx context.Context, q *pkix.OCSPRequest) (*Answer, error) {
	a, cached, err := r.answer(ctx, q)
	outcome := Outcome("")
	if err != nil {
		outcome = OutcomeOf(err)
	} else {
		outcome = a.outcome
	}
	r.desk.Observer.OCSPAnswered(r.Tenant, r.CA, outcome, cached)
	return a, err
}

func (r *Responder) answer(ctx context.Context, q *pkix.OCSPRequest) (a *Answer, cached bool, err error) {
	g := r.issuer(&q.CertIDs[0])
	if g < 0 {
		return nil, false, errForeign
	}
	nonce := q.Nonce
	if !r.Nonce {
		nonce = nil
	}
	if len(q.CertIDs) > 1 || nonce != nil {
		a, err = r.live(ctx, g, q.CertIDs, nonce)
		return a, false, err
	}
	id := &q.CertIDs[0]
	serial, ours := r.ours(g, id.Serial)
	if !ours {
		a, err = r.live(ctx, g, q.CertIDs, nil)
		return a, false, err
	}
	if _, err := r.desk.View.Fresh(); err != nil {
		return nil, false, err
	}
	k := key{r, g, id.Algorithm, serial}
	if a := r.desk.cache.get(k, r.desk.Now()); a != nil {
		return a, true, nil
	}
	f, first := r.desk.cache.join(k)
	if !first {
		select {
		case <-f.done:
			a, err = f.answer, f.err
		case <-ctx.Done():
			return nil, false, ca.UnavailableError(ctx.Err(), time.Second)
		}
	} else {
		a, err = r.first(ctx, k)
		r.desk.cache.land(k, f, a, err)
	}
	if ca.IsKind(err, ca.NotFound) { // never issued: nothing of it is kept
		a, err = r.live(ctx, g, q.CertIDs, nil)
	}
	return a, false, err
}

// first makes an answer that nobody else makes; others wait for it, so that it
// does not end with the one who asked.
func (r *Responder) first(ctx context.Context, k key) (*Answer, error) {
	leave, err := r.desk.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), signTime)
	defer cancel()
	return r.make(ctx, k)
}

// ours reads a serial number; false where none of ours looks like that: they
// have 16 octets and begin with a month in which the CA's certificates can end.
func (r *Responder) ours(g int, content []byte) (s ca.Serial, ok bool) {
	if len(content) != ca.SerialSize {
		return s, false
	}
	copy(s[:], content)
	of := r.generations()[g]
	return s, s.Month() >= of.first && s.Month() <= of.last
}
