package everydoor_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme"
	"github.com/enrollgate/enrollgate/protocols/acme/recent"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/test/fixture"
)

const (
	origin      = "https://pki.example"
	attestation = "packed" // the format of attestations
)

// acmeDoor is newOrder, the challenges that are left, finalize and the certificate.
type acmeDoor struct {
	g        *gateway
	core     *witness
	router   chi.Router
	accounts []*account // of the holders
	attested [32]byte   // the key that a device attests next
	nonce    string
}

// account signs requests (RFC 8555 section 6.2).
type account struct {
	key *ecdsa.PrivateKey
	url string
}

// Validate knows that every challenge is met: this is about what becomes of proofs.
func (d *acmeDoor) Validate(_ context.Context, q va.Question) (va.Record, error) {
	if !strings.HasPrefix(q.KeyAuthorization, q.Token+".") {
		return va.Record{}, errors.New("not a key authorization of this token")
	}
	if q.Type == string(claim.DNS) || q.Type == string(claim.IP) {
		return va.Record{}, nil
	}
	return va.Record{Attestation: &state.Attestation{Format: attestation, Key: d.attested[:]}}, nil
}

func newACME(g *gateway) *acmeDoor {
	g.Helper()
	registry, keys := g.register(g.sqlite, credential.HMACKey, caller.ACME)
	d := &acmeDoor{g: g, core: &witness{Authority: g.durable}, router: chi.NewRouter()}
	var variants []acme.Profile
	for _, p := range g.profiles {
		variants = append(variants, acme.Profile{Name: p.ID(), Endpoint: p.acme.ID})
	}
	validators := map[claim.Method]acme.Validator{claim.HTTP01: d, claim.DNS01: d, claim.TLSALPN01: d}
	attesting := map[claim.Method]acme.Validator{claim.HTTP01: d, claim.DNS01: d, claim.TLSALPN01: d, claim.DeviceAttest01: d}
	served := fixture.Must(acme.New(acme.Options{BaseURL: origin, Endpoints: []ca.Endpoint{g.hub}, Core: d.core, Issuers: g.issuer, Generations: g.issuer.Generations, Certificates: g.sqlite,
		Store: recent.New(g.sqlite, time.Now), Callers: caller.NewVerifier(caller.ACME), Claims: claim.NewVerifier(caller.ACME), External: registry, Validators: validators,
		Own: map[string]acme.Own{g.hub.ID: {Validators: attesting, Profiles: variants}}, Log: slog.New(slog.DiscardHandler), Now: time.Now, Schedule: []time.Duration{}, Patience: time.Minute,
		Nonces: func() (acme.NonceKey, []acme.NonceKey) {
			k := acme.NonceKey{Version: 1, Secret: bytes.Repeat([]byte{7}, 32)}
			return k, []acme.NonceKey{k}
		}}))(g)
	g.Cleanup(func() { served.Close(context.Background()) })
	served.Routes(d.router)
	for i, k := range keys {
		a := &account{key: fixture.Key(g)}
		payload := "{}"
		if i > 0 {
			payload = fmt.Sprintf(`{"externalAccountBinding":%s}`, a.binding(g, k))
		}
		answer := d.post(g.T, a, d.url("/new-account"), payload)
		if answer.Code != http.StatusCreated {
			g.Fatalf("newAccount: %d %s", answer.Code, answer.Body)
		}
		a.url = answer.Header().Get("Location")
		d.accounts = append(d.accounts, a)
		d.preauthorize(a, holders[i])
	}
	return d
}

func (d *acmeDoor) url(resource string) string {
	return origin + "/acme/" + tenant + "/" + issuing + "/hub" + resource
}

