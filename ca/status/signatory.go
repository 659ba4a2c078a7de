package status

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Signatory is who signs OCSP answers of one CA generation now.
type Signatory struct {
	Responder    pkix.OCSPResponderID
	Certificates [][]byte // what clients need beside the CA's certificate: the delegated one
	Algorithm    *pkix.SignatureAlgorithm
	NotAfter     time.Time // nothing is promised beyond
	Sign         func(ctx context.Context, tbs []byte) ([]byte, error)
}

// Signer finds the signatory; Unavailable where there is none at present.
type Signer interface {
	Signatory(ctx context.Context) (*Signatory, error)
}

// Direct signs with the CA's own key (RFC 6960 section 4.2.2.2). used is told of
// each signature, for counting.
func Direct(issuer ca.Issuer, byName bool, used func(tenant, ca string, lane ca.Lane)) Signer {
	f := issuer.Facts()
	s := &Signatory{Responder: ResponderID(f.Subject, f.Key, byName), Algorithm: f.Signature, NotAfter: f.NotAfter,
		Sign: func(ctx context.Context, tbs []byte) ([]byte, error) {
			signature, err := issuer.Sign(ctx, ca.LaneStatus, tbs)
			if err == nil {
				used(f.Tenant, f.CA, ca.LaneStatus)
			}
			return signature, err
		}}
	return direct{s}
}

type direct struct{ s *Signatory }

func (d direct) Signatory(context.Context) (*Signatory, error) { return d.s, nil }

// ResponderID names a signer by its key, or by its name where clients want that.
func ResponderID(name pkix.RawName, key pkix.PublicKey, byName bool) pkix.OCSPResponderID {
	if byName {
		return pkix.OCSPResponderID{Name: name}
	}
	return pkix.OCSPResponderID{KeyHash: key.OCSPKeyHash()}
}
