package est

import (
	"context"
	"crypto"
	"errors"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// Signer is what signs messages for a CA: its registration authority. Keys that
// are handed out encrypted are signed by it (RFC 7030 section 4.4.2), and so are
// full PKI responses (RFC 5272 section 4.1).
type Signer interface {
	// Signatory gives the certificate and key to sign with now.
	Signatory(ctx context.Context) (*Signatory, error)
}

// Signatory is a certificate with its key.
type Signatory struct {
	Certificates [][]byte // DER: its own, then its issuers' without a self-signed root
	Key          crypto.Signer
}

// sign makes the signer of a message, and gives the certificates that go with it.
func sign(ctx context.Context, by Signer) (cms.Signer, [][]byte, error) {
	who, err := by.Signatory(ctx)
	if err != nil {
		return cms.Signer{}, nil, err
	}
	if len(who.Certificates) == 0 {
		return cms.Signer{}, nil, ca.InternalError(errors.New("the registration authority has no certificate"))
	}
	own, err := cms.ReadCertificate(who.Certificates[0])
	if err != nil {
		return cms.Signer{}, nil, ca.InternalError(err)
	}
	return cms.Signer{Key: who.Key, Certificate: own}, who.Certificates, nil
}
