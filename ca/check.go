package ca

import (
	"context"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Methods lists how names of a kind may be proven at an endpoint, nil where none
// are issued: what a door may offer.
func (a *Authority) Methods(endpoint string, kind claim.Kind) []claim.Method {
	e, ok := a.endpoints[endpoint]
	if !ok {
		return nil
	}
	return a.policy.Methods(e, kind)
}

// Check decides and signs nothing. A request without possession is one whose
// names are not proven yet: only whether they could be issued is said.
func (a *Authority) Check(ctx context.Context, r *Request) (*Decision, error) {
	e, err := a.admit(r, a.now())
	if err != nil {
		return nil, a.refused(r, err)
	}
	if !r.Possession.Verified() {
		if r.Renews != nil {
			old, err := a.renewed(ctx, e, r, a.now())
			if err == nil {
				_, err = a.policy.Renewable(e, old)
			}
			if err != nil {
				return nil, a.refused(r, err)
			}
		}
		if err := bound(r.Caller, e.Profile, r.Asserted.AltNames, pkix.PublicKey{}); err != nil {
			return nil, a.refused(r, err)
		}
		if err := a.policy.Permit(e, r.Asserted.AltNames); err != nil {
			return nil, a.refused(r, err)
		}
		issuer, err := a.issuers.Issuer(e.Tenant, e.CA)
		if err == nil {
			err = issuer.Facts().Bounds.CheckNames(pkix.EmptyName, r.Asserted.AltNames)
		}
		if err != nil {
			return nil, a.refused(r, err)
		}
		return &Decision{Profile: e.Profile, AltNames: r.Asserted.AltNames}, nil
	}
	issuer, err := a.issuers.Issuer(e.Tenant, e.CA)
	if err != nil {
		return nil, a.refused(r, err)
	}
	d, err := a.decide(ctx, e, r, issuer.Facts(), a.now())
	if err != nil {
		return nil, a.refused(r, err)
	}
	return d, nil
}
