package probe

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// tries is how often one request is sent where the gateway asks to come again.
const tries = 3

// ACMEOptions is what an ACME client is made of.
type ACMEOptions struct {
	Directory string
	Key       crypto.Signer // of the account, which is made where there is none
	External  *acme.ExternalAccountBinding
	Names     []string // DNS names, one at least
	Solver    Solver
	HTTP      *http.Client // see NewClient
}

// ACME is a Door of RFC 8555, on golang.org/x/crypto/acme.
type ACME struct {
	ACMEOptions
	client *acme.Client
	wire   *downloads
	nonce  string // URL of newNonce
}

// NewACME makes the client. It asks nothing yet.
func NewACME(o ACMEOptions) (*ACME, error) {
	if o.Directory == "" || o.Key == nil || len(o.Names) == 0 || o.Solver == nil || o.HTTP == nil {
		return nil, errors.New("probe: a part of the ACME client is missing")
	}
	return &ACME{ACMEOptions: o}, nil
}

// Enroll implements Door with a client that remembers nothing of the last run.
func (a *ACME) Enroll(ctx context.Context, s *Steps) (*Enrolled, error) {
	a.wire = &downloads{RoundTripper: bounded{a.HTTP.Transport}, now: s.now}
	plain := *a.HTTP
	plain.Transport = a.wire
	a.client = &acme.Client{Key: a.Key, DirectoryURL: a.Directory, HTTPClient: &plain, UserAgent: "enrollgate-probe",
		RetryBackoff: func(n int, _ *http.Request, _ *http.Response) time.Duration {
			if n >= tries {
				return -1
			}
			return 500 * time.Millisecond
		}}
	var order *acme.Order
	for _, step := range []struct {
		step Step
		do   func(ctx context.Context) (note string, err error)
	}{
		{Directory, a.discover},
		{Nonce, a.newNonce},
		{Account, a.register},
		{Order, func(ctx context.Context) (note string, err error) {
			order, err = a.client.AuthorizeOrder(ctx, acme.DomainIDs(a.Names...))
			return "", err
		}},
		{Challenge, func(ctx context.Context) (string, error) { return a.authorize(ctx, &order) }},
	} {
		if err := s.Do(step.step, func() (string, error) { return step.do(ctx) }); err != nil {
			return nil, err
		}
	}
	return a.finalize(ctx, s, order)
}

// discover reads the directory (RFC 8555 section 7.1.1).
func (a *ACME) discover(ctx context.Context) (string, error) {
	dir, err := a.client.Discover(ctx)
	if err != nil {
		return "", err
	}
	a.nonce = dir.NonceURL
	if dir.ExternalAccountRequired && a.External == nil {
		return "external accounts are required, and none was given", nil // with an old account it works
	}
	return "", nil
}

// newNonce asks for one (RFC 8555 section 7.2); the client takes its own.
func (a *ACME) newNonce(ctx context.Context) (string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodHead, a.nonce, nil)
	if err != nil {
		return "", err
	}
	resp, err := a.client.HTTPClient.Do(q)
	if err != nil {
		return "", err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Replay-Nonce") == "" {
		return "", fmt.Errorf("%s answered %s with the nonce %q", a.nonce, resp.Status, resp.Header.Get("Replay-Nonce"))
	}
	return "", nil
}

// register makes the account, or finds it (RFC 8555 section 7.3.1).
func (a *ACME) register(ctx context.Context) (string, error) {
	account, err := a.client.Register(ctx, &acme.Account{ExternalAccountBinding: a.External}, acme.AcceptTOS)
	if errors.Is(err, acme.ErrAccountAlreadyExists) {
		return "there already", nil
	}
	if err == nil && account.Status != acme.StatusValid {
		err = fmt.Errorf("the account is %s", account.Status)
	}
	return "", err
}

// authorize proves every name and waits until the order is ready.
func (a *ACME) authorize(ctx context.Context, order **acme.Order) (note string, err error) {
	for _, url := range (*order).AuthzURLs {
		if err := a.prove(ctx, url); err != nil {
			return "", err
		}
	}
	ready, err := a.client.WaitOrder(ctx, (*order).URI)
	if err == nil {
		*order = ready
	}
	return a.Solver.Type(), err
}

// prove answers one challenge (RFC 8555 section 7.5.1).
func (a *ACME) prove(ctx context.Context, url string) (err error) {
	z, err := a.client.GetAuthorization(ctx, url)
	if err != nil || z.Status == acme.StatusValid { // proven by an earlier run
		return err
	}
	i := slices.IndexFunc(z.Challenges, func(c *acme.Challenge) bool { return c.Type == a.Solver.Type() })
	if i < 0 {
		var offered []string
		for _, c := range z.Challenges {
			offered = append(offered, c.Type)
		}
		return failure("Give --tls-alpn-01 instead of --http-01, or the reverse, or add the method to the profile.",
			"%s is not offered for %s, only %s", a.Solver.Type(), z.Identifier.Value, strings.Join(offered, ", "))
	}
	done, err := a.Solver.Present(a.client, z.Challenges[i].Token, z.Identifier.Value)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if _, err := a.client.Accept(ctx, z.Challenges[i]); err != nil {
		return err
	}
	_, err = a.client.WaitAuthorization(ctx, url)
	var failed *acme.AuthorizationError
	if errors.As(err, &failed) { // its own text names no reason
		return fmt.Errorf("%s of %s failed: %w", a.Solver.Type(), z.Identifier.Value, errors.Join(failed.Errors...))
	}
	return err
}

// finalize sends a CSR for a new key and downloads the chain. The library does both
// in one call; where the second begins is seen on the wire.
func (a *ACME) finalize(ctx context.Context, s *Steps, order *acme.Order) (*Enrolled, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: a.Names}, key)
	if err != nil {
		return nil, err
	}
	began := s.now()
	chain, _, err := a.client.CreateCertFromOrder(ctx, order, csr, true)
	ended, second := s.now(), a.wire.begun()
	if second.IsZero() {
		if err == nil {
			err = errors.New("the gateway gave no application/pem-certificate-chain (RFC 8555 section 7.4.2)")
		}
		s.add(Finalize, ended.Sub(began), "", err)
		return nil, err
	}
	s.add(Finalize, second.Sub(began), "", nil)
	s.add(Download, ended.Sub(second), "", err)
	if err != nil {
		return nil, err
	}
	return &Enrolled{Chain: chain, Key: key.Public(), Names: a.Names}, nil
}

// Revoke implements Door with the account's key (RFC 8555 section 7.6).
func (a *ACME) Revoke(ctx context.Context, s *Steps, e *Enrolled) error {
	return s.Do(Revoke, func() (string, error) {
		return "superseded", a.client.RevokeCert(ctx, nil, e.Chain[0], acme.CRLReasonSuperseded)
	})
}

// downloads notes when the request began whose reply is a certificate chain.
type downloads struct {
	http.RoundTripper
	now func() time.Time

	mu sync.Mutex
	at time.Time
}

func (d *downloads) RoundTrip(q *http.Request) (*http.Response, error) {
	began := d.now()
	resp, err := d.RoundTripper.RoundTrip(q)
	if err == nil {
		if media, _, parseErr := mime.ParseMediaType(resp.Header.Get("Content-Type")); parseErr == nil && media == "application/pem-certificate-chain" {
			d.mu.Lock()
			d.at = began
			d.mu.Unlock()
		}
	}
	return resp, err
}

func (d *downloads) begun() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}
