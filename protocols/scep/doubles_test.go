package scep

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/test/core"
)

// authority is a registration authority with one key.
type authority struct {
	der  []byte
	own  cms.Certificate
	key  *rsa.PrivateKey
	err  error // of every question
	uses atomic.Int64

	signing, decrypting error // of the key to sign with, and of a decryption
}

// Decrypt counts what is done with the key.
func (a *authority) Decrypt(random io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	a.uses.Add(1)
	if a.decrypting != nil {
		return nil, a.decrypting
	}
	return a.key.Decrypt(random, msg, opts)
}

func (a *authority) Public() crypto.PublicKey { return a.key.Public() }

func (a *authority) Current(context.Context) (*RAKey, error) {
	if err := cmp.Or(a.err, a.signing); err != nil {
		return nil, err
	}
	return a.entry(), nil
}

func (a *authority) entry() *RAKey {
	return &RAKey{a.der, a.key, func(context.Context) crypto.Decrypter { return a }}
}

func (a *authority) ByRecipient(ctx context.Context, issuer pkix.RawName, serial, keyID []byte) (*RAKey, error) {
	if !(cms.Identifier{Issuer: issuer, Serial: serial, SubjectKeyID: keyID}).Matches(a.own) {
		return nil, ca.Errorf(ca.NotFound, "another certificate")
	}
	return a.entry(), a.err
}

// observed counts what the door says of itself.
type observed struct {
	core.Observed
	mu     sync.Mutex
	legacy map[string]int
}

func (o *observed) Answered(e *ca.Endpoint, operation, outcome string, _ time.Duration) {
	o.Count(e, operation, outcome)
}

func (o *observed) Legacy(_ *ca.Endpoint, algorithm string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.legacy[algorithm]++
}

// reached counts what the door asks of the core, the registry and the record.
type reached struct {
	enroll, poll, secrets, certificates atomic.Int64
	verified                            atomic.Int64 // signatures of messages and of requests that parse
}

// count puts a counter before what verifies signatures.
func (r *reached) count(v *verifying) {
	message, request := v.message, v.request
	v.message = func(s *cms.SignedData, by *cms.SignerInfo, key crypto.PublicKey, f cms.Floor) error {
		r.verified.Add(1)
		return message(s, by, key, f)
	}
	v.request = func(der []byte, legacy bool) (*pkix.CSR, claim.Possession, error) {
		csr, possession, err := request(der, legacy)
		if csr != nil {
			r.verified.Add(1)
		}
		return csr, possession, err
	}
}

// watch puts the counters between the door and its parts.
func (r *reached) watch(o *Options) {
	o.Core, o.Credentials, o.Certificates = watchedCore{o.Core, r}, watchedSecrets{o.Credentials, r}, watchedRecord{o.Certificates, r}
}

// total is everything that was asked.
func (r *reached) total() int64 {
	return r.enroll.Load() + r.poll.Load() + r.secrets.Load() + r.certificates.Load()
}

type watchedCore struct {
	Core
	r *reached
}

func (w watchedCore) Enroll(ctx context.Context, requests ...*ca.Request) []ca.Result {
	w.r.enroll.Add(int64(len(requests)))
	return w.Core.Enroll(ctx, requests...)
}

func (w watchedCore) PollTransaction(ctx context.Context, c caller.Caller, transaction string) ca.Result {
	w.r.poll.Add(1)
	return w.Core.PollTransaction(ctx, c, transaction)
}

type watchedSecrets struct {
	Credentials
	r *reached
}

func (w watchedSecrets) Find(ctx context.Context, tenant, secret string) (*credential.Credential, error) {
	w.r.secrets.Add(1)
	return w.Credentials.Find(ctx, tenant, secret)
}

type watchedRecord struct {
	ca.Finder
	r *reached
}

func (w watchedRecord) Certificate(ctx context.Context, tenant, issuer string, serial ca.Serial) (*ca.Certificate, error) {
	w.r.certificates.Add(1)
	return w.Finder.Certificate(ctx, tenant, issuer, serial)
}

// events counts the rows of the audit trail by their event.
func (k *kit) events() map[string]int {
	all := map[string]int{}
	for _, batch := range k.Store.Trail() {
		for _, row := range batch.Rows {
			all[row.Event]++
		}
	}
	return all
}

// burnt tells how many uses of a tenant's credentials are taken.
func (k *kit) burnt(tenant string) (n int) {
	k.Helper()
	all, err := k.Registry.Credentials(k.Context(), tenant, "", 1000)
	if err != nil {
		k.Fatal(err)
	}
	for _, c := range all {
		n += c.Granted - c.Left
	}
	return n
}
