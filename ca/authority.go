package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Authority is the one way through: every enrollment of every door goes
// decide → lint → sign → record here.
type Authority struct {
	endpoints map[string]*Endpoint
	policy    Policy
	linter    Linter
	issuers   Authorities
	ledger    Ledger
	log       *slog.Logger
	now       func() time.Time
	observer  Observer
	approvals *Approvals
	windows   RenewalWindows
}

// Parts is what an Authority is made of; every part but
// Observer, Approvals and Windows is needed.
type Parts struct {
	Endpoints []Endpoint
	Policy    Policy
	Linter    Linter
	Issuers   Authorities
	Ledger    Ledger
	Log       *slog.Logger
	Now       func() time.Time
	Observer  Observer       // nil: nobody counts
	Approvals *Approvals     // nil: no request waits for an operator; those that must are refused
	Windows   RenewalWindows // nil: no operator asks for renewals
}

// NewAuthority checks the parts. An endpoint without an authentication policy
// is an error: nothing is served without one.
func NewAuthority(p Parts) (*Authority, error) {
	if p.Policy == nil || p.Linter == nil || p.Issuers == nil || p.Ledger == nil || p.Log == nil || p.Now == nil {
		return nil, errors.New("authority: a part is missing")
	}
	a := &Authority{map[string]*Endpoint{}, p.Policy, p.Linter, p.Issuers, p.Ledger, p.Log, p.Now, p.Observer, p.Approvals, p.Windows}
	if w := p.Approvals; w != nil && (w.Store == nil || w.Leases == nil || w.Sealing == nil || w.Lifetime <= 0) {
		return nil, errors.New("authority: a part of the approvals is missing")
	}
	if a.observer == nil {
		a.observer = unobserved{}
	}
	for _, e := range p.Endpoints {
		if len(e.Policies) == 0 {
			return nil, fmt.Errorf("endpoint %s has no authentication policy: it would let anyone in", e.ID)
		}
		for _, set := range e.Policies {
			if len(set) == 0 {
				return nil, fmt.Errorf("endpoint %s has an authentication alternative without a method: it would let anyone in", e.ID)
			}
			for _, m := range set {
				if _, enrolls := caller.Methods()[m]; !enrolls {
					return nil, fmt.Errorf("endpoint %s asks for %q, which is no method that enrolls", e.ID, m)
				}
			}
		}
		if _, taken := a.endpoints[e.ID]; taken {
			return nil, fmt.Errorf("endpoint %s is defined twice", e.ID)
		}
		a.endpoints[e.ID] = &e
	}
	for _, e := range a.endpoints {
		if e.Of == "" {
			continue
		}
		if of, ok := a.endpoints[e.Of]; !ok || of.Of != "" || of.Door != e.Door || of.Tenant != e.Tenant || of.CA != e.CA {
			return nil, fmt.Errorf("endpoint %s is no variant of endpoint %q: that has another door, tenant or CA, or is none", e.ID, e.Of)
		}
	}
	return a, nil
}

// Enroll takes requests through decide, lint, sign and record. What passes is
// committed together; the answers come in the order of the requests. Those whose
// profile wants an operator's approval are parked instead, each in a commit of
// its own, and answered Pending.
//
// Result.Err is *LostEffect when an effect's guard did not hold, or would not as
// the request said itself (Request.Spent), otherwise an *Error carrying the
// request's trace id.
func (a *Authority) Enroll(ctx context.Context, requests ...*Request) []Result {
	results := make([]Result, len(requests))
	var entries []*Entry
	var position []int
	for i, r := range requests {
		p, err := a.decided(ctx, r, a.now())
		if err == nil && p.decision.Manual {
			results[i] = a.park(ctx, r, p)
			continue
		}
		if err == nil && r.Spent {
			results[i] = a.again(ctx, p.endpoint, r)
			continue
		}
		var entry *Entry
		if err == nil {
			entry, err = a.signed(ctx, r, p)
		}
		if err != nil {
			results[i].Err = a.refused(r, err)
			continue
		}
		results[i].Chain = p.issuer.Facts().Chain
		entries, position = append(entries, entry), append(position, i)
	}
	if len(entries) == 0 {
		return results
	}
	recorded, err := a.ledger.Record(ctx, entries...)
	for n, i := range position {
		if err != nil {
			a.discarded(requests[i], entries[n], err)
			results[i] = Result{Err: a.notRecorded(requests[i], err)}
			continue
		}
		results[i].Certificate = &recorded[n].Certificate
		if recorded[n].Replayed { // with the chain of who signed it, which another generation may have been
			a.discarded(requests[i], entries[n], errors.New("the request was answered before"))
			results[i] = a.issued(results[i].Certificate)
			continue
		}
		a.announce(ctx, requests[i], results[i].Certificate)
	}
	return results
}

