package service

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/seal"
)

// RAName is the name of registration authorities among the services.
const RAName = "ra"

// RA is the registration authority of one CA: the certificate that SCEP clients
// encrypt requests to and whose signatures they verify (RFC 8894 section 2.1.2).
// There is one for all replicas: certificate and sealed key are rows of the
// store, recorded in the commit of the issuance by whoever holds the lease, and
// found by every other replica. Those before it are kept until they end, for
// messages that were encrypted to them.
type RA struct {
	Enroller   Enroller
	Endpoint   string // the system endpoint bound to the profile
	Tenant, CA string
	KeyURI     string      // an RSA key that is held elsewhere; "": a fresh one with every certificate, sealed in the store
	Secret     keys.Secret // of KeyURI
	Ring       *keys.Ring
	Sealing    Sealing
	Store      RAStore
	Holder     string                    // this replica
	Issuer     func() (ca.Issuer, error) // the CA's generation that signs now
	Issuers    func() []ca.Issuer        // all of its generations
	Callers    caller.Verifier
	Claims     claim.Verifier
	Log        *slog.Logger
	Now        func() time.Time

	generate func() ([]byte, crypto.PublicKey, error) // nil: a fresh RSA key of 2048 bits

	looking  sync.Mutex
	loading  sync.Mutex
	held     atomic.Pointer[raKeys]
	searched atomic.Int64 // when a recipient that nobody here knows was last looked for, in Unix seconds
}

// Sealing is what an RA asks of seal.Keyring.
type Sealing interface {
	Seal(ctx context.Context, p seal.Purpose, tenant, rowID string, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, p seal.Purpose, tenant, rowID string, sealed []byte) ([]byte, error)
}

// RAStore is what an RA asks of the store.
type RAStore interface {
	ca.ServiceCertificates
	ca.Leases
	// Certificate is the ledger's.
	Certificate(ctx context.Context, tenant, ca string, s ca.Serial) (*ca.Certificate, error)
}

// RAKey is a certificate of a registration authority with its key.
type RAKey struct {
	Number      int // rises with every certificate
	Certificate *pkix.Certificate
	Chain       [][]byte // its issuers in DER, its own first, without a self-signed root
	Key         keys.Decrypter
}

// Recipient says whom a message was encrypted to (RFC 5652 section 6.2.1): by
// issuer and serial number, or by subject key identifier where KeyID is set.
type Recipient struct {
	Issuer pkix.RawName
	Serial []byte // content octets of the INTEGER
	KeyID  []byte
}

// Current gives the certificate to show, and to sign with. The first call makes
// it. Unavailable where there is none now.
func (s *RA) Current(ctx context.Context) (*RAKey, error) {
	newest := s.held.Load().newest()
	if newest == nil {
		if err := s.Look(ctx); err != nil {
			return nil, ca.UnavailableError(err, time.Minute)
		}
		newest = s.held.Load().newest()
	}
	if newest == nil || !s.Now().Before(newest.Certificate.NotAfter) {
		return nil, ca.UnavailableError(errors.New("the registration authority's certificate is missing or has ended"), 10*time.Second)
	}
	return newest, nil
}

// ByRecipient gives the key that a message was encrypted to: that of the current
// certificate, or of one before it that has not ended. NotFound for any other.
func (s *RA) ByRecipient(ctx context.Context, r Recipient) (*RAKey, error) {
	if k := s.held.Load().find(r, s.Now()); k != nil {
		return k, nil
	}
	// Another replica may have shown a certificate that is seconds old. Strangers
	// name recipients, too, so that the store is asked once a second at most.
	now := s.Now().Unix()
	if last := s.searched.Load(); now > last && s.searched.CompareAndSwap(last, now) {
		if err := s.refresh(ctx); err != nil {
			return nil, ca.UnavailableError(err, 10*time.Second)
		}
		if k := s.held.Load().find(r, s.Now()); k != nil {
			return k, nil
		}
	}
	return nil, ca.Errorf(ca.NotFound, "the message is encrypted to a certificate that this service does not have; fetch the current one")
}

// NotAfter is when the current certificate ends; zero where there is none.
func (s *RA) NotAfter() time.Time {
	if k := s.held.Load().newest(); k != nil {
		return k.Certificate.NotAfter
	}
	return time.Time{}
}

