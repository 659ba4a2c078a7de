package ca

import (
	"context"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Authorities finds the issuers that this process may sign with.
type Authorities interface {
	// Issuer gives the current generation of a CA, or NotFound.
	Issuer(tenant, ca string) (Issuer, error)

	// IssuerOf gives the generation that signed a recorded certificate, whose
	// chain goes with it after a rollover, or NotFound.
	IssuerOf(c *Certificate) (Issuer, error)
}

// Issuer is one CA generation that signs. Everything but Sign answers from
// memory.
type Issuer interface {
	Facts() *Facts
	// Sign signs to-be-signed bytes with the issuer's key; ctx bounds the wait.
	// Unavailable when the key cannot answer now.
	Sign(ctx context.Context, lane Lane, tbs []byte) ([]byte, error)
}

// Lane orders waiting signatures: status before renewal before enrollment.
type Lane uint8

const (
	LaneStatus Lane = iota
	LaneRenewal
	LaneEnrollment
)

// String gives the lane's name for logs and metrics.
func (l Lane) String() string {
	names := [...]string{"status", "renewal", "enrollment"}
	if int(l) >= len(names) {
		return fmt.Sprintf("lane %d", uint8(l))
	}
	return names[l]
}

// Facts is what profiles and the encoder need to know of an issuer.
type Facts struct {
	Tenant, CA string
	Generation int // 1, 2, ...
	Subject    pkix.RawName
	KeyID      []byte // subjectKeyIdentifier of the issuer certificate
	Key        pkix.PublicKey
	Signature  *pkix.SignatureAlgorithm
	NotBefore  time.Time
	NotAfter   time.Time
	Chain      [][]byte // DER, the issuer's own certificate first, without a self-signed root
	Root       []byte   // DER of the trust anchor, for clients that want it
	Bounds     Bounds   // what the chain leaves to issue

	// AIA is emitted in authorityInfoAccess (caIssuers). CDP and OCSP are
	// compiled, but stay empty until the CA's publisher is bound, so that no
	// URL is ever issued that no listener serves.
	AIA  []string
	CDP  []string
	OCSP []string

	// Shards are the URLs of the CRL's shards; where there are any, a
	// certificate's CDP is its shard's instead of CDP.
	Shards []string
	// CRLSign says that the issuer's certificate lets it sign CRLs.
	CRLSign bool
}

// Issuing gives the facts for a certificate with this serial, whose month may
// not be known yet.
func (f *Facts) Issuing(serial Serial) *Facts {
	if len(f.Shards) == 0 {
		return f
	}
	own := *f
	own.CDP = []string{f.Shards[serial.Shard(len(f.Shards))-1]}
	return &own
}

// Policy decides: profiles, compiled at load, by endpoint.
type Policy interface {
	// Decide says what certificate a request gets, or why not. It is pure:
	// no I/O, no clock but now. Errors: Denied with Rule and Field set.
	Decide(e *Endpoint, r *Request, issuer *Facts, now time.Time) (*Decision, error)

	// Methods lists how names of a kind may have been proven at this endpoint;
	// nil where none are issued.
	Methods(e *Endpoint, kind claim.Kind) []claim.Method

	// Renewable gives the terms on which the profile of this endpoint lets a
	// certificate be renewed, with Denied where they do not allow it when it was asked for.
	Renewable(e *Endpoint, old *Renewed) (RenewalTerms, error)

	// Offer says what requests at this endpoint must and may hold, or Denied where
	// no profile is bound to it.
	Offer(e *Endpoint) (Offer, error)

	// Permit says whether the names could appear in a certificate of this
	// endpoint once they are proven; nil or Denied, with Field naming the name.
	Permit(e *Endpoint, names []pkix.GeneralName) error
}

// Linter looks at the bytes that are about to be signed.
type Linter interface {
	// Lint re-parses tbs and checks it against the template it was made from
	// and the rules for certificates; profile is the id of the profile whose
	// settings say what becomes of findings, "" where there is none. An error
	// is a fault of ours (Internal) or a refusal (Denied).
	Lint(tbs []byte, t *pkix.Template, profile string) error
}
