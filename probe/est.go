package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// ESTOptions is what an EST client is made of.
type ESTOptions struct {
	URL      string // of the endpoint, without the operation
	User     string // of HTTP Basic
	Password string
	Names    []string       // DNS names, one at least; the first is the common name, too
	Roots    *x509.CertPool // trust anchors of the gateway's TLS certificate
}

// EST is a Door of RFC 7030, and a Renewer: what it got renews itself as TLS client
// certificate. Its reading is strict and shares nothing with the gateway's.
type EST struct {
	ESTOptions
	own *tls.Certificate // that the last run enrolled
	cas []*x509.Certificate
	key keyType
}

// NewEST makes the client. It asks nothing yet.
func NewEST(o ESTOptions) (*EST, error) {
	if o.URL == "" || o.User == "" || o.Password == "" || len(o.Names) == 0 || o.Roots == nil {
		return nil, errors.New("probe: a part of the EST client is missing")
	}
	if u, err := url.Parse(o.URL); err != nil || u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no https URL: the password and the client certificate need TLS (RFC 7030 section 3.3)", o.URL)
	}
	return &EST{ESTOptions: o}, nil
}

// Enroll implements Door with a client that remembers nothing of the last run.
func (e *EST) Enroll(ctx context.Context, s *Steps) (out *Enrolled, err error) {
	c := NewClient(e.Roots)
	defer c.CloseIdleConnections()
	if err := s.Do(CACerts, func() (string, error) { return e.cacerts(ctx, c) }); err != nil {
		return nil, err
	}
	if err := s.Do(CSRAttrs, func() (string, error) { return e.csrattrs(ctx, c) }); err != nil {
		return nil, err
	}
	err = s.Do(Enroll, func() (note string, err error) {
		out, err = e.ask(ctx, c, "simpleenroll", func(q *http.Request) { q.SetBasicAuth(e.User, e.Password) })
		return e.key.String(), err
	})
	return out, err
}

// Renew implements Renewer (RFC 7030 section 4.2.2), with a new key.
func (e *EST) Renew(ctx context.Context, _ *Enrolled) (*Enrolled, error) {
	if e.own == nil {
		return nil, errors.New("nothing was enrolled that could be renewed")
	}
	c := NewClient(e.Roots, *e.own)
	defer c.CloseIdleConnections()
	return e.ask(ctx, c, "simplereenroll", func(*http.Request) {})
}

// Revoke implements Door: EST has no revocation.
func (e *EST) Revoke(context.Context, *Steps, *Enrolled) error { return errors.ErrUnsupported }

// cacerts gets the CA's certificates (RFC 7030 section 4.1), which an answer to an
// enrollment is without.
func (e *EST) cacerts(ctx context.Context, c *http.Client) (note string, err error) {
	reply, err := e.do(ctx, c, http.MethodGet, "cacerts", nil, nil)
	if err != nil {
		return "", err
	}
	if e.cas, err = reply.certificates(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d certificates", len(e.cas)), nil
}

// csrattrs asks what a request must hold (RFC 7030 section 4.5): what its key must
// be is done, what it must say beside subject and names is not.
func (e *EST) csrattrs(ctx context.Context, c *http.Client) (note string, err error) {
	e.key = p256
	reply, err := e.do(ctx, c, http.MethodGet, "csrattrs", nil, nil)
	switch {
	case err != nil:
		return "", err
	case reply.status == http.StatusNoContent || reply.status == http.StatusNotFound: // section 4.5.2
		return "nothing is wanted", nil
	}
	der, err := reply.der("application/csrattrs")
	if err != nil {
		return "", err
	}
	wanted, err := readAttributes(der)
	if err != nil {
		return "", err
	}
	if wanted.bound {
		return "", failure("Give the canary an endpoint without channel_binding: required.",
			"requests must be bound to their TLS connection (RFC 7030 section 3.5), which this client does not do")
	}
	if len(wanted.keys) > 0 {
		e.key = wanted.keys[0]
	}
	return fmt.Sprintf("%d types of keys that are known here", len(wanted.keys)), nil
}

// ask has a new key certified.
func (e *EST) ask(ctx context.Context, c *http.Client, operation string, who func(*http.Request)) (*Enrolled, error) {
	key, err := e.key.generate()
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: e.Names[0]}, DNSNames: e.Names}, key)
	if err != nil {
		return nil, err
	}
	reply, err := e.do(ctx, c, http.MethodPost, operation, []byte(base64.StdEncoding.EncodeToString(csr)), who)
	if err != nil {
		return nil, err
	}
	got, err := reply.certificates()
	if err != nil {
		return nil, err
	}
	if len(got) != 1 { // section 4.2.3: the issued certificate alone
		return nil, fmt.Errorf("%s gave %d certificates and not the new one alone", operation, len(got))
	}
	chain := issuers(got[0], e.cas)
	e.own = &tls.Certificate{Certificate: chain, PrivateKey: key}
	return &Enrolled{Chain: chain, Key: key.Public(), Names: e.Names}, nil
}

