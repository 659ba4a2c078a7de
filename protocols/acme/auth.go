package acme

import (
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// maxBody bounds a request body: a finalize request carries at most a CSR of
// pkix.MaxCSR octets, twice base64 encoded.
const maxBody = 160 << 10

// signed is a request whose JWS verified with the key of a valid account.
type signed struct {
	payload []byte // empty for POST-as-GET (RFC 8555 section 6.3)
	account *state.Account
	caller  caller.Caller
	nonce   state.Nonce
}

// open reads and checks everything about a JWS that does not need its key:
// content type, size, form, url and nonce (RFC 8555 sections 6.2 to 6.5).
func (d *Door) open(r *request) (*message, state.Nonce, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/jose+json" {
		return nil, state.Nonce{}, fail(http.StatusUnsupportedMediaType, typeMalformed, "the content type must be application/jose+json (RFC 8555 section 6.2)")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, state.Nonce{}, fail(http.StatusBadRequest, typeMalformed, "the request body could not be read")
	}
	if len(body) > maxBody {
		return nil, state.Nonce{}, fail(http.StatusRequestEntityTooLarge, typeMalformed, "the request body is longer than %d octets", maxBody)
	}
	m, err := parseJWS(body)
	if err != nil {
		return nil, state.Nonce{}, err
	}
	if want := d.BaseURL + r.URL.EscapedPath(); m.URL != want || r.URL.RawQuery != "" { // RFC 8555 section 6.4
		return nil, state.Nonce{}, fail(http.StatusUnauthorized, typeUnauthorized, "the signed url is not the URL of this request, %q; behind a proxy the operator must set base_url.https", want)
	}
	id, expires, err := d.nonces.check(m.Nonce)
	if err != nil || d.struck.has(id, expires) {
		return nil, state.Nonce{}, badNonce()
	}
	return m, state.Nonce{ID: id, Expires: expires}, nil
}

// authenticate opens a request that must be signed by the key of a valid
// account of this endpoint (RFC 8555 section 6.2, "kid").
func (d *Door) authenticate(r *request) (*signed, error) {
	m, nonce, err := d.open(r)
	if err != nil {
		return nil, err
	}
	return d.byAccount(r, m, nonce)
}

// byAccount verifies an opened request with the key of the account in "kid".
func (d *Door) byAccount(r *request, m *message, nonce state.Nonce) (*signed, error) {
	if m.Key != nil {
		return nil, fail(http.StatusBadRequest, typeMalformed, "this resource wants the account URL in \"kid\", not a key in \"jwk\" (RFC 8555 section 6.2)")
	}
	id, ok := strings.CutPrefix(m.KID, r.endpoint.base+"/account/")
	if !ok || id == "" {
		return nil, fail(http.StatusBadRequest, typeAccountDoesNotExist, "\"kid\" is not the URL of an account of this directory")
	}
	account, key, err := d.signer(r, m, id)
	if err != nil {
		return nil, err
	}
	if account.Status != state.Valid { // RFC 8555 section 7.3.6
		return nil, fail(http.StatusUnauthorized, typeUnauthorized, "the account is %s", account.Status)
	}
	who, err := caller.FromAccountSignature(d.Callers, caller.AccountSignature{Tenant: account.Tenant, Endpoint: account.Endpoint,
		Account: account.ID, Status: string(account.Status), KeyThumbprint: key.Thumbprint, AccountKey: account.Thumbprint, Binding: bindingOf(account), At: d.Now()})
	if err != nil {
		return nil, ca.InternalError(err)
	}
	if !d.struck.strike(nonce.ID, nonce.Expires) { // replays on this replica end here; writes also strike in their commit
		return nil, badNonce()
	}
	return &signed{payload: m.Payload, account: account, caller: who, nonce: nonce}, nil
}

// Parsed account keys: how long and how many are remembered at least.
const (
	keyLasts = 10 * time.Minute
	keysKept = 2048
)

// key parses an account's stored key. The same text is the same key for ever,
// so what it was parsed to is remembered by the text.
func (d *Door) key(a *state.Account) (accountKey, error) {
	if key, ok := d.keys.Get(string(a.Key)); ok {
		return key, nil
	}
	key, err := parseJWK(a.Key)
	if err == nil {
		d.keys.Put(string(a.Key), key)
	}
	return key, err
}

// authenticateKey opens a newAccount request, which carries its key (RFC 8555
// section 7.3).
func (d *Door) authenticateKey(r *request) (*message, accountKey, state.Nonce, error) {
	m, nonce, err := d.open(r)
	if err != nil {
		return nil, accountKey{}, nonce, err
	}
	if m.Key == nil {
		return nil, accountKey{}, nonce, fail(http.StatusBadRequest, typeMalformed, "newAccount wants the account's key in \"jwk\" (RFC 8555 section 7.3)")
	}
	if err := m.verify(m.Key.Public); err != nil {
		return nil, accountKey{}, nonce, err
	}
	if !d.struck.strike(nonce.ID, nonce.Expires) {
		return nil, accountKey{}, nonce, badNonce()
	}
	return m, *m.Key, nonce, nil
}

// read authenticates a POST-as-GET, whose payload is empty (RFC 8555 section 6.3).
func (d *Door) read(r *request) (*signed, error) {
	s, err := d.authenticate(r)
	if err != nil {
		return nil, err
	}
	if len(s.payload) != 0 {
		return nil, fail(http.StatusBadRequest, typeMalformed, "this resource is only read: the payload must be empty (POST-as-GET, RFC 8555 section 6.3)")
	}
	return s, nil
}

// claims makes the claims of names from the valid authorizations that prove them,
// and from what the account's external account key was given for.
func (d *Door) claims(s *signed, names []covered) ([]claim.Claim, error) {
	claims, err := claim.FromCredential(d.Claims, s.caller)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	for _, n := range names {
		a := n.authorization
		ev := claim.ValidatedAuthorization{ID: a.ID, Owner: "acme-account:" + a.Account, Wildcard: n.wildcard, Status: string(a.Status), Expires: a.Expires, Now: d.Now()}
		evidence(&ev, n.identifier)
		if n.below() {
			ev.Ancestor = a.Identifier.Value
		}
		var stated *state.Attestation
		for _, c := range a.Challenges {
			if c.Status == state.Valid {
				ev.Challenge, ev.Validated, stated = claim.Method(c.Type), c.Validated, c.Attestation
			}
		}
		proven, err := claim.FromAuthorization(d.Claims, ev)
		if err != nil {
			return nil, ca.Wrap(ca.BadProof, err, "an authorization of the order does not hold any more")
		}
		facts, err := d.attestedClaims(ev, stated)
		if err != nil {
			return nil, err
		}
		claims = append(append(claims, proven), facts...)
	}
	return claims, nil
}

// own hides what belongs to another account (RFC 8555 section 10.5).
func own(s *signed, account string) error {
	if s.account.ID != account {
		return fail(http.StatusNotFound, typeMalformed, "there is no such resource")
	}
	return nil
}
