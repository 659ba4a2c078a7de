package hierarchy

import (
	"context"
	"crypto/sha256"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Key says where a key is and what opens it. An Algorithm has it made where
// there is none (see keys.Algorithms).
type Key struct {
	URI       string
	Secret    keys.Secret
	Algorithm string
}

// Request makes the PKCS#10 request for a sub-CA certificate with a key that is
// made or opened, in DER. It asks for cA with a path length, certificate and CRL
// signing; what it gets is the root's decision. A key without generation is all
// that is left behind: the CA waits for its certificate.
func Request(ctx context.Context, ring *keys.Ring, key Key, subject pkix.RawName, pathLen int, log *Log) ([]byte, error) {
	if subject.Empty() {
		return nil, ca.Errorf(ca.BadRequest, "a CA has a subject; give its name")
	}
	signer, public, err := OpenOrMake(ctx, ring, key.URI, key.Algorithm, key.Secret)
	if err != nil {
		return nil, err
	}
	log.key("issuing key", key.URI, public)
	extensions, err := requested(public, pathLen)
	if err != nil {
		return nil, err
	}
	info, err := pkix.MarshalRequestInfo(subject, public, extensions)
	if err != nil {
		return nil, err
	}
	algorithm, err := pkix.SignatureFor(public)
	if err != nil {
		return nil, err
	}
	signature, err := signWith(ctx, signer, "", public, info)
	if err != nil {
		return nil, err
	}
	der, err := pkix.Assemble(info, algorithm, signature)
	if err != nil {
		return nil, err
	}
	log.Note("request", "subject %s, path length %d, SHA-256 %x", subject, pathLen, sha256.Sum256(der))
	return der, nil
}