// announce counts and logs an issuance.
func (a *Authority) announce(ctx context.Context, r *Request, c *Certificate) {
	a.observer.Issued(a.endpoints[r.Endpoint])
	a.log.LogAttrs(ctx, slog.LevelInfo, "certificate.issued", slog.String("trace", r.Trace),
		slog.String("endpoint", c.Endpoint), slog.String("tenant", c.Tenant), slog.String("ca", c.CA),
		slog.String("profile", c.Profile), slog.String("serial", c.Serial.String()), slog.String("requester", c.Requester))
}

// prepared is a request that was decided about.
type prepared struct {
	endpoint *Endpoint
	issuer   Issuer
	serial   Serial // without its month
	decision *Decision
}

// decided takes one request up to the decision. Its claims must have held at proven.
func (a *Authority) decided(ctx context.Context, r *Request, proven time.Time) (*prepared, error) {
	e, err := a.admit(r, proven)
	if err != nil {
		return nil, err
	}
	if !r.Possession.Verified() {
		return nil, Errorf(BadProof, "possession of the private key was not shown")
	}
	issuer, err := a.issuers.Issuer(e.Tenant, e.CA)
	if err != nil {
		return nil, err
	}
	serial := randomSerial() // before the decision, because the CRL's shard follows from it
	d, err := a.decide(ctx, e, r, issuer.Facts().Issuing(serial), proven)
	return &prepared{e, issuer, serial, d}, err
}

// signed takes it up to the signed certificate that is ready to record.
func (a *Authority) signed(ctx context.Context, r *Request, p *prepared) (*Entry, error) {
	made, err := a.sign(ctx, p.issuer, r, p.decision, p.serial.Until(p.decision.NotAfter))
	if err != nil {
		return nil, err
	}
	return newEntry(p.endpoint, r, p.decision, made)
}

// admit holds the request against what no profile can change: a verified
// caller of this very endpoint, its authentication policy, and claims from the
// closed table that belong to the caller and held at proven.
func (a *Authority) admit(r *Request, proven time.Time) (*Endpoint, error) {
	if !r.Caller.Verified() {
		return nil, Errorf(BadProof, "the caller is not authenticated")
	}
	e, ok := a.endpoints[r.Endpoint]
	if !ok {
		return nil, Errorf(NotFound, "there is no such endpoint")
	}
	if r.Caller.Door() != e.Door || r.Caller.Tenant() != e.Tenant || r.Caller.Endpoint() != boundEndpoint(e) {
		return nil, Errorf(BadProof, "the caller was not authenticated at this endpoint")
	}
	if !r.Caller.Satisfies(e.Policies) {
		return nil, Errorf(BadProof, "the caller's authentication does not satisfy this endpoint's policy")
	}
	if r.Renews == nil && slices.Equal(r.Caller.Methods(), []caller.Method{caller.Certificate}) {
		return nil, Errorf(Denied, "a certificate that was issued here renews itself and gets no other one")
	}
	if made := r.Possession.Method() == claim.MadeHereMethod; made != (r.Operation == KeyGen) || made == (len(r.InPlaceOfKey) == 0) {
		return nil, InternalError(errors.New("a key is made here for a request that asks for it, and for no other"))
	}
	for _, c := range r.Claims {
		switch {
		case !c.Verified():
			return nil, InternalError(errors.New("a claim without evidence reached the core"))
		case c.Door() != e.Door || !permitted(e, c):
			return nil, InternalError(fmt.Errorf("claim %s of kind %s by %s is not permitted through %s", c, c.Kind(), c.Method(), e.Door))
		case c.Owner() != r.Caller.ID():
			return nil, Errorf(BadProof, "%s was proven by somebody else", c)
		case !proven.Before(c.Until()):
			return nil, Errorf(BadProof, "the proof of %s has expired", c)
		}
	}
	return e, nil
}

