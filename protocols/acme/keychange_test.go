package acme

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/protocols/acme/recent"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// inner signs a keyChange object with the new key (RFC 8555 section 7.3.5).
func (c *client) inner(next *ecdsa.PrivateKey, url, account, oldKey string) string {
	holder := &client{b: c.b, key: next}
	return holder.signHeader(fmt.Sprintf(`{"alg":"ES256","jwk":%s,"url":%q}`, holder.jwk(), url), fmt.Sprintf(`{"account":%q,"oldKey":%s}`, account, oldKey))
}

// changeKey asks that an account's key old becomes next.
func (c *client) changeKey(old, next *ecdsa.PrivateKey, account string) reply {
	c.b.t.Helper()
	url := c.base + "/key-change"
	return c.post(url, c.inner(next, url, account, (&client{b: c.b, key: old}).jwk()))
}

func TestKeyChange(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	orderURL, _ := c.order("host.example")
	old, next := c.key, fixture.Key(t)
	r := c.changeKey(old, next, c.kid)
	if r.status != http.StatusOK || r.header.Get("Location") != c.kid {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := c.post(orderURL, ""); r.status != http.StatusBadRequest {
		t.Errorf("the old key is answered %d %s", r.status, r.body)
	}
	c.key = next
	if r := c.post(orderURL, ""); r.status != http.StatusOK {
		t.Errorf("the new key is answered %d %s", r.status, r.body)
	}
	c.issue(fixture.Key(t), "rolled.example")
	found := *c
	found.kid = ""
	if r := found.post(c.base+"/new-account", `{"onlyReturnExisting":true}`); r.status != http.StatusOK || r.header.Get("Location") != c.kid {
		t.Errorf("by the new key: %d %s", r.status, r.body)
	}
	gone := *c
	gone.kid, gone.nonce, gone.key = "", "", old
	if p := gone.post(c.base+"/new-account", `{"onlyReturnExisting":true}`).problem(t); p.Type != urn+typeAccountDoesNotExist {
		t.Errorf("by the old key: %s", p.Type)
	}
}

// TestKeyChangeRefusals: every check of RFC 8555 section 7.3.5.
func TestKeyChangeRefusals(t *testing.T) {
	b := newBench(t)
	c, other := b.registered("one"), b.registered("one")
	url, next := c.base+"/key-change", fixture.Key(t)
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weak := fmt.Sprintf(`{"kty":"RSA","e":"AQAB","n":%q}`, base64.RawURLEncoding.EncodeToString(small.N.Bytes()[:128]))
	holder := &client{b: b, key: next}
	body := fmt.Sprintf(`{"account":%q,"oldKey":%s}`, c.kid, c.jwk())
	for name, test := range map[string]struct {
		payload string
		status  int
		typ     string
	}{
		"no JWS":            {`{"account":"x"}`, 400, typeMalformed},
		"not an object":     {c.signedInner(holder, url, `[]`), 400, typeMalformed},
		"another URL":       {c.inner(next, c.base+"/new-order", c.kid, c.jwk()), 400, typeMalformed},
		"another account":   {c.inner(next, url, other.kid, c.jwk()), 400, typeMalformed},
		"no account":        {c.signedInner(holder, url, `{"oldKey":`+c.jwk()+`}`), 400, typeMalformed},
		"another old key":   {c.inner(next, url, c.kid, other.jwk()), 400, typeMalformed},
		"no old key":        {c.signedInner(holder, url, fmt.Sprintf(`{"account":%q}`, c.kid)), 400, typeMalformed},
		"kid inside":        {holder.signHeader(fmt.Sprintf(`{"alg":"ES256","kid":%q,"url":%q}`, c.kid, url), body), 400, typeMalformed},
		"another signature": {c.signHeader(fmt.Sprintf(`{"alg":"ES256","jwk":%s,"url":%q}`, holder.jwk(), url), body), 400, typeMalformed},
		"a weak key":        {holder.signHeader(fmt.Sprintf(`{"alg":"RS256","jwk":%s,"url":%q}`, weak, url), body), 400, typeBadPublicKey},
		"a MAC":             {holder.signHeader(fmt.Sprintf(`{"alg":"HS256","jwk":%s,"url":%q}`, holder.jwk(), url), body), 400, typeBadSignatureAlgorithm},
		"its own key":       {c.inner(c.key, url, c.kid, c.jwk()), 409, typeMalformed},
		"another's key":     {c.inner(other.key, url, c.kid, c.jwk()), 409, typeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.post(url, test.payload)
			if p := r.problem(t); r.status != test.status || p.Type != urn+test.typ {
				t.Errorf("%d %s", r.status, r.body)
			}
			want := map[string]string{"its own key": c.kid, "another's key": other.kid}[name]
			if got := r.header.Get("Location"); got != want {
				t.Errorf("Location %q, want %q", got, want)
			}
		})
	}
	if r := c.post(c.kid, ""); r.status != http.StatusOK {
		t.Errorf("the account's key does not work any more: %s", r.body)
	}
}