// issuers puts those behind a certificate that lead from it to a root; what issued
// it may be missing, which the chain's check finds.
func issuers(leaf *x509.Certificate, cas []*x509.Certificate) (chain [][]byte) {
	for c := leaf; c != nil && len(chain) <= len(cas); {
		chain = append(chain, c.Raw)
		below := c
		c = nil
		for _, candidate := range cas {
			if !candidate.Equal(below) && below.CheckSignatureFrom(candidate) == nil {
				c = candidate
				break
			}
		}
	}
	return chain
}

// reply is an answer of an EST server, which was not refused.
type reply struct {
	operation string
	status    int
	media     string
	body      []byte
}

// do asks for an operation. What is neither 200 nor a csrattrs without any is an
// error that says what the gateway said.
func (e *EST) do(ctx context.Context, c *http.Client, method, operation string, body []byte, who func(*http.Request)) (*reply, error) {
	q, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(e.URL, "/")+"/"+operation, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("User-Agent", "enrollgate-probe")
	if body != nil {
		q.Header.Set("Content-Type", "application/pkcs10")
		who(q)
	}
	resp, err := c.Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // only read from
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err == nil && len(text) > maxReply {
		err = fmt.Errorf("%s answered with more than %d octets", q.URL, maxReply)
	}
	if err != nil {
		return nil, err
	}
	r := &reply{operation, resp.StatusCode, resp.Header.Get("Content-Type"), text}
	switch {
	case r.status == http.StatusOK, operation == "csrattrs" && (r.status == http.StatusNoContent || r.status == http.StatusNotFound):
		return r, nil
	case r.status == http.StatusAccepted: // section 4.2.3
		return nil, failure("Give the canary an endpoint whose profile says approval: auto.", "the request waits for an operator, and is not asked for again: %s", said(text))
	}
	return nil, &refusal{r.status, fmt.Sprintf("%s answered %s: %s", operation, resp.Status, said(text))}
}

// maxSaid is how much of a refusal is shown, in octets.
const maxSaid = 500

// said is what a refusal says.
func said(text []byte) string { return strings.TrimSpace(string(text[:min(len(text), maxSaid)])) }

// refusal is an HTTP status that is none of success.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// der gives the content of an answer of a media type (RFC 8951 section 3: base64).
func (r *reply) der(mediaType string) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.media); err != nil || media != mediaType {
		return nil, fmt.Errorf("%s answered with the content type %q and not %s", r.operation, r.media, mediaType)
	}
	der, err := base64.StdEncoding.DecodeString(string(r.body)) // line breaks are passed over
	if err != nil {
		return nil, fmt.Errorf("%s answered with something else than base64: %w", r.operation, err)
	}
	return der, nil
}

// certificates reads an answer that holds them alone.
func (r *reply) certificates() (all []*x509.Certificate, err error) {
	der, err := r.der("application/pkcs7-mime")
	if err != nil {
		return nil, err
	}
	if all, err = certsOnly(der); err != nil {
		return nil, fmt.Errorf("%s: %w", r.operation, err)
	}
	return all, nil
}

var _ interface {
	Door
	Renewer
} = (*EST)(nil)