func (a *Authority) decide(ctx context.Context, e *Endpoint, r *Request, facts *Facts, asked time.Time) (*Decision, error) {
	if err := CheckKey(r.Possession.Key()); err != nil {
		return nil, err
	}
	if bytes.Equal(r.Possession.Key().Raw(), facts.Key.Raw()) {
		return nil, keyRefused("the key is the issuing CA's own")
	}
	r, err := a.withRecord(ctx, e, r, asked)
	if err != nil {
		return nil, err
	}
	d, err := a.policy.Decide(e, r, facts, a.now())
	if err != nil {
		return nil, err
	}
	if r.Renews != nil && r.Renews.Recorded.Shown {
		if err := keepsIdentity(d, r.Renews.Recorded); err != nil {
			return nil, err
		}
	}
	if err := bound(r.Caller, d.Profile, d.AltNames, r.Possession.Key()); err != nil {
		return nil, err
	}
	if err := boundSubject(r.Caller, d.Subject); err != nil {
		return nil, err
	}
	if err := facts.Bounds.CheckNames(d.Subject, d.AltNames); err != nil {
		return nil, err
	}
	return d, facts.Bounds.CheckAuthority(d.Extensions)
}

// refused logs and audits a refusal and gives the error its trace id.
func (a *Authority) refused(r *Request, err error) error {
	e := *AsError(err)
	e.Trace = r.Trace
	a.observer.Refused(a.endpoints[r.Endpoint], e.Kind)
	a.log.LogAttrs(context.Background(), slog.LevelWarn, "request.refused", slog.String("trace", r.Trace),
		slog.String("endpoint", r.Endpoint), slog.String("caller", r.Caller.String()), slog.String("kind", e.Kind.String()),
		slog.String("field", e.Field), slog.String("rule", e.Rule), slog.String("error", e.Error()))
	if r.Caller.Verified() {
		a.ledger.Note(a.audit(r, "request.refused", map[string]string{
			"endpoint": r.Endpoint, "kind": e.Kind.String(), "field": e.Field, "rule": e.Rule, "text": e.Public}))
	}
	return &e
}

// notRecorded turns the ledger's refusal into the caller's answer.
func (a *Authority) notRecorded(r *Request, err error) error {
	var lost *LostEffect
	if errors.As(err, &lost) {
		return lost
	}
	return a.refused(r, err)
}

// discarded counts a signature that never leaves: it is audited with its
// serial and to-be-signed hash, so that every use of the key is accounted for.
func (a *Authority) discarded(r *Request, e *Entry, why error) {
	a.observer.Discarded(e.Certificate.Tenant, e.Certificate.CA)
	a.log.LogAttrs(context.Background(), slog.LevelWarn, "signature.discarded", slog.String("trace", r.Trace),
		slog.String("serial", e.Certificate.Serial.String()), slog.String("error", why.Error()))
	a.ledger.Note(a.audit(r, "signature.discarded", map[string]string{"ca": e.Certificate.CA,
		"serial": e.Certificate.Serial.String(), "tbs_sha256": fmt.Sprintf("%x", e.TBSHash)}))
}

func (a *Authority) audit(r *Request, event string, detail map[string]string) Audit {
	from(r.Client, detail)
	return Audit{Tenant: r.Caller.Tenant(), Event: event, Actor: r.Caller.ID(), Trace: r.Trace, Detail: a.detail(detail), At: a.now()}
}

// from puts the client's address into the detail of an audit row.
func from(client netip.Addr, detail map[string]string) {
	if client.IsValid() {
		detail["client"] = client.String()
	}
}