func (c *client) signedInner(holder *client, url, payload string) string {
	return holder.signHeader(fmt.Sprintf(`{"alg":"ES256","jwk":%s,"url":%q}`, holder.jwk(), url), payload)
}

// TestKeyChangedElsewhere: a replica that remembers the account with its old key
// takes the new one at once.
func TestKeyChangedElsewhere(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	if r := c.post(c.kid, ""); r.status != http.StatusOK {
		t.Fatal(r.status)
	}
	memory := b.door.Store.(*recent.Store)
	account, err := memory.Account(t.Context(), "one", "acme-one", c.kid[strings.LastIndex(c.kid, "/")+1:])
	if err != nil {
		t.Fatal(err)
	}
	next := fixture.Key(t)
	key, err := parseJWK([]byte((&client{b: b, key: next}).jwk()))
	if err != nil {
		t.Fatal(err)
	}
	changed := *account
	changed.Key, changed.Thumbprint = key.Canonical, key.Thumbprint
	nonce := state.Nonce{ID: [16]byte(sha256.New().Sum(nil)[:16]), Expires: account.CreatedAt.AddDate(1, 0, 0)}
	if err := memory.Store.ChangeKey(t.Context(), &changed, account.Thumbprint, nonce); err != nil { // past the memory, as another replica does
		t.Fatal(err)
	}
	c.key = next
	if r := c.post(c.kid, ""); r.status != http.StatusOK {
		t.Errorf("the new key is answered %d %s", r.status, r.body)
	}
}

// TestLibraryAccount uses x/crypto/acme for what an account does besides ordering.
func TestLibraryAccount(t *testing.T) {
	b := newBench(t)
	c := &acme.Client{Key: fixture.Key(t), HTTPClient: b.server.Client(), DirectoryURL: b.client("one").base + "/directory"}
	account, err := c.Register(t.Context(), &acme.Account{Contact: []string{"mailto:a@example.com"}}, acme.AcceptTOS)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.AccountKeyRollover(t.Context(), fixture.Key(t)); err != nil {
		t.Errorf("key change: %v", err)
	}
	account.Contact = []string{"mailto:b@example.com"}
	if account, err = c.UpdateReg(t.Context(), account); err != nil || account.Contact[0] != "mailto:b@example.com" {
		t.Errorf("update: %v, %v", account, err)
	}
	authorization, err := c.Authorize(t.Context(), "alone.example")
	if err != nil || authorization.Status != acme.StatusPending {
		t.Fatalf("newAuthz: %v, %v", authorization, err)
	}
	if _, err := c.Accept(t.Context(), authorization.Challenges[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitAuthorization(t.Context(), authorization.URI); err != nil {
		t.Fatal(err)
	}
	if o, err := c.AuthorizeOrder(t.Context(), acme.DomainIDs("alone.example")); err != nil || o.Status != acme.StatusReady {
		t.Errorf("an order for a name that was proven before: %v, %v", o, err)
	}
	if err := c.DeactivateReg(t.Context()); err != nil {
		t.Errorf("deactivate: %v", err)
	}
	if _, err := c.GetReg(t.Context(), ""); err == nil {
		t.Error("a deactivated account is found")
	}
}
