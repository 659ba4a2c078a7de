package acme

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/recent"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

const (
	maxRenewalID    = 256              // characters; a key identifier has some 20 octets, our serials have 16
	renewalLasts    = 10 * time.Second // how long an answer is given again without asking the store
	renewalsKept    = 4096
	renewalsAtOnce  = 16 // questions to the store at one time: anybody may ask
	renewalWaits    = 2 * time.Second
	renewalPoll     = 6 * time.Hour // how soon to ask again (RFC 9773 section 4.3.2)
	shortestRenewal = time.Minute
)

// renewals remembers answers, and bounds how many are being looked up.
type renewals struct {
	known *recent.Memory[renewalKey, renewal]
	slots chan struct{}
}

type renewalKey struct{ tenant, ca, id string }

// renewal is an answer; found is false for what nobody issued.
type renewal struct {
	found  bool
	object renewalObject
	poll   time.Duration
}

// renewalObject is the wire form of renewal information (RFC 9773 section 4.2).
type renewalObject struct {
	SuggestedWindow struct {
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	} `json:"suggestedWindow"`
	ExplanationURL string `json:"explanationURL,omitempty"`
}

func newRenewals(now func() time.Time) *renewals {
	return &renewals{recent.NewMemory[renewalKey, renewal](renewalLasts, renewalsKept, now), make(chan struct{}, renewalsAtOnce)}
}

// renewalInfo says when a certificate of the endpoint's CA is best renewed (RFC
// 9773 section 4.1). Nobody is authenticated: what is said is in the certificate,
// in public revocation lists, or for everybody who has the certificate. Ids that
// no certificate of the CA can have are neither looked up nor remembered.
func (d *Door) renewalInfo(w http.ResponseWriter, r *request) error {
	key := renewalKey{r.endpoint.Tenant, r.endpoint.CA, r.param("id")}
	serial, ok := d.parseRenewalID(r.endpoint, key.id)
	if !ok {
		return noSuchCertificate()
	}
	answered, ok := d.renewals.known.Get(key)
	if !ok {
		var err error
		if answered, err = d.lookUpRenewal(r.Context(), r.endpoint, key.id, serial); err != nil {
			return err
		}
		d.renewals.known.Put(key, answered)
	}
	if !answered.found {
		return noSuchCertificate()
	}
	w.Header().Set("Retry-After", seconds(answered.poll))
	return answer(w, http.StatusOK, answered.object)
}

func noSuchCertificate() *problem {
	return fail(http.StatusNotFound, typeMalformed, "there is no such certificate of this CA (RFC 9773 section 4.1: the id is its authority key identifier and its serial number)")
}

// lookUpRenewal makes the answer about a certificate, a bounded number at once. The
// others wait for a moment: after a mass revocation every client asks.
func (d *Door) lookUpRenewal(ctx context.Context, e *endpoint, id string, serial ca.Serial) (out renewal, err error) {
	waiting, stop := context.WithTimeout(ctx, renewalWaits)
	defer stop()
	select {
	case d.renewals.slots <- struct{}{}:
		defer func() { <-d.renewals.slots }()
	case <-waiting.Done():
		return renewal{}, ca.UnavailableError(errors.New("every slot for renewal information is taken"), 5*time.Second)
	}
	c, err := d.certificateOf(ctx, e, id, serial)
	if ca.IsKind(err, ca.NotFound) {
		return renewal{}, nil
	}
	if err != nil {
		return renewal{}, err
	}
	var window *ca.RenewalWindow
	if d.Windows != nil {
		if window, err = d.Windows.RenewalWindow(ctx, c.Tenant, c.CA, c.Serial); err != nil && !ca.IsKind(err, ca.NotFound) {
			return renewal{}, err
		}
	}
	start, end := ca.SuggestRenewal(c, window, d.Core.RenewalTerms(c).From)
	out = renewal{found: true, poll: min(renewalPoll, max(c.NotAfter.Sub(c.NotBefore)/20, shortestRenewal))}
	out.object.SuggestedWindow.Start, out.object.SuggestedWindow.End = start.UTC(), end.UTC()
	if window != nil {
		out.object.ExplanationURL = window.Explanation
	}
	return out, nil
}

// parseRenewalID reads the id of a certificate that the endpoint's CA can have
// issued.
func (d *Door) parseRenewalID(e *endpoint, id string) (serial ca.Serial, ok bool) {
	keyID, serial, ok := splitRenewalID(id)
	return serial, ok && slices.ContainsFunc(d.Generations(e.Tenant, e.CA), func(i ca.Issuer) bool { return bytes.Equal(i.Facts().KeyID, keyID) })
}

