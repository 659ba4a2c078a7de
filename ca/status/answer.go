package status

import (
	"context"
	"errors"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// standing is what is to be said of one certificate.
type standing struct {
	entry   Entry
	revoked bool
	asOf    time.Time
}

// stand asks view and ledger. NotFound: this generation never issued it.
func (r *Responder) stand(ctx context.Context, g int, serial ca.Serial) (s standing, err error) {
	if s.entry, s.revoked, s.asOf, err = r.desk.View.Find(ctx, r.table, serial); err != nil {
		return s, err
	}
	generations := r.generations()
	if s.revoked && len(generations) == 1 {
		return s, nil // a revocation outlives its certificate
	}
	cert, err := r.desk.Certificates.Certificate(ctx, r.Tenant, r.CA, serial)
	switch {
	case ca.IsKind(err, ca.NotFound) && s.revoked:
		return s, nil
	case err != nil:
		return s, err
	case len(generations) == 1:
		return s, nil
	}
	issuer, err := r.IssuerOf(cert)
	if err != nil {
		return s, err
	}
	if !same(issuer.Facts(), generations[g].Facts) {
		return s, errForeign // another generation's: its number says nothing here
	}
	return s, nil
}

// make signs the answer about one issued certificate and keeps it.
func (r *Responder) make(ctx context.Context, k key) (*Answer, error) {
	for range 3 { // it can change while it is signed
		s, err := r.stand(ctx, k.issuer, k.serial)
		if err != nil {
			return nil, err
		}
		single := r.single(k.issuer, s)
		single.CertID = r.certID(k)
		a, err := r.sign(ctx, k.issuer, []pkix.OCSPSingle{single}, nil, false)
		if err != nil {
			return nil, err
		}
		a.outcome, a.MaxAge = Good, r.MaxAge
		if s.revoked {
			a.outcome = Revoked
		}
		life := a.NextUpdate.Sub(a.ThisUpdate)
		a.MaxAge = min(r.MaxAge, life/4)
		a.refreshAt, a.staleAt = a.ThisUpdate.Add(life/2), a.NextUpdate.Add(-a.MaxAge)
		r.desk.prepare(a)
		if r.desk.cache.put(k, a, func() bool {
			e, found, ok := r.table.find(k.serial)
			return ok && found == s.revoked && e == s.entry
		}) {
			return a, nil
		}
	}
	return nil, ca.UnavailableError(errors.New("the certificate's status changed three times while it was signed"), time.Second)
}

// certID encodes the CertID of a cached answer as it was asked.
func (r *Responder) certID(k key) []byte {
	g := r.generations()[k.issuer]
	return pkix.MarshalCertID(k.hash, g.name[k.hash], g.key[k.hash], k.serial[:])
}

// single says how a certificate stands.
func (r *Responder) single(g int, s standing) pkix.OCSPSingle {
	out := pkix.OCSPSingle{ThisUpdate: s.asOf, NextUpdate: s.asOf.Add(r.Lifetime)}
	if s.revoked {
		out.Status, out.RevokedAt, out.Reason, out.Invalid = pkix.OCSPRevoked, s.entry.At, uint8(s.entry.Reason), s.entry.Invalid
	}
	if r.ArchiveCutoff { // RFC 6960 section 4.4.4
		out.ArchiveCutoff = r.generations()[g].NotBefore
		if r.ArchiveSince != nil {
			if since := r.ArchiveSince(s.asOf); since.After(out.ArchiveCutoff) {
				out.ArchiveCutoff = since
			}
		}
	}
	return out
}

// unissued says what the settings say of certificates that do not exist. Of a
// month that was dropped nobody knows which did: that is unknown in any case.
func (r *Responder) unissued(ctx context.Context, serial ca.Serial, ours bool, asOf time.Time) (pkix.OCSPSingle, error) {
	said := r.Unknown
	if _, end, ends := serial.Month().Range(); ours && ends && end.Before(asOf) && said != SayUnknown {
		switch _, err := r.desk.Certificates.Month(ctx, serial.Month()); {
		case err == nil:
			said = SayUnknown
		case !ca.IsKind(err, ca.NotFound):
			return pkix.OCSPSingle{}, err
		}
	}
	return r.neverIssued(said, asOf), nil
}

func (r *Responder) neverIssued(said UnknownAs, asOf time.Time) (out pkix.OCSPSingle) {
	out = pkix.OCSPSingle{ThisUpdate: asOf, NextUpdate: asOf.Add(min(unknownLife, r.Lifetime)), Status: pkix.OCSPUnknown}
	switch said {
	case SayGood:
		out.Status = pkix.OCSPGood
	case SayRevoked:
		out.NeverIssued()
	}
	return out
}

// live signs an answer that is not kept: with a nonce, about several
// certificates, or about one that was never issued.
func (r *Responder) live(ctx context.Context, g int, ids []pkix.CertID, nonce []byte) (*Answer, error) {
	leave, err := r.desk.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	asOf, err := r.desk.View.Fresh()
	if err != nil {
		return nil, err
	}
	var singles []pkix.OCSPSingle
	outcome, extended := Several, false
	for i := range ids {
		if r.issuer(&ids[i]) != g { // one answer has one signer
			return nil, errForeign
		}
		single, one, err := r.about(ctx, g, ids[i].Serial, asOf)
		if err != nil {
			return nil, err
		}
		if single.CertID = ids[i].Raw; one == Unknown && single.Status == pkix.OCSPRevoked {
			extended = true
		}
		if singles = append(singles, single); len(ids) == 1 {
			outcome = one
		}
	}
	if outcome == Several || outcome == Unknown {
		if err := r.bucket.take(r.desk.Now()); err != nil {
			return nil, err
		}
	}
	a, err := r.sign(ctx, g, singles, nonce, extended)
	if err != nil {
		return nil, err
	}
	a.outcome = outcome
	r.desk.prepare(a)
	return a, nil
}

// about says how one certificate of several stands.
func (r *Responder) about(ctx context.Context, g int, content []byte, asOf time.Time) (pkix.OCSPSingle, Outcome, error) {
	serial, ours := r.ours(g, content)
	if ours {
		s, err := r.stand(ctx, g, serial)
		switch {
		case err == nil && s.revoked:
			return r.single(g, s), Revoked, nil
		case err == nil:
			return r.single(g, s), Good, nil
		case !ca.IsKind(err, ca.NotFound):
			return pkix.OCSPSingle{}, Failed, err
		}
	}
	single, err := r.unissued(ctx, serial, ours, asOf)
	return single, Unknown, err
}

func (d *Desk) prepare(a *Answer) {
	if d.Prepare != nil {
		a.Prepared = d.Prepare(a)
	}
}

func (r *Responder) sign(ctx context.Context, g int, singles []pkix.OCSPSingle, nonce []byte, extended bool) (*Answer, error) {
	return r.desk.sign(ctx, r.Signer(r.Issuers()[g]), singles, nonce, extended)
}

// sign encodes and signs; nothing is promised beyond the signer's own end.
func (d *Desk) sign(ctx context.Context, signer Signer, singles []pkix.OCSPSingle, nonce []byte, extended bool) (*Answer, error) {
	who, err := signer.Signatory(ctx)
	if err != nil {
		return nil, err
	}
	now := d.Now().UTC()
	a := &Answer{ProducedAt: now.Truncate(time.Second)}
	for i := range singles {
		s := &singles[i]
		s.ThisUpdate = s.ThisUpdate.UTC().Truncate(time.Second)
		if s.NextUpdate = s.NextUpdate.UTC().Truncate(time.Second); s.NextUpdate.After(who.NotAfter) {
			s.NextUpdate = who.NotAfter
		}
		if a.ThisUpdate.IsZero() || s.NextUpdate.Before(a.NextUpdate) {
			a.ThisUpdate, a.NextUpdate = s.ThisUpdate, s.NextUpdate
		}
	}
	data := &pkix.OCSPData{Responder: who.Responder, ProducedAt: a.ProducedAt, Singles: singles, Nonce: nonce, ExtendedRevoke: extended}
	tbs, err := data.MarshalTBS()
	if err != nil {
		return nil, ca.InternalError(err)
	}
	signature, err := who.Sign(ctx, tbs)
	if err != nil {
		return nil, err
	}
	if a.DER, err = pkix.AssembleOCSP(tbs, who.Algorithm, signature, who.Certificates); err != nil {
		return nil, ca.InternalError(err)
	}
	return a, nil
}