// preauthorize proves hosts and addresses once (RFC 8555 section 7.4.1), so that
// orders for these are ready at once, as far as the profile counts http-01.
func (d *acmeDoor) preauthorize(a *account, b caller.Binding) {
	d.g.Helper()
	var ids []state.Identifier
	for _, host := range hosts {
		ids = append(ids, state.Identifier{Type: string(claim.DNS), Value: host})
	}
	for _, address := range addresses {
		ids = append(ids, state.Identifier{Type: string(claim.IP), Value: address})
	}
	for _, id := range ids {
		answer := d.post(d.g.T, a, d.url("/new-authz"), fmt.Sprintf(`{"identifier":{"type":%q,"value":%q}}`, id.Type, id.Value))
		if answer.Code == http.StatusBadRequest && len(b.Names) > 0 {
			continue // the credential is not for this name
		}
		if answer.Code != http.StatusCreated {
			d.g.Fatalf("newAuthz: %d %s", answer.Code, answer.Body)
		}
		d.prove(d.g.T, a, answer)
	}
}

// prove answers the first challenge of an authorization that is not valid yet.
func (d *acmeDoor) prove(t *testing.T, a *account, authorization *httptest.ResponseRecorder) {
	t.Helper()
	var z struct {
		Status     string
		Challenges []struct{ URL, Status string }
	}
	decode(t, authorization, &z)
	if z.Status == string(state.Valid) {
		return
	}
	answer := d.post(t, a, z.Challenges[0].URL, "{}")
	var c struct{ Status string }
	if decode(t, answer, &c); c.Status != string(state.Valid) {
		t.Fatalf("challenge: %d %s", answer.Code, answer.Body)
	}
}

func (d *acmeDoor) Name() string { return "ACME" }

// Carries: the request names exactly what was ordered and proven (RFC 8555 section 7.4).
func (d *acmeDoor) Carries(p *bound, i *identity) string {
	if i.evidence != byChallenge {
		return "ACME takes proven names alone (RFC 8555 section 7.4)"
	}
	for _, n := range i.proven {
		if _, _, offered := challengeOf(p.Profile, n); !offered {
			return "the profile counts no challenge that proves a name of this type"
		}
		if n.Kind == pkix.OtherName && holders[i.holder].Device != "" {
			return "an account for one device orders for no other one"
		}
	}
	return ""
}

func (d *acmeDoor) Enroll(t *testing.T, p *bound, i *identity) outcome {
	t.Helper()
	d.core.refusal = nil
	d.attested = fixture.Must(pkix.NewPublicKey(d.g.keys[i.keyType][keyOfACME].Public()))(t).Hash()
	a := d.accounts[i.holder]
	in := newOrder{Profile: p.ID(), NotBefore: timeText(i.notBefore), NotAfter: timeText(i.notAfter)}
	for _, n := range i.proven {
		in.Identifiers = append(in.Identifiers, identifierOf(t, n))
	}
	order, refused := d.order(t, a, in)
	if refused != nil {
		return *refused
	}
	return d.finalize(t, a, order, d.g.csr(i, keyOfACME))
}

type newOrder struct {
	Identifiers []state.Identifier `json:"identifiers"`
	Profile     string             `json:"profile"`
	NotBefore   string             `json:"notBefore,omitempty"`
	NotAfter    string             `json:"notAfter,omitempty"`
}

// order is one that is ready, and its address.
type order struct {
	url                           string
	Status, Finalize, Certificate string
	Authorizations                []string
}

func (d *acmeDoor) order(t *testing.T, a *account, in newOrder) (made order, refused *outcome) {
	t.Helper()
	answer := d.post(t, a, d.url("/new-order"), string(fixture.Must(json.Marshal(in))(t)))
	if answer.Code != http.StatusCreated {
		o := d.core.refused(fmt.Sprintf("%d %s", answer.Code, answer.Body))
		return made, &o
	}
	if decode(t, answer, &made); made.Status == string(state.Pending) {
		for _, authorization := range made.Authorizations {
			d.prove(t, a, d.post(t, a, authorization, ""))
		}
	}
	made.url = answer.Header().Get("Location")
	return made, nil
}