// splitRenewalID reads base64url of the key identifier, a dot, and base64url of
// the serial number's octets (RFC 9773 section 4.1), which are as ours are.
func splitRenewalID(id string) (keyID []byte, serial ca.Serial, ok bool) {
	if len(id) > maxRenewalID {
		return nil, serial, false
	}
	first, second, _ := strings.Cut(id, ".")
	keyID, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil || len(keyID) == 0 {
		return nil, serial, false
	}
	octets, err := base64.RawURLEncoding.Strict().DecodeString(second)
	if err != nil || len(octets) != len(serial) || octets[0] == 0 || octets[0] >= 0x80 {
		return nil, serial, false
	}
	copy(serial[:], octets)
	return keyID, serial, true
}

// certificateOf finds the certificate that an id names: with this serial number
// and signed by this key.
func (d *Door) certificateOf(ctx context.Context, e *endpoint, id string, serial ca.Serial) (*ca.Certificate, error) {
	c, err := d.Certificates.Certificate(ctx, e.Tenant, e.CA, serial)
	if err != nil {
		return nil, err
	}
	issuer, err := d.Issuers.IssuerOf(c)
	if err != nil {
		return nil, err
	}
	if renewalID(issuer.Facts().KeyID, serial) != id {
		return nil, ca.Errorf(ca.NotFound, "another key signed the certificate with that serial number")
	}
	return c, nil
}

func renewalID(keyID []byte, serial ca.Serial) string {
	return base64.RawURLEncoding.EncodeToString(keyID) + "." + base64.RawURLEncoding.EncodeToString(serial[:])
}

// checkReplaces holds an order that says which certificate it replaces against
// that certificate (RFC 9773 section 5): it was issued here to the same account,
// has one of the order's names, and no other order has replaced it. had are
// the names of the certificate. Nil without an error is an order that replaces
// none. The core asks the profile.
func (d *Door) checkReplaces(r *request, s *signed, id string, names []pkix.GeneralName) (renews *ca.Renewal, had []pkix.GeneralName, err error) {
	if id == "" {
		return nil, nil, nil
	}
	e := r.endpoint
	serial, ok := d.parseRenewalID(e, id)
	if !ok {
		return nil, nil, noSuchCertificate()
	}
	c, err := d.certificateOf(r.Context(), e, id, serial)
	switch {
	case ca.IsKind(err, ca.NotFound):
		return nil, nil, noSuchCertificate()
	case err != nil:
		return nil, nil, err
	case c.Endpoint != e.ID || c.Requester != s.caller.ID():
		return nil, nil, noSuchCertificate()
	}
	parsed, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return nil, nil, ca.InternalError(err)
	}
	if had, err = parsed.AltNames(); err != nil {
		return nil, nil, ca.InternalError(err)
	}
	if !slices.ContainsFunc(had, func(h pkix.GeneralName) bool {
		return slices.ContainsFunc(names, func(n pkix.GeneralName) bool { return h.Key() == n.Key() })
	}) {
		return nil, nil, fail(http.StatusBadRequest, typeMalformed, "the certificate in \"replaces\" has none of the order's identifiers (RFC 9773 section 5)")
	}
	_, err = d.Store.Replaced(r.Context(), e.Tenant, e.CA, serial)
	if ca.IsKind(err, ca.NotFound) {
		return &ca.Renewal{Certificate: c.DER}, had, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, alreadyReplaced()
}

func alreadyReplaced() *problem {
	return fail(http.StatusConflict, typeAlreadyReplaced, "another order has replaced the certificate in \"replaces\" already; leave it out to get a further certificate")
}

// renewed puts into a request which certificate the order replaces, and gives the
// effect that records in its commit that the order did.
func (d *Door) renewed(ctx context.Context, e *endpoint, order *state.Order, request *ca.Request) (ca.Effect, error) {
	serial, ok := d.parseRenewalID(e, order.Replaces)
	if !ok { // it was checked when the order was opened
		return ca.Effect{}, noSuchCertificate()
	}
	c, err := d.certificateOf(ctx, e, order.Replaces, serial)
	if ca.IsKind(err, ca.NotFound) {
		return ca.Effect{}, noSuchCertificate()
	}
	if err != nil {
		return ca.Effect{}, err
	}
	parsed, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return ca.Effect{}, ca.InternalError(err)
	}
	request.Renews, request.Operation = &ca.Renewal{Certificate: c.DER}, ca.Rekey
	if parsed.Key.Hash() == request.Possession.Key().Hash() {
		request.Operation = ca.Renew
	}
	return replaceEffect(d.Store, order.Tenant, e.CA, serial, order.ID), nil
}

// replaceEffect lasts as long as the certificate that was replaced, or longer.
func replaceEffect(store state.Store, tenant, authority string, serial ca.Serial, order string) ca.Effect {
	return store.Replace(tenant, authority, serial, order, serial.EndOfMonth())
}
