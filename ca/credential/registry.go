package credential

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/seal"
)

// oneTimeSize is how many characters of 5 random bits a one-time secret has: people
// type it at the console of a device, which takes few.
const oneTimeSize = 26

// secretSize is how many random octets a secret has that we make (invariant: 128
// bits at least).
const secretSize = 32

// idSize is how many characters an id has that we make.
const idSize = 16

// Secret is a secret in the clear. It does not print.
type Secret struct {
	octets []byte
	text   bool // octets are the text that is handed out
}

// Octets gives the secret to the code that computes with it.
func (s Secret) Octets() []byte { return s.octets }

// Text is what the holder is given: base64url without padding; of a OneTime the 26
// characters of Crockford base32 that it is.
func (s Secret) Text() string {
	if s.text {
		return string(s.octets)
	}
	return base64.RawURLEncoding.EncodeToString(s.octets)
}

// String keeps the secret out of logs.
func (Secret) String() string { return "[secret]" }

// GoString keeps the secret out of logs.
func (Secret) GoString() string { return "[secret]" }

// Registry makes credentials and checks them. It is safe for concurrent use.
type Registry struct {
	Store
	keys    *seal.Keyring
	hashing chan struct{} // bounds the memory that argon2id takes
}

// NewRegistry keeps secrets in a store, under the data keys of a keyring.
func NewRegistry(store Store, keys *seal.Keyring) *Registry {
	return &Registry{Store: store, keys: keys, hashing: make(chan struct{}, maxHashing)}
}

// Create registers a credential and gives its secret, which nobody can read
// again. Kind, door, tenant, binding, uses and expiry are taken from c, the id too
// where it has one; password is what a person chose for a Password, or empty for
// one that is made here, and empty for every other kind.
// BadRequest where c does not hold together; Conflict where the id is taken.
func (r *Registry) Create(ctx context.Context, c Credential, password string, a ca.Audit) (*Credential, Secret, error) {
	if c.ID == "" {
		c.ID = ca.RandomID(idSize)
	}
	if c.Binding.Credential = c.ID; c.Granted != c.Left || c.Granted == 0 || c.Granted < Unlimited || c.Expires.IsZero() || c.Tenant == "" || c.Door == "" {
		return nil, Secret{}, ca.InternalError(errors.New("credential: tenant, door, uses and expiry are needed"))
	}
	row, ok := kinds[c.Kind]
	if !ok || row.chosen == nil && password != "" {
		return nil, Secret{}, ca.Errorf(ca.BadRequest, "a password is given for credentials of kind %s, and for them alone", Password)
	}
	secret, keep := row.make(), row.keep
	if password != "" {
		secret.octets, keep = []byte(password), row.chosen
	}
	record := &Record{Credential: c}
	if err := keep(r, ctx, record, secret); err != nil {
		return nil, Secret{}, err
	}
	if err := r.AddCredential(ctx, record, a); err != nil {
		return nil, Secret{}, err
	}
	return &record.Credential, secret, nil
}

// kinds says how each kind makes its secret, and keeps it.
var kinds = map[Kind]struct {
	make   func() Secret
	keep   func(r *Registry, ctx context.Context, into *Record, s Secret) error
	chosen func(r *Registry, ctx context.Context, into *Record, s Secret) error // by a person; nil: never
}{
	HMACKey:  {make: randomSecret, keep: (*Registry).seal},
	Code:     {make: randomSecret, keep: (*Registry).seal},
	OneTime:  {make: typedSecret, keep: (*Registry).index},
	Password: {make: randomSecret, keep: (*Registry).digest, chosen: (*Registry).hash},
}

// randomSecret never makes one whose text begins with "-": people paste it behind a
// client's option (certbot --eab-hmac-key), and most clients then read another option
// there. One in 64 is drawn again.
func randomSecret() Secret {
	s := Secret{octets: make([]byte, secretSize)}
	for {
		rand.Read(s.octets) // never fails (crypto/rand)
		if s.Text()[0] != '-' {
			return s
		}
	}
}

func typedSecret() Secret { return Secret{octets: []byte(ca.RandomID(oneTimeSize)), text: true} }

// seal keeps what a protocol needs back.
func (r *Registry) seal(ctx context.Context, into *Record, s Secret) (err error) {
	into.Secret, err = r.keys.Seal(ctx, seal.EAB, into.Tenant, into.ID, s.octets)
	return err
}

