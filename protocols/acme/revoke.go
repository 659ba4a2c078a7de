package acme

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// revocationReasons are the reasons of RFC 5280 section 5.3.1 that may be given
// here. Left out: those of CA certificates, removeFromCRL, and certificateHold,
// which ACME has no way to release.
var revocationReasons = []ca.Reason{ca.Unspecified, ca.KeyCompromise, ca.AffiliationChanged, ca.Superseded, ca.CessationOfOperation, ca.PrivilegeWithdrawn}

// presented is a certificate that a client wants revoked, found in the ledger.
type presented struct {
	der    []byte
	serial ca.Serial
	key    [32]byte // SHA-256 of the SubjectPublicKeyInfo
	reason ca.Reason
	to     string // the caller id that it was issued to
}

// revokeCert revokes a certificate of this endpoint's CA (RFC 8555 section 7.6)
// for the account that it was issued to, for one that holds authorizations for all
// its names, or for who signs with its key.
func (d *Door) revokeCert(w http.ResponseWriter, r *request) error {
	m, nonce, err := d.open(r)
	if err != nil {
		return err
	}
	var who caller.Caller
	var cert *presented
	var claims []claim.Claim
	if m.Key == nil {
		s, err := d.byAccount(r, m, nonce)
		if err != nil {
			return err
		}
		who = s.caller
		if cert, err = d.present(r, m.Payload); err != nil {
			return err
		}
		if cert.to != who.ID() {
			if claims, err = d.held(r, s); err != nil {
				return err
			}
		}
	} else if who, cert, err = d.byCertificateKey(r, m, nonce); err != nil {
		return err
	}
	_, err = d.Core.Revoke(r.Context(), &ca.RevokeRequest{Trace: r.trace, Client: httpx.ClientAddress(r.RemoteAddr), Tenant: r.endpoint.Tenant, CA: r.endpoint.CA,
		Serial: cert.serial, Certificate: cert.der, Reason: cert.reason, Caller: who, Claims: claims,
		Effects: []ca.Effect{d.Store.Strike(r.endpoint.Tenant, nonce)}})
	var lost *ca.LostEffect
	switch {
	case err == nil:
		w.WriteHeader(http.StatusOK)
		return nil
	case errors.As(err, &lost): // used on another replica
		return badNonce()
	case ca.IsKind(err, ca.Conflict):
		return fail(http.StatusBadRequest, typeAlreadyRevoked, "the certificate is revoked already")
	case ca.IsKind(err, ca.Denied):
		return fail(http.StatusForbidden, typeUnauthorized, "%s; sign with the account that it was issued to, with one that holds authorizations for all its names, or with the certificate's key", ca.AsError(err).Public)
	}
	return err
}

// byCertificateKey makes the caller of a request that carries the key it is signed
// with. The certificate is found first: a stranger's key and a certificate of its
// own make no caller, and leave no row anywhere.
func (d *Door) byCertificateKey(r *request, m *message, nonce state.Nonce) (who caller.Caller, cert *presented, err error) {
	if err := m.verify(m.Key.Public); err != nil {
		return who, nil, err
	}
	if !d.struck.strike(nonce.ID, nonce.Expires) {
		return who, nil, badNonce()
	}
	if cert, err = d.present(r, m.Payload); err != nil {
		return who, nil, err
	}
	key, err := pkix.NewPublicKey(m.Key.Public)
	if err != nil {
		return who, nil, ca.InternalError(err)
	}
	if key.Hash() != cert.key {
		return who, nil, fail(http.StatusForbidden, typeUnauthorized, "the key in \"jwk\" is not the certificate's (RFC 8555 section 7.6)")
	}
	who, err = caller.FromCertificateKey(d.Callers, caller.CertificateKeySignature{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID,
		SignatureKey: key.Hash(), Certificate: cert.key, At: d.Now()})
	if err != nil {
		return who, nil, ca.InternalError(err)
	}
	return who, cert, nil
}

// present reads the payload and finds the certificate by every octet of it.
func (d *Door) present(r *request, payload []byte) (*presented, error) {
	var in revokeRequest
	if err := decode(payload, &in); err != nil {
		return nil, err
	}
	der, err := base64.RawURLEncoding.Strict().DecodeString(in.Certificate)
	if err != nil || len(der) == 0 {
		return nil, fail(http.StatusBadRequest, typeMalformed, "certificate is not base64url without padding (RFC 8555 section 7.6)")
	}
	reason, err := revocationReason(in.Reason)
	if err != nil {
		return nil, err
	}
	parsed, err := pkix.ParseCertificate(der)
	if err != nil {
		return nil, fail(http.StatusBadRequest, typeMalformed, "the certificate cannot be read")
	}
	unknown := fail(http.StatusNotFound, typeMalformed, "this directory's CA did not issue that certificate")
	if len(parsed.Serial) != ca.SerialSize {
		return nil, unknown
	}
	out := &presented{der: der, serial: ca.Serial(parsed.Serial), key: parsed.Key.Hash(), reason: reason}
	recorded, err := d.Certificates.Certificate(r.Context(), r.endpoint.Tenant, r.endpoint.CA, out.serial)
	if ca.IsKind(err, ca.NotFound) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(recorded.DER, der) {
		return nil, unknown
	}
	out.to = recorded.Requester
	return out, nil
}

// held makes claims of every authorization that an account holds: who controls
// all names of a certificate may revoke it (RFC 8555 section 7.6).
func (d *Door) held(r *request, s *signed) ([]claim.Claim, error) {
	all, err := d.Store.HeldAuthorizations(r.Context(), s.account.Tenant, s.account.Endpoint, s.account.ID)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(a *state.Authorization) bool { return a.At(d.Now()) != state.Valid })
	names := make([]covered, len(all))
	for i, a := range all {
		names[i] = covered{a.Identifier, a.Wildcard, a}
	}
	return d.claims(s, names)
}

// revocationReason reads the optional reason code; without one it is unspecified,
// which a CRL leaves out (RFC 8555 section 7.6).
func revocationReason(code *int) (ca.Reason, error) {
	if code == nil {
		return ca.Unspecified, nil
	}
	var allowed []string
	for _, reason := range revocationReasons {
		if *code == int(reason) {
			return reason, nil
		}
		allowed = append(allowed, fmt.Sprintf("%d (%s)", reason, reason))
	}
	return 0, fail(http.StatusBadRequest, typeBadRevocationReason, "reason %d cannot be given here; use one of %s", *code, strings.Join(allowed, ", "))
}