// How often a replica looks for what another one did, and how long it waits
// after a failure of its own.
const (
	raPoll  = 5 * time.Second
	raRetry = time.Minute
)

// Follow keeps the certificate and takes up what other replicas renewed, until
// ctx ends.
func (s *RA) Follow(ctx context.Context) {
	tick := time.NewTicker(raPoll)
	defer tick.Stop()
	var again time.Time // no renewal before
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.Now().Before(again) {
			_ = s.refresh(ctx) // Look says what is wrong
			continue
		}
		text := ""
		if err := s.Look(ctx); err != nil && ctx.Err() == nil {
			text, again = err.Error(), s.Now().Add(raRetry)
			if text != said {
				s.Log.Error("service.renewal", "service", RAName, "tenant", s.Tenant, "ca", s.CA, "error", err, "not_after", s.NotAfter())
			}
		}
		said = text
	}
}

// raLease is how long a replica may take to renew.
const raLease = time.Minute

// Look takes up what is in the store, renews what is due and erases what has
// ended. Where another replica is at that it leaves it to it.
func (s *RA) Look(ctx context.Context) error {
	s.looking.Lock()
	defer s.looking.Unlock()
	if err := s.refresh(ctx); err != nil {
		return err
	}
	if s.due() == "" && len(s.ended()) == 0 {
		return s.held.Load().closed
	}
	ctx, cancel := context.WithTimeout(ctx, raLease)
	defer cancel()
	lease, err := s.Store.Acquire(ctx, RAName+"/"+s.Tenant+"/"+s.CA, s.Holder, raLease)
	if ca.IsKind(err, ca.Conflict) {
		return nil
	}
	if err != nil {
		return err
	}
	err = s.work(ctx, lease)
	release, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	return errors.Join(err, s.Store.Release(release, lease))
}

// work does what is due under the lease, once it has seen what was done before.
func (s *RA) work(ctx context.Context, lease *ca.Lease) error {
	if err := s.refresh(ctx); err != nil {
		return err
	}
	for _, c := range s.ended() {
		detail := fmt.Appendf(nil, `{"ca":%q,"service":%q,"number":%d}`, c.CA, c.Service, c.Number)
		err := s.Store.ForgetServiceCertificate(ctx, lease, &c, ca.Audit{Tenant: s.Tenant, Event: "service.key_erased", Actor: "service:" + RAName,
			Trace: ca.NewTrace(), Detail: detail})
		if err != nil {
			return fmt.Errorf("erase the key of certificate %d: %w", c.Number, err)
		}
	}
	if why := s.due(); why != "" {
		if err := s.renew(ctx, lease, why); err != nil {
			return err
		}
	}
	return s.refresh(ctx)
}

// due says why the certificate is to be made anew; "" where it is not.
func (s *RA) due() string {
	h := s.held.Load()
	if len(h.rows) == 0 {
		return "there is none"
	}
	row := h.rows[len(h.rows)-1]
	if row.KeyURI != s.KeyURI {
		return "another key is configured"
	}
	cert, err := pkix.ParseCertificate(row.DER)
	if err != nil {
		return "the stored one is damaged"
	}
	if h.revoked {
		return "it was revoked"
	}
	issuer, err := s.Issuer()
	if err != nil {
		return "" // nobody could sign another one
	}
	f := issuer.Facts()
	if ext, ok := pkix.FindExtension(cert.Extensions, pkix.OIDAuthorityKeyID); ok {
		if id, err := pkix.ParseAuthorityKeyID(ext.Value); err != nil || !bytes.Equal(id, f.KeyID) {
			return "another generation of the CA signs"
		}
	}
	life := cert.NotAfter.Sub(cert.NotBefore)
	if now := s.Now(); !now.Before(cert.NotBefore.Add(life*2/3)) && cert.NotAfter.Before(f.NotAfter) {
		return "two thirds of its life are over"
	}
	return ""
}

// ended lists what nothing can be encrypted to any more.
func (s *RA) ended() (all []ca.ServiceCertificate) {
	rows := s.held.Load().rows
	for i, c := range rows {
		if i < len(rows)-1 && !s.Now().Before(c.NotAfter) {
			all = append(all, c)
		}
	}
	return all
}
