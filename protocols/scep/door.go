package scep

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// Core is what the door asks of the Authority.
type Core interface {
	Enroll(ctx context.Context, requests ...*ca.Request) []ca.Result
	PollTransaction(ctx context.Context, c caller.Caller, transaction string) ca.Result
	Offer(endpoint string) (ca.Offer, error)
}

// RA is the registration authority of a CA.
type RA interface {
	// Current gives the certificate to show and the key to sign with; Unavailable where there is none now.
	Current(ctx context.Context) (*RAKey, error)
	// ByRecipient gives the key that a message was encrypted to: by issuer and
	// serial number (content octets), or by subject key identifier where keyID is
	// not empty. NotFound for any but the current one and those before it that
	// have not ended.
	ByRecipient(ctx context.Context, issuer pkix.RawName, serial, keyID []byte) (*RAKey, error)
}

// RAKey is a certificate of a registration authority with its RSA key.
type RAKey struct {
	Certificate []byte // DER
	Signer      crypto.Signer
	Decrypter   func(ctx context.Context) crypto.Decrypter
}

// Credentials are the secrets that clients send, and the users who may fetch one.
type Credentials interface {
	Find(ctx context.Context, tenant, secret string) (*credential.Credential, error)
	User(ctx context.Context, e *ca.Endpoint, name, password string) (*credential.Credential, error)
	Mint(ctx context.Context, by *credential.Credential, e *ca.Endpoint, expires time.Time, trace string) (*credential.Credential, credential.Secret, error)
	Burn(tenant, id string) ca.Effect
}

// Options is what the door is made of. All fields are needed unless said otherwise.
type Options struct {
	Endpoints    []ca.Endpoint  // those of door "scep"; others are an error
	Own          map[string]Own // what endpoints have of their own, by id
	NDES         *NDES          // nil: nothing is served in the shape of NDES
	Core         Core
	Issuers      ca.Authorities
	Generations  func(tenant, ca string) []ca.Issuer          // every generation of a CA by rising number, one that does not sign yet included
	RAs          func(tenant, ca string) RA                   // nil for a CA without one
	CRL          func(issuer ca.Issuer) (der []byte, ok bool) // the newest complete list that it signed
	Certificates ca.Finder                                    // what was issued, with its status now
	Credentials  Credentials
	Callers      caller.Verifier
	Claims       claim.Verifier
	Log          *slog.Logger
	Now          func() time.Time
	Observer     Observer // nil: nobody counts
}

// Own is what an endpoint has of its own.
type Own struct {
	StaticSecret []byte         // the one challengePassword of every device; nil: none
	Addresses    []netip.Prefix // that the static secret, or nothing, lets in; empty: the static secret is for every address
	Certificates Bundle         // what GetCACert gives; "" is BundleFull
	Legacy       []string       // of LegacyAlgorithms: what is granted below the floor
	Quirks       string         // name of a quirk set; "": none
}

// Door serves every SCEP endpoint of the configuration.
type Door struct {
	Options
	paths     map[string]*endpoint // by TENANT/CA/PROFILE
	ndes      *endpoint            // nil: none
	verifying verifying
}

// verifying is what verifies signatures, whose number must not tell one failure
// from another.
type verifying struct {
	message func(*cms.SignedData, *cms.SignerInfo, crypto.PublicKey, cms.Floor) error
	request func(der []byte, allowLegacy bool) (*pkix.CSR, claim.Possession, error)
}

// endpoint is one endpoint with everything about it that never changes.
type endpoint struct {
	ca.Endpoint
	Own
	ra           RA
	quirks       Quirks
	floor        cms.Floor
	capabilities []byte        // the text of GetCACaps, but for GetNextCACert
	window       time.Duration // how long the same transaction gets the same answer
	secretKey    []byte        // that static secrets are compared under
	secretSum    [32]byte      // of StaticSecret; zero: none
}

