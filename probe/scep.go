package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"
)

// SCEPOptions is what a SCEP client is made of.
type SCEPOptions struct {
	URL    string         // of the endpoint, without a query
	Secret string         // challengePassword
	Names  []string       // DNS names, one at least; the first is the common name, too
	HTTP   *http.Client   // see NewClient
	Roots  *x509.CertPool // trust anchors of the registration authority
}

// SCEP is a Door of RFC 8894, on github.com/smallstep/scep, and a Renewer: what it
// got signs its renewal.
type SCEP struct {
	SCEPOptions
	ra, cas []*x509.Certificate
	own     *x509.Certificate // that the last run enrolled
	key     *rsa.PrivateKey   // of own
	next    *rsa.PrivateKey   // for its renewal
}

// init makes what the library sends acceptable everywhere: it has DES and SHA-1
// unless it is told otherwise, which it can only be for the whole program. Nothing
// else in this program uses it.
func init() {
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES128CBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		panic(err) // the library knows SHA-256
	}
}

// rsaBits is the size of keys: SCEP encrypts to them, so that they are RSA.
const rsaBits = 2048

// NewSCEP makes the client. It asks nothing yet.
func NewSCEP(o SCEPOptions) (*SCEP, error) {
	if o.URL == "" || o.Secret == "" || len(o.Names) == 0 || o.HTTP == nil || o.Roots == nil {
		return nil, errors.New("probe: a part of the SCEP client is missing")
	}
	return &SCEP{SCEPOptions: o}, nil
}

// Enroll implements Door with a client that remembers nothing of the last run.
func (c *SCEP) Enroll(ctx context.Context, s *Steps) (out *Enrolled, err error) {
	if err := s.Do(CACaps, func() (string, error) { return c.getCACaps(ctx) }); err != nil {
		return nil, err
	}
	if err := s.Do(CACert, func() (string, error) { return c.getCACert(ctx) }); err != nil {
		return nil, err
	}
	var keys [2]*rsa.PrivateKey // made before a step is timed: that takes longer than all the gateway does
	for i := range keys {
		if keys[i], err = rsa.GenerateKey(rand.Reader, rsaBits); err != nil {
			return nil, err
		}
	}
	key := keys[0]
	signer, err := c.selfSigned(key)
	if err != nil {
		return nil, err
	}
	c.next = keys[1]
	err = s.Do(Enroll, func() (note string, err error) {
		out, err = c.ask(ctx, scep.PKCSReq, key, c.Secret, signer, key)
		return "", err
	})
	return out, err
}

// Renew implements Renewer (RFC 8894 section 3.3.1.2), with a new key.
func (c *SCEP) Renew(ctx context.Context, _ *Enrolled) (*Enrolled, error) {
	if c.own == nil {
		return nil, errors.New("nothing was enrolled that could be renewed")
	}
	return c.ask(ctx, scep.RenewalReq, c.next, "", c.own, c.key)
}

// Revoke implements Door: SCEP has no revocation by clients.
func (c *SCEP) Revoke(context.Context, *Steps, *Enrolled) error { return errors.ErrUnsupported }

// selfSigned is the certificate that a first request is signed with (RFC 8894 section 2.3).
func (c *SCEP) selfSigned(key *rsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: c.Names[0]}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// getCACaps asks what the gateway can (RFC 8894 section 3.5.1): what is sent here
// must be in it.
func (c *SCEP) getCACaps(ctx context.Context) (note string, err error) {
	text, err := c.get(ctx, "GetCACaps", "text/plain")
	if err != nil {
		return "", err
	}
	said := strings.Fields(string(text))
	for _, want := range []string{"AES", "SHA-256", "POSTPKIOperation"} {
		if !slices.Contains(said, want) && !slices.Contains(said, "SCEPStandard") {
			return "", fmt.Errorf("GetCACaps does not list %s", want)
		}
	}
	return strings.Join(said, " "), nil
}