// index keeps a keyed hash, which is also what the secret is found by.
func (r *Registry) index(ctx context.Context, into *Record, s Secret) error {
	keys, err := r.keys.Keys(ctx, seal.Lookup)
	if err != nil {
		return err
	}
	into.Lookup = lookup(keys.Current, into.Tenant, s.Text())
	into.Secret = into.Lookup
	return nil
}

func lookup(k seal.Key, tenant, secret string) []byte {
	mac := hmac.New(sha256.New, k.Secret())
	fmt.Fprintf(mac, "enrollgate/credential/lookup/1\x00%d\x00%s\x00%s", len(tenant), tenant, secret) // never fails
	return mac.Sum(nil)
}

// unknown is the answer to every secret that is not one of ours, whatever is
// wrong with it.
func unknown() error {
	return ca.Errorf(ca.BadProof, "the credential is not known, or its secret is wrong")
}

// Key gives the secret of an HMACKey or Code. BadProof where there is no such
// credential. Whether it is live is for the caller to ask.
func (r *Registry) Key(ctx context.Context, tenant, id string) (*Credential, Secret, error) {
	record, err := r.Store.Credential(ctx, tenant, id)
	if ca.IsKind(err, ca.NotFound) {
		return nil, Secret{}, unknown()
	}
	if err != nil {
		return nil, Secret{}, err
	}
	if record.Kind != HMACKey && record.Kind != Code {
		return nil, Secret{}, unknown()
	}
	octets, err := r.keys.Open(ctx, seal.EAB, tenant, id, record.Secret)
	return &record.Credential, Secret{octets: octets}, err
}

// Check verifies the secret of a Password or Code, in constant time. BadProof
// where it is wrong or there is no such credential.
func (r *Registry) Check(ctx context.Context, tenant, id, secret string) (*Credential, error) {
	record, err := r.Store.Credential(ctx, tenant, id)
	if err != nil && !ca.IsKind(err, ca.NotFound) {
		return nil, err
	}
	switch {
	case err == nil && record.Kind == Code:
		_, known, err := r.Key(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		if subtle.ConstantTimeCompare([]byte(known.Text()), []byte(secret)) != 1 {
			return nil, unknown()
		}
		return &record.Credential, nil
	case err == nil && record.Kind == Password:
		same, err := r.matches(ctx, record, secret)
		if err != nil {
			return nil, err
		}
		if !same {
			return nil, unknown()
		}
		return &record.Credential, nil
	}
	if MadeHere(id) { // no work is wasted on it
		return nil, unknown()
	}
	if _, err := r.compare(ctx, decoy, secret); err != nil { // as much work as for one that there is
		return nil, err
	}
	return nil, unknown()
}

// User verifies the name and password of a Password that may be used at an
// endpoint; BadProof, always in the same words, for everything else. What its
// state allows is for the caller to say.
func (r *Registry) User(ctx context.Context, e *ca.Endpoint, name, password string) (*Credential, error) {
	if !MadeHere(name) { // as those of every door are; hashing what strangers try would only wear us out
		return nil, unknown()
	}
	c, err := r.Check(ctx, e.Tenant, name, password)
	if err == nil && (c.Kind != Password || !c.Serves(e)) {
		err = unknown()
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Find gives the credential that a one-time secret belongs to. BadProof where
// there is none.
func (r *Registry) Find(ctx context.Context, tenant, secret string) (*Credential, error) {
	keys, err := r.keys.Keys(ctx, seal.Lookup)
	if err != nil {
		return nil, err
	}
	lookups := make([][]byte, len(keys.All))
	for i, k := range keys.All {
		lookups[i] = lookup(k, tenant, secret)
	}
	record, err := r.CredentialByLookup(ctx, tenant, lookups)
	if ca.IsKind(err, ca.NotFound) {
		return nil, unknown()
	}
	if err != nil {
		return nil, err
	}
	for _, l := range lookups {
		if hmac.Equal(l, record.Secret) {
			return &record.Credential, nil
		}
	}
	return nil, unknown()
}

// Kept is how long an expired credential stays for questions, and so that its
// bearer learns what became of it.
const Kept = 30 * 24 * time.Hour
