package status

import (
	"context"
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

// Generation is one CA certificate that questions may name as issuer.
type Generation struct {
	Facts  *ca.Facts
	Signer Signer
}

// Rules are the settings of one CA's responder.
type Rules struct {
	Tenant, CA  string
	Generations []Generation // the newest first; at least one
	// IssuerOf finds the generation of a recorded certificate.
	IssuerOf func(*ca.Certificate) (ca.Issuer, error)

	Unknown       UnknownAs
	Nonce         bool          // answer nonces, each with a signature of its own; else they are ignored
	Lifetime      time.Duration // nextUpdate - thisUpdate
	MaxAge        time.Duration // for HTTP caches; at most a quarter of Lifetime
	ArchiveCutoff bool          // say that expired certificates are answered for, back to the CA's beginning
}

// Responder answers for one CA.
type Responder struct {
	Rules
	desk   *Desk
	table  *Table
	hashes []issuerHashes // by generation
	bucket bucket
}

// Bind makes the responder of one CA. It reads nothing: a CA's statuses are
// read when somebody first asks.
func (d *Desk) Bind(rules Rules) *Responder {
	r := &Responder{Rules: rules, desk: d}
	for _, g := range rules.Generations {
		r.hashes = append(r.hashes, hashesOf(g.Facts.Subject, g.Facts.Key))
	}
	r.table = d.View.Table(rules.Tenant, rules.CA, r.changed)
	return r
}

// changed takes out the answers about a certificate and has those that were
// asked for signed again.
func (r *Responder) changed(s *ca.Status) {
	for g := range r.Generations {
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
	for g := range r.hashes {
		if r.hashes[g].match(id) {
			return g
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
	end := r.Generations[g].Facts.NotAfter
	return s, s.Month() >= ca.MonthOf(r.Generations[g].Facts.NotBefore) && s.Month() <= ca.MonthOf(end)
}
