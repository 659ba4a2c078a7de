package est

import (
	"context"
	"crypto"
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