// getCACert gets the certificates of registration authority and CA (RFC 8894 section 4.2).
func (c *SCEP) getCACert(ctx context.Context) (note string, err error) {
	der, err := c.get(ctx, "GetCACert", "application/x-x509-ca-ra-cert")
	if err != nil {
		return "", err
	}
	all, err := certsOnly(der)
	if err != nil {
		return "", fmt.Errorf("GetCACert: %w", err)
	}
	c.ra, c.cas = nil, nil
	for _, one := range all {
		if one.IsCA {
			c.cas = append(c.cas, one)
		} else if _, ok := one.PublicKey.(*rsa.PublicKey); ok && one.KeyUsage&x509.KeyUsageKeyEncipherment != 0 {
			c.ra = append(c.ra, one)
		}
	}
	if len(c.ra) == 0 {
		return "", errors.New("GetCACert gives no certificate of a registration authority that can be encrypted to")
	}
	between := x509.NewCertPool()
	for _, one := range c.cas {
		between.AddCert(one)
	}
	for _, ra := range c.ra { // which the secret is told (RFC 8894 section 2.2); devices compare a fingerprint
		if _, err := ra.Verify(x509.VerifyOptions{Roots: c.Roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			return "", failure("Give the root that certificates of this CA chain to by --root; see which that is with `enrollgate ca list`.",
				"the certificate of the registration authority %q: %w", ra.Subject, err)
		}
	}
	return fmt.Sprintf("%d of a registration authority, %d of CAs", len(c.ra), len(c.cas)), nil
}

// ask has a key certified by a message that signer signs.
func (c *SCEP) ask(ctx context.Context, kind scep.MessageType, key *rsa.PrivateKey, secret string, signer *x509.Certificate, with *rsa.PrivateKey) (*Enrolled, error) {
	der, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{ChallengePassword: secret,
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: c.Names[0]}, DNSNames: c.Names, SignatureAlgorithm: x509.SHA256WithRSA}}, key)
	if err != nil {
		return nil, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, err
	}
	message, err := scep.NewCSRRequest(csr, &scep.PKIMessage{MessageType: kind, Recipients: c.ra[:1], SignerCert: signer, SignerKey: with})
	if err != nil {
		return nil, err
	}
	body, err := c.do(ctx, http.MethodPost, "PKIOperation", message.Raw, "application/x-pki-message")
	if err != nil {
		return nil, err
	}
	got, err := c.read(body, message, signer, with)
	if err != nil {
		return nil, err
	}
	c.own, c.key = got, key
	return &Enrolled{Chain: issuers(got, c.cas), Key: key.Public(), Names: c.Names}, nil
}

// read opens a CertRep (RFC 8894 section 3.3.2). The library fails on some hostile
// replies by a panic, which is a failed run here and not the end of the canary.
func (c *SCEP) read(body []byte, asked *scep.PKIMessage, signer *x509.Certificate, with *rsa.PrivateKey) (got *x509.Certificate, err error) {
	defer func() {
		if p := recover(); p != nil {
			got, err = nil, fmt.Errorf("the reply cannot be read: %v", p)
		}
	}()
	reply, err := scep.ParsePKIMessage(body, scep.WithCACerts(c.ra)) // signed by the registration authority
	if err != nil {
		return nil, fmt.Errorf("the reply is no CertRep: %w", err)
	}
	switch {
	case reply.MessageType != scep.CertRep || reply.CertRepMessage == nil:
		return nil, fmt.Errorf("the reply is a message of type %s", reply.MessageType)
	case reply.TransactionID != asked.TransactionID || !bytes.Equal(reply.RecipientNonce, asked.SenderNonce):
		return nil, errors.New("the reply is that to another request: transaction id or recipientNonce are not ours")
	case reply.PKIStatus == scep.PENDING:
		return nil, failure("Give the canary an endpoint whose profile says approval: auto.", "the request waits for an operator, and is not asked for again")
	case reply.PKIStatus != scep.SUCCESS:
		return nil, fmt.Errorf("the request is refused, failInfo %s: %s", reply.FailInfo, failInfoText(body))
	}
	if err := reply.DecryptPKIEnvelope(signer, with); err != nil {
		return nil, fmt.Errorf("the reply cannot be opened: %w", err)
	}
	return reply.CertRepMessage.Certificate, nil
}

// failInfoText is what a refusal says (RFC 8894 section 3.2.1.6).
func failInfoText(body []byte) string {
	var text string
	p, err := pkcs7.Parse(body)
	if err == nil {
		err = p.UnmarshalSignedAttribute([]int{1, 3, 6, 1, 5, 5, 7, 24, 1}, &text)
	}
	if err != nil {
		return "without a failInfoText"
	}
	return said([]byte(text))
}

// get asks for an operation without a message.
func (c *SCEP) get(ctx context.Context, operation, mediaType string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, operation, nil, mediaType)
}

// do asks for an operation (RFC 8894 section 4.1).
func (c *SCEP) do(ctx context.Context, method, operation string, body []byte, mediaType string) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, method, c.URL+"?"+url.Values{"operation": {operation}}.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("User-Agent", "enrollgate-probe")
	if body != nil {
		q.Header.Set("Content-Type", mediaType)
	}
	resp, err := c.HTTP.Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // only read from
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxReply:
		return nil, fmt.Errorf("%s answered with more than %d octets", operation, maxReply)
	case resp.StatusCode != http.StatusOK:
		return nil, &refusal{resp.StatusCode, fmt.Sprintf("%s answered %s: %s", operation, resp.Status, said(text))}
	case resp.Header.Get("Content-Type") != mediaType:
		return nil, fmt.Errorf("%s answered with the content type %q and not %s", operation, resp.Header.Get("Content-Type"), mediaType)
	}
	return text, nil
}

var _ interface {
	Door
	Renewer
} = (*SCEP)(nil)
