package service

import (
	"crypto"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// asking is a service that enrolls for itself.
type asking struct {
	callers caller.Verifier
	claims  claim.Verifier
	who     caller.ServiceIdentity
}

// request asks for a certificate of the service's own key, which names nobody yet.
func (a asking) request(endpoint string, key crypto.PublicKey) (*ca.Request, error) {
	who, err := caller.FromService(a.callers, a.who)
	if err != nil {
		return nil, err
	}
	public, err := pkix.NewPublicKey(key)
	if err != nil {
		return nil, err
	}
	possession, err := claim.OwnKey(a.claims, public)
	if err != nil {
		return nil, err
	}
	return &ca.Request{Trace: ca.NewTrace(), Endpoint: endpoint, Operation: ca.Enroll, Caller: who, Possession: possession}, nil
}