// newEntry gathers what the ledger records about a signed certificate.
func newEntry(e *Endpoint, r *Request, d *Decision, s *signedCertificate) (*Entry, error) {
	fields, err := json.Marshal(d.Fields)
	if err != nil {
		return nil, InternalError(err)
	}
	about := map[string]string{"ca": e.CA, "serial": s.serial.String(), "profile": d.Profile,
		"endpoint": e.Recorded(), "operation": string(r.Operation), "transaction": r.Transaction,
		"subject": d.Subject.String(), "not_after": d.NotAfter.Format(time.RFC3339)}
	if b, ok := r.Caller.Binding(); ok {
		about["credential"] = b.Credential
	}
	from(r.Client, about)
	detail, err := json.Marshal(about)
	if err != nil {
		return nil, InternalError(err)
	}
	key := r.Possession.Key()
	return &Entry{
		Certificate: Certificate{Tenant: e.Tenant, CA: e.CA, Serial: s.serial, DER: s.der, NotBefore: d.NotBefore,
			NotAfter: d.NotAfter, Profile: d.Profile, Requester: r.Caller.ID(), Endpoint: e.Recorded(), State: Issued, Trace: r.Trace},
		Subject: d.Subject.String(), AltNames: d.AltNames, KeyID: key.KeyID(), KeyHash: key.Hash(),
		TBSHash: sha256.Sum256(s.tbs), ProfileHash: d.ProfileHash, Decision: fields,
		Unique:   uniqueOnce(d.Unique),
		Replaces: d.Replaces, RevokeReplaced: d.RevokeReplaced, Overlap: d.Renewal.Overlap,
		Idempotency: idempotency(e, r),
		Audit:       Audit{Tenant: e.Tenant, Event: "certificate.issued", Actor: r.Caller.ID(), Trace: r.Trace, Detail: detail},
		Effects:     r.Effects,
	}, nil
}

// uniqueOnce gives each value once: a certificate is not in its own way.
func uniqueOnce(all []Unique) (once []Unique) {
	for _, u := range all {
		if !slices.ContainsFunc(once, func(o Unique) bool { return o.Value == u.Value }) {
			once = append(once, u)
		}
	}
	return once
}

// signedCertificate is what sign makes.
type signedCertificate struct {
	serial Serial
	tbs    []byte
	der    []byte
}

// sign encodes, lints and signs: what is signed is what was linted, and the
// signature is verified with the issuer's key before anything is recorded.
func (a *Authority) sign(ctx context.Context, issuer Issuer, r *Request, d *Decision, serial Serial) (*signedCertificate, error) {
	facts := issuer.Facts()
	t := &pkix.Template{Serial: serial[:], Signature: facts.Signature, Issuer: facts.Subject, NotBefore: d.NotBefore,
		NotAfter: d.NotAfter, Subject: d.Subject, Key: r.Possession.Key(), Extensions: d.Extensions}
	tbs, err := t.MarshalTBS()
	if err != nil {
		return nil, InternalError(err)
	}
	if err := a.linter.Lint(tbs, t, d.Profile); err != nil {
		return nil, err
	}
	linted := sha256.Sum256(tbs)
	lane := LaneEnrollment
	if r.Operation == Renew || r.Operation == Rekey || r.Operation == KeyGen && r.Renews != nil {
		lane = LaneRenewal
	}
	signature, err := issuer.Sign(ctx, lane, tbs)
	if err != nil {
		return nil, AsError(err)
	}
	a.observer.Signed(facts.Tenant, facts.CA, lane)
	der, err := pkix.Assemble(tbs, facts.Signature, signature)
	if err != nil {
		return nil, InternalError(err)
	}
	cert, err := pkix.ParseCertificate(der)
	if err != nil {
		return nil, InternalError(fmt.Errorf("the signed certificate does not parse: %w", err))
	}
	if sha256.Sum256(cert.RawTBS) != linted {
		return nil, InternalError(errors.New("the signed bytes are not the linted ones"))
	}
	if err := cert.CheckSignatureFrom(facts.Key); err != nil {
		return nil, InternalError(fmt.Errorf("the issuer's signature does not verify: %w", err))
	}
	return &signedCertificate{serial, tbs, der}, nil
}
