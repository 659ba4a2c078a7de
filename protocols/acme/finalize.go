package acme

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// finalize turns a ready order into a certificate (RFC 8555 section 7.4): the
// nonce, the order's end and the certificate are one commit.
func (d *Door) finalize(w http.ResponseWriter, r *request) error {
	s, err := d.authenticate(r)
	if err != nil {
		return err
	}
	var in finalizeRequest
	if err := decode(s.payload, &in); err != nil {
		return err
	}
	order, authorizations, err := d.Store.Order(r.Context(), r.endpoint.Tenant, r.endpoint.ID, r.param("id"))
	if err != nil {
		return err
	}
	if err := own(s, order.Account); err != nil {
		return err
	}
	w.Header().Set("Location", r.endpoint.orderURL(order.ID))
	switch status := order.At(d.Now(), authorizations); status {
	case state.Ready:
	case state.Valid, state.Processing: // a client that lost our answer asks again
		return d.giveOrder(w, r, order, authorizations)
	default:
		return fail(http.StatusForbidden, typeOrderNotReady, "the order is %s, not ready", status)
	}
	certificate := ca.OrderedID(d.Now())
	enrollment, err := d.enrollment(r, s, order, authorizations, in.CSR, certificate)
	if err != nil {
		return err
	}
	result := d.Core.Enroll(r.Context(), enrollment)[0]
	if ca.IsKind(result.Err, ca.Pending) { // it waits for an operator: the store has the order's state
		return d.answerOrder(w, r, order.ID)
	}
	if result.Err != nil {
		return d.answerLost(w, r, order, result.Err)
	}
	if result.Replayed { // by a request that ended the order before: its certificate id is in the store
		return d.answerOrder(w, r, order.ID)
	}
	order.Status, order.Certificate = state.Valid, certificate
	d.issued.Put(r.endpoint.issuedKey(certificate), issued{order.Account, d.bundles(order.Tenant, result.Certificate.CA, result.Certificate.DER, result.Chain)})
	return answer(w, http.StatusOK, r.endpoint.orderObject(order, authorizations, d.Now()))
}

// issued is what the certificate resource of an order gives that was finished
// here a moment ago. It never changes.
type issued struct {
	account string
	pem     [][]byte // see bundles
}

type issuedKey struct{ tenant, endpoint, certificate string }

func (e *endpoint) issuedKey(certificate string) issuedKey {
	return issuedKey{e.Tenant, e.ID, certificate}
}

// issuedLasts is how soon most clients have downloaded what they were issued.
const (
	issuedLasts = time.Minute
	issuedKept  = 1024
)

// enrollment makes the core's request from the order and its CSR.
func (d *Door) enrollment(r *request, s *signed, order *state.Order, authorizations []*state.Authorization, encoded, certificate string) (*ca.Request, error) {
	der, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fail(http.StatusBadRequest, typeMalformed, "csr is not base64url without padding (RFC 8555 section 7.4)")
	}
	csr, possession, err := claim.VerifyCSR(der, false)
	if err != nil {
		return nil, fail(http.StatusBadRequest, typeBadCSR, "%s", err)
	}
	if err := sameNames(order, csr); err != nil {
		return nil, err
	}
	if err := d.ownKey(s.account, possession); err != nil {
		return nil, err
	}
	if err := sameKey(authorizations, csr); err != nil {
		return nil, err
	}
	names, err := cover(order, authorizations)
	if err != nil {
		return nil, err
	}
	way, err := r.endpoint.variantOf(order.Profile)
	if err != nil { // it was taken out of the configuration meanwhile
		return nil, err
	}
	if err := r.endpoint.checkCAAAgain(r.Context(), names, d.Now()); err != nil {
		return nil, err
	}
	claims, err := d.claims(s, names)
	if err != nil {
		return nil, err
	}
	if err := sameDevice(claims); err != nil {
		return nil, err
	}
	effects := []ca.Effect{
		d.Store.Strike(order.Tenant, s.nonce),
		d.Store.FinishOrder(order.Tenant, order.Endpoint, order.ID, certificate, s.account.Thumbprint),
	}
	parked := []ca.Effect{ // in the same places, for answerLost
		effects[0],
		d.Store.ParkOrder(order.Tenant, order.Endpoint, order.ID, s.account.Thumbprint, d.Now().Add(d.ApprovalLifetime)),
	}
	request := &ca.Request{Trace: r.trace, Client: httpx.ClientAddress(r.RemoteAddr), Endpoint: way.id, Operation: ca.Enroll, Caller: s.caller, Possession: possession,
		Claims:      claims,
		Asserted:    ca.Asserted{Subject: csr.Subject, AltNames: csr.AltNames, Extensions: csr.Extensions, NotBefore: order.NotBefore, NotAfter: order.NotAfter},
		Transaction: order.ID, Window: d.OrderLifetime,
		Effects: effects, Parked: parked}
	if order.Replaces != "" { // one that is parked has replaced nothing yet
		replace, err := d.renewed(r.Context(), r.endpoint, order, request)
		if err != nil {
			return nil, err
		}
		request.Effects = append(request.Effects, replace)
	}
	return request, nil
}

