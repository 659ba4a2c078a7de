package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
)

// Replay says which recorded requests are decided again under another profile.
type Replay struct {
	profile.Replayer           // Old is the profile whose certificates are looked at, by its id
	Tenants          []string  // to look in
	Since            time.Time // of issuance
}

// ReplayedRequest is how one recorded request would fare.
type ReplayedRequest struct {
	Tenant  string               `json:"tenant"`
	CA      string               `json:"ca"`
	Serial  string               `json:"serial"`
	Subject string               `json:"subject"`
	Names   []string             `json:"names"`
	Verdict string               `json:"verdict"`
	Why     string               `json:"why,omitempty"`
	Field   string               `json:"field,omitempty"` // of a refusal
	Rule    string               `json:"rule,omitempty"`
	Text    string               `json:"text,omitempty"`
	Changes []profile.Difference `json:"changes,omitempty"`
}

// replayPage is how many certificates are held at a time.
const replayPage = 200

// ReplayRequests decides every recorded request of the span again, oldest
// expiry first within a CA, and hands each to tell. It holds a page of
// certificates at a time. Requests that were refused are not recorded whole, so
// that only what was issued is replayed.
func ReplayRequests(ctx context.Context, r Records, in *Replay, tell func(*ReplayedRequest) error) error {
	for _, tenant := range in.Tenants {
		generations, err := r.Generations(ctx, tenant)
		if err != nil {
			return err
		}
		ids, err := authorityIDs(ctx, r, tenant)
		if err != nil {
			return err
		}
		for _, id := range ids {
			f := ca.Filter{Tenant: tenant, CA: id, Profile: in.Old.ID(), ExpiresIn: ca.Window{From: in.Since}, Limit: replayPage}
			for {
				found, err := r.FindCertificates(ctx, &f)
				if err != nil {
					return err
				}
				for i := range found {
					if found[i].IssuedAt.Before(in.Since) {
						continue
					}
					one, err := in.one(ctx, r, &found[i], generations)
					if err == nil {
						err = tell(one)
					}
					if err != nil {
						return err
					}
				}
				if len(found) < replayPage {
					break
				}
				f.After = found[len(found)-1].Serial
			}
		}
	}
	return nil
}

// one replays one request.
func (in *Replay) one(ctx context.Context, r Records, c *ca.Certificate, generations []ca.Generation) (*ReplayedRequest, error) {
	row, parsed, err := describe(c)
	if err != nil {
		return nil, err
	}
	out := &ReplayedRequest{Tenant: c.Tenant, CA: c.CA, Serial: row.Serial, Subject: row.Subject, Names: row.Names, Verdict: profile.ReplayNone}
	detail, hash, err := r.Decision(ctx, c.Tenant, c.CA, c.Serial)
	if ca.IsKind(err, ca.NotFound) {
		out.Why = "its decision is not in the records any more"
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	issued := &profile.Issued{Certificate: parsed, ProfileHash: hash, Operation: ca.Enroll, At: c.IssuedAt, Door: doorOf(c.Requester),
		Caller: c.Requester, Endpoint: c.Endpoint, Tenant: c.Tenant}
	if err := json.Unmarshal(detail, &issued.Fields); err != nil {
		return nil, ca.InternalError(err)
	}
	if in.Old.HasRules() || in.New.HasRules() || len(in.Old.ServerKeys())+len(in.New.ServerKeys()) > 0 {
		if issued.Operation, err = operationOf(ctx, r, c); err != nil {
			return nil, err
		}
	}
	facts, err := in.issuerOf(c, parsed, issued.Fields, generations)
	if err != nil {
		return nil, err
	}
	if facts == nil {
		out.Why = "the certificate of its issuer is not in the records"
		return out, nil
	}
	replayed := in.Replay(issued, facts)
	out.Verdict, out.Why, out.Changes = replayed.Verdict, replayed.Why, replayed.Changes
	if e := replayed.Refusal; e != nil {
		out.Field, out.Rule, out.Text = e.Field, e.Rule, e.Public
	}
	return out, nil
}

// doorOf gives the door of a requester by how its id begins; "" for one that
// is not known.
func doorOf(requester string) caller.Door {
	kind, _, _ := strings.Cut(requester, ":")
	return map[string]caller.Door{"acme-account": caller.ACME, "service": caller.System, "operator": caller.Operator}[kind]
}

// operationOf reads from the audit trail what a request wanted; enroll where
// the trail does not say.
func operationOf(ctx context.Context, r Records, c *ca.Certificate) (ca.Operation, error) {
	rows, err := r.AuditByTrace(ctx, c.Tenant, c.Trace)
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		var about issuance
		if row.Event != "certificate.issued" {
			continue
		}
		if err := json.Unmarshal(row.Detail, &about); err != nil {
			return "", ca.InternalError(err)
		}
		if about.CA == c.CA && about.Serial == c.Serial.String() && about.Operation != "" {
			return ca.Operation(about.Operation), nil
		}
	}
	return ca.Enroll, nil
}

// noAddress stands where nobody knows the address that a certificate would
// name: the old profile has it switched off.
const noAddress = "http://ca.invalid/"

// issuerOf gives the facts of the generation that signed a certificate, with
// the addresses of that day; nil where it is not there.
func (in *Replay) issuerOf(c *ca.Certificate, parsed *pkix.Certificate, fields []ca.Field, generations []ca.Generation) (*ca.Facts, error) {
	for i := range generations {
		g := &generations[i]
		if g.CA != c.CA {
			continue
		}
		issuer, err := pkix.ParseCertificate(g.DER)
		if err != nil {
			return nil, ca.InternalError(err)
		}
		if !bytes.Equal(issuer.Subject, parsed.Issuer) || parsed.CheckSignatureFrom(issuer.Key) != nil {
			continue
		}
		extension, _ := pkix.FindExtension(issuer.Extensions, pkix.OIDSubjectKeyID)
		id, err := pkix.ParseSubjectKeyID(extension.Value)
		if err != nil {
			return nil, ca.InternalError(err)
		}
		algorithm, err := pkix.SignatureFor(issuer.Key)
		if err != nil {
			return nil, ca.InternalError(err)
		}
		facts := &ca.Facts{Tenant: c.Tenant, CA: c.CA, Generation: g.Number, Subject: issuer.Subject, KeyID: id, Key: issuer.Key,
			Signature: algorithm, NotBefore: issuer.NotBefore, NotAfter: issuer.NotAfter}
		aia, crl, ocsp := in.Old.URLs()
		facts.AIA, facts.CDP, facts.OCSP = addresses(fields, "urls.aia", aia), addresses(fields, "urls.crl", crl), addresses(fields, "urls.ocsp", ocsp)
		return facts, nil
	}
	return nil, nil
}

// addresses gives the addresses that a certificate was given; where the old
// profile gives none, one that stands for the CA's.
func addresses(fields []ca.Field, name string, on bool) []string {
	for _, f := range fields {
		if f.Name == name && f.Value != "" {
			return strings.Fields(f.Value)
		}
	}
	if on {
		return nil // the CA had none
	}
	return []string{noAddress + strings.TrimPrefix(name, "urls.")}
}
