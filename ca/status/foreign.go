package status

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Listing is one complete CRL of a CA that is not ours. It does not change.
type Listing interface {
	// Find gives the entry of a serial number, the content octets of its INTEGER.
	Find(serial []byte) (e pkix.CRLEntry, listed bool)
	// Span is thisUpdate and nextUpdate.
	Span() (this, next time.Time)
}

// ForeignRules are the settings of a responder that answers for a CA that is
// not ours from its CRL (RFC 6960 section 2.4: thisUpdate is the list's).
type ForeignRules struct {
	Tenant, CA string
	Issuer     *pkix.Certificate
	Signer     Signer
	List       func() Listing // the newest one; nil: none yet

	NotListed     UnknownAs // what is said of a number that is not on the list: SayGood or SayUnknown
	Nonce         bool
	Lifetime      time.Duration // of an answer; it ends with the list at the latest
	MaxAge        time.Duration
	ArchiveCutoff bool // only where the CA's lists keep expired certificates
}

// ForeignCacheSize bounds how many signed answers are kept of one foreign CA.
const ForeignCacheSize = 10_000

// Foreign answers for one CA that is not ours.
type Foreign struct {
	ForeignRules
	desk   *Desk
	hashes issuerHashes
	bucket bucket
	kept   atomic.Pointer[edition]
}

// edition is a list with the answers that were signed from it.
type edition struct {
	list  Listing
	cache *cache[foreignKey]
}

type foreignKey struct {
	hash   pkix.OCSPHash
	serial string
}

// BindForeign makes the responder of a CA that is not ours.
func (d *Desk) BindForeign(rules ForeignRules) *Foreign {
	return &Foreign{ForeignRules: rules, desk: d, hashes: hashesOf(rules.Issuer.Subject, rules.Issuer.Key)}
}

// Answer answers a request. Errors: NotFound where another CA is asked for
// (unauthorized), Unavailable and RateLimited (tryLater).
func (f *Foreign) Answer(ctx context.Context, q *pkix.OCSPRequest) (*Answer, error) {
	a, cached, err := f.answer(ctx, q)
	outcome := Outcome("")
	if err != nil {
		outcome = OutcomeOf(err)
	} else {
		outcome = a.outcome
	}
	f.desk.Observer.OCSPAnswered(f.Tenant, f.CA, outcome, cached)
	return a, err
}

func (f *Foreign) answer(ctx context.Context, q *pkix.OCSPRequest) (a *Answer, cached bool, err error) {
	for i := range q.CertIDs {
		if !f.hashes.match(&q.CertIDs[i]) {
			return nil, false, errForeign
		}
	}
	nonce := q.Nonce
	if !f.Nonce {
		nonce = nil
	}
	e, err := f.current()
	if err != nil {
		return nil, false, err
	}
	if len(q.CertIDs) > 1 || nonce != nil {
		a, err = f.make(ctx, e.list, q.CertIDs, nonce)
		return a, false, err
	}
	k := foreignKey{q.CertIDs[0].Algorithm, string(q.CertIDs[0].Serial)}
	if a := e.cache.get(k, f.desk.Now()); a != nil {
		return a, true, nil
	}
	flight, first := e.cache.join(k)
	if !first {
		select {
		case <-flight.done:
			return flight.answer, false, flight.err
		case <-ctx.Done():
			return nil, false, ca.UnavailableError(ctx.Err(), time.Second)
		}
	}
	// Others wait for it: it does not end with the one who asked.
	if a, err = f.make(context.WithoutCancel(ctx), e.list, q.CertIDs, nil); err == nil && a.MaxAge > 0 {
		e.cache.put(k, a, func() bool { return true }) // an edition's answers end with it
	}
	e.cache.land(k, flight, a, err)
	return a, false, err
}

var (
	errNoList  = ca.UnavailableError(errors.New("no CRL of the foreign CA is there yet"), time.Minute)
	errOldList = ca.UnavailableError(errors.New("the newest CRL of the foreign CA has ended"), time.Minute)
)

// current gives the newest list while it is good.
func (f *Foreign) current() (*edition, error) {
	list := f.List()
	if list == nil {
		return nil, errNoList
	}
	if _, next := list.Span(); !f.desk.Now().Before(next) {
		return nil, errOldList
	}
	for {
		e := f.kept.Load()
		if e != nil && e.list == list {
			return e, nil
		}
		fresh := &edition{list, newCache[foreignKey](ForeignCacheSize)}
		if f.kept.CompareAndSwap(e, fresh) {
			return fresh, nil
		}
	}
}

// make signs what the list says of certificates.
func (f *Foreign) make(ctx context.Context, list Listing, ids []pkix.CertID, nonce []byte) (*Answer, error) {
	leave, err := f.desk.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	now := f.desk.Now()
	this, next := list.Span()
	if promised := now.Add(f.Lifetime); promised.Before(next) {
		next = promised
	}
	outcome, bounded := Several, len(ids) > 1
	singles := make([]pkix.OCSPSingle, len(ids))
	for i := range ids {
		e, listed := list.Find(ids[i].Serial)
		single, one := f.single(e, listed)
		single.CertID, single.ThisUpdate, single.NextUpdate = ids[i].Raw, this, next
		if singles[i] = single; len(ids) == 1 {
			outcome = one
		}
		bounded = bounded || !listed
	}
	if bounded {
		if err := f.bucket.take(now); err != nil {
			return nil, err
		}
	}
	a, err := f.desk.sign(ctx, f.Signer, singles, nonce, false)
	if err != nil {
		return nil, err
	}
	a.outcome = outcome
	if left := a.NextUpdate.Sub(now); len(ids) == 1 && nonce == nil && outcome != Unknown {
		a.MaxAge = max(0, min(f.MaxAge, left/4))
		a.staleAt, a.refreshAt = a.NextUpdate.Add(-a.MaxAge), a.NextUpdate
	}
	f.desk.prepare(a)
	return a, nil
}

// single says how a certificate stands.
func (f *Foreign) single(e pkix.CRLEntry, listed bool) (out pkix.OCSPSingle, o Outcome) {
	if f.ArchiveCutoff {
		out.ArchiveCutoff = f.Issuer.NotBefore
	}
	switch {
	case listed:
		out.Status, out.RevokedAt, out.Reason, out.Invalid = pkix.OCSPRevoked, e.Revoked, e.Reason, e.Invalid
		return out, Revoked
	case f.NotListed == SayUnknown:
		out.Status = pkix.OCSPUnknown
		return out, Unknown
	}
	return out, Good
}