// answerLost answers when a guard of the commit did not hold: a nonce that was
// used on another replica, or an order that another request finished first.
func (d *Door) answerLost(w http.ResponseWriter, r *request, order *state.Order, err error) error {
	var lost *ca.LostEffect
	if !errors.As(err, &lost) {
		if ca.IsKind(err, ca.Conflict) { // another CSR for the order may have been first: as if it had been so long ago
			now, authorizations, failed := d.Store.Order(r.Context(), order.Tenant, order.Endpoint, order.ID)
			if failed == nil && (now.Status == state.Valid || now.Status == state.Processing) {
				return d.giveOrder(w, r, now, authorizations)
			}
		}
		return err
	}
	switch lost.Index {
	case 0:
		return badNonce()
	case 2:
		return alreadyReplaced()
	}
	return d.answerOrder(w, r, order.ID)
}

// answerOrder reads the order again and answers with it if it is valid now, or
// waits for an operator.
func (d *Door) answerOrder(w http.ResponseWriter, r *request, id string) error {
	order, authorizations, err := d.Store.Order(r.Context(), r.endpoint.Tenant, r.endpoint.ID, id)
	if err != nil {
		return err
	}
	switch status := order.At(d.Now(), authorizations); status {
	case state.Valid, state.Processing:
	case state.Ready: // everything else holds, so the account was ended on another replica, or got another key
		return fail(http.StatusUnauthorized, typeUnauthorized, "the account is not valid any more, or has another key")
	default:
		return fail(http.StatusForbidden, typeOrderNotReady, "the order is %s, not ready", status)
	}
	return d.giveOrder(w, r, order, authorizations)
}

// sameNames checks that the CSR names exactly the order's identifiers, in its
// subjectAltName and common names together (RFC 8555 section 7.4). A CSR
// without any name is read as asking for the order's; those of devices may be left
// out (draft-ietf-acme-device-attest-10 sections 3.2 and 4.2).
func sameNames(order *state.Order, csr *pkix.CSR) error {
	ordered := map[state.Identifier]bool{}
	for _, id := range order.Identifiers {
		ordered[id] = true
	}
	rdns, err := pkix.ParseName(csr.Subject)
	if err != nil {
		return fail(http.StatusBadRequest, typeBadCSR, "%s", err)
	}
	named := map[state.Identifier]bool{}
	for _, cn := range pkix.CommonNames(rdns) {
		id, ok := deviceOfCN(order, cn)
		if !ok {
			id = commonNameIdentifier(cn)
		}
		named[id] = true
	}
	for _, n := range csr.AltNames {
		id, ok := identifierOf(n)
		if !ok {
			return fail(http.StatusBadRequest, typeBadCSR, "the CSR asks for %s, which is not an identifier of the order (RFC 8555 section 7.4)", n.Kind)
		}
		named[id] = true
	}
	if len(named) == 0 {
		return nil
	}
	var extra, missing []string
	for n := range named {
		if !ordered[n] {
			extra = append(extra, clip(n.Value))
		}
	}
	for n := range ordered {
		if !named[n] && !isDevice(n.Type) {
			missing = append(missing, n.Value)
		}
	}
	slices.Sort(extra)
	slices.Sort(missing)
	if len(extra)+len(missing) > 0 {
		return fail(http.StatusBadRequest, typeBadCSR, "the CSR must name exactly the order's identifiers (RFC 8555 section 7.4); not ordered: %q, missing: %q", extra, missing)
	}
	return nil
}

// ownKey refuses a certificate for the key that the account signs with (RFC 8555
// section 11.1).
func (d *Door) ownKey(a *state.Account, possession claim.Possession) error {
	account, err := d.key(a)
	if err != nil {
		return ca.InternalError(err)
	}
	key, err := pkix.NewPublicKey(account.Public)
	if err != nil {
		return ca.InternalError(err)
	}
	if key.Hash() == possession.Key().Hash() {
		return fail(http.StatusBadRequest, typeBadCSR, "the CSR has the account's key; make a key of its own for the certificate (RFC 8555 section 11.1)")
	}
	return nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// certificate gives an issued certificate with its chain (section 7.4.2).
func (d *Door) certificate(w http.ResponseWriter, r *request) error {
	s, err := d.read(r)
	if err != nil {
		return err
	}
	found, ok := d.issued.Get(r.endpoint.issuedKey(r.param("id")))
	if !ok {
		if found, err = d.findIssued(r); err != nil {
			return err
		}
	}
	if err := own(s, found.account); err != nil {
		return err
	}
	pem, err := r.choose(w, found)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	w.Write(pem) // an error means that the client is gone
	return nil
}

// findIssued reads a certificate and its account from the store.
func (d *Door) findIssued(r *request) (issued, error) {
	order, err := d.Store.OrderByCertificate(r.Context(), r.endpoint.Tenant, r.endpoint.ID, r.param("id"))
	if err != nil {
		return issued{}, err
	}
	cert, err := d.Certificates.Certificate(r.Context(), order.Tenant, order.CA, order.Serial)
	if err != nil {
		return issued{}, err
	}
	issuer, err := d.Issuers.IssuerOf(cert)
	if err != nil {
		return issued{}, err
	}
	return issued{order.Account, d.bundles(cert.Tenant, cert.CA, cert.DER, issuer.Facts().Chain)}, nil
}

// bundle is a certificate with its chain in PEM (RFC 8555 section 9.1).
func bundle(der []byte, chain [][]byte) []byte {
	var out bytes.Buffer
	for _, each := range append([][]byte{der}, chain...) {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: each}) // never fails into a buffer
	}
	return out.Bytes()
}