// How long the same transaction gets the same answer: long enough for a client
// that lost it, and where an operator decides, for one that comes back days later.
const (
	retryWindow    = 15 * time.Minute
	approvalWindow = 7 * 24 * time.Hour
)

// New checks the options and builds the endpoints.
func New(o Options) (*Door, error) {
	if o.Core == nil || o.Issuers == nil || o.Generations == nil || o.RAs == nil || o.CRL == nil || o.Certificates == nil || o.Credentials == nil || o.Log == nil || o.Now == nil {
		return nil, errors.New("scep: a part is missing")
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	d := &Door{Options: o, paths: map[string]*endpoint{}, verifying: verifying{(*cms.SignedData).Verify, claim.VerifyCSR}}
	for _, e := range o.Endpoints {
		if e.Door != caller.SCEP {
			return nil, fmt.Errorf("scep: endpoint %s is of door %s", e.ID, e.Door)
		}
		made, err := d.newEndpoint(e)
		if err != nil {
			return nil, fmt.Errorf("scep: endpoint %s: %w", e.ID, err)
		}
		where := e.Tenant + "/" + e.CA + "/" + e.Profile
		if d.paths[where] != nil {
			return nil, fmt.Errorf("scep: two endpoints share the path %s", where)
		}
		d.paths[where] = made
		if o.NDES != nil && o.NDES.Endpoint == e.ID {
			d.ndes = made
		}
	}
	if o.NDES != nil && (d.ndes == nil || !caller.Named(d.ndes.Policies, caller.SCEPSecret) || o.NDES.Lifetime <= 0) {
		return nil, errors.New("scep: the endpoint in the shape of NDES is none of this door, or takes no secrets of the registry")
	}
	return d, nil
}

func (d *Door) newEndpoint(e ca.Endpoint) (*endpoint, error) {
	out := &endpoint{Endpoint: e, Own: d.Own[e.ID], ra: d.RAs(e.Tenant, e.CA), window: retryWindow, secretKey: make([]byte, 32)}
	if out.ra == nil {
		return nil, errors.New("its CA has no registration authority, which clients encrypt to")
	}
	if caller.Named(e.Policies, caller.StaticSCEPSecret) != (len(out.StaticSecret) > 0) {
		return nil, errors.New("it lets in by a static secret and has none, or has one for nothing")
	}
	if caller.Named(e.Policies, caller.Unauthenticated) && (len(out.Addresses) == 0 || slices.ContainsFunc(out.Addresses, func(p netip.Prefix) bool { return p.Bits() <= 0 })) {
		return nil, errors.New("it lets in without authentication, so that it needs the addresses it does so for, and not every address")
	}
	rand.Read(out.secretKey) // never fails (crypto/rand)
	if len(out.StaticSecret) > 0 {
		out.secretSum = out.sum(out.StaticSecret)
	}
	if err := out.equip(); err != nil {
		return nil, err
	}
	offer, err := d.Core.Offer(e.ID)
	if offer.Manual {
		out.window = approvalWindow
	}
	return out, err
}

// equip resolves what is data: quirks, the floor, the bundle.
func (e *endpoint) equip() (err error) {
	if e.quirks, err = QuirkSet(e.Own.Quirks); err != nil {
		return err
	}
	if e.Certificates == "" {
		e.Certificates = BundleFull
	}
	if !slices.Contains(Bundles(), e.Certificates) {
		return fmt.Errorf("%q is not what GetCACert can give", string(e.Certificates))
	}
	if e.floor, err = floorOf(slices.Concat(e.Legacy, e.quirks.Legacy)); err != nil {
		return err
	}
	e.capabilities = capabilities(e.floor, e.quirks.Capabilities)
	return nil
}

// sum is what static secrets are compared by.
func (e *endpoint) sum(secret []byte) (out [32]byte) {
	mac := hmac.New(sha256.New, e.secretKey)
	mac.Write(secret)
	mac.Sum(out[:0])
	return out
}