func (d *acmeDoor) finalize(t *testing.T, a *account, o order, csr []byte) outcome {
	t.Helper()
	answer := d.post(t, a, o.Finalize, fmt.Sprintf(`{"csr":%q}`, base64.RawURLEncoding.EncodeToString(csr)))
	if answer.Code != http.StatusOK {
		return d.core.refused(fmt.Sprintf("%d %s", answer.Code, answer.Body))
	}
	decode(t, answer, &o)
	chain := d.post(t, a, o.Certificate, "")
	block, _ := pem.Decode(chain.Body.Bytes())
	if block == nil {
		t.Fatalf("certificate: %d %s", chain.Code, chain.Body)
	}
	return issued(t, block.Bytes)
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func addressOf(t *testing.T, n pkix.GeneralName) netip.Addr {
	t.Helper()
	a, ok := netip.AddrFromSlice(n.Raw)
	if !ok {
		t.Fatalf("no address: %x", n.Raw)
	}
	return a
}

func identifierOf(t *testing.T, n pkix.GeneralName) state.Identifier {
	t.Helper()
	if n.Kind == pkix.DNSName {
		return state.Identifier{Type: string(claim.DNS), Value: string(n.Raw)}
	}
	if n.Kind == pkix.IPAddress {
		return state.Identifier{Type: string(claim.IP), Value: addressOf(t, n).String()}
	}
	if hardware, serial, ok := n.HardwareModule(); ok {
		return state.Identifier{Type: "hardware-module", Value: string(serial) + "/" + hardware.String()}
	}
	text, _ := n.Text()
	return state.Identifier{Type: "permanent-identifier", Value: text}
}

func decode(t *testing.T, answer *httptest.ResponseRecorder, into any) {
	t.Helper()
	if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
		t.Fatalf("%d %s: %v", answer.Code, answer.Body, err)
	}
}

// post sends a flattened JWS with the nonce of the last answer.
func (d *acmeDoor) post(t *testing.T, a *account, url, payload string) *httptest.ResponseRecorder {
	t.Helper()
	if d.nonce == "" {
		answer := httptest.NewRecorder()
		d.router.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodHead, d.url("/new-nonce"), nil))
		d.nonce = answer.Header().Get("Replay-Nonce")
	}
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(a.sign(t, d.nonce, url, payload)))
	q.Header.Set("Content-Type", "application/jose+json")
	answer := httptest.NewRecorder()
	d.router.ServeHTTP(answer, q)
	d.nonce = answer.Header().Get("Replay-Nonce")
	return answer
}

var encoding = base64.RawURLEncoding

func (a *account) jwk(t testing.TB) string {
	raw := fixture.Must(a.key.PublicKey.Bytes())(t)
	return fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, encoding.EncodeToString(raw[1:33]), encoding.EncodeToString(raw[33:]))
}

func (a *account) sign(t testing.TB, nonce, url, payload string) string {
	who := fmt.Sprintf(`"kid":%q`, a.url)
	if a.url == "" {
		who = `"jwk":` + a.jwk(t)
	}
	header, body := encoding.EncodeToString(fmt.Appendf(nil, `{"alg":"ES256",%s,"nonce":%q,"url":%q}`, who, nonce, url)), encoding.EncodeToString([]byte(payload))
	digest := sha256.Sum256([]byte(header + "." + body))
	r, s, err := ecdsa.Sign(rand.Reader, a.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, header, body, encoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)))
}

// binding signs the account's key with the key of an external account (RFC 8555
// section 7.3.4).
func (a *account) binding(g *gateway, k holder) string {
	url := origin + "/acme/" + tenant + "/" + issuing + "/hub/new-account"
	header, body := encoding.EncodeToString(fmt.Appendf(nil, `{"alg":"HS256","kid":%q,"url":%q}`, k.ID, url)), encoding.EncodeToString([]byte(a.jwk(g)))
	mac := hmac.New(sha256.New, k.secret.Octets())
	mac.Write([]byte(header + "." + body))
	return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, header, body, encoding.EncodeToString(mac.Sum(nil)))
}
