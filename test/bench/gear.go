package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep/x509util"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/test/harness"
)

// gear is one SCEP client (RFC 8894), such as a switch: a connection without TLS.
type gear struct {
	peer
	site scepSite
	ra   []*x509.Certificate // that messages are encrypted to
}

// scepSite is where a site serves SCEP, and what it is told.
type scepSite struct{ address, host, secret string }

const (
	scepProfile = "scep-digital-signature-key-encipherment"
	scepPath    = "/scep/default/issuing/" + scepProfile + "/?operation="
	rsaBits     = 2048
)

// init has the library send what the daemon takes: by itself it has DES and SHA-1.
func init() {
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES128CBC
}

func newSCEPSite(h *host, daemon *harness.Process, config string) (s scepSite) {
	s.secret = newCredential(h, daemon, config, scepDoor, scepProfile).Challenge
	s.address = daemon.Addresses().HTTP
	_, port, _ := cutLast(s.address, ":")
	s.host = "localhost:" + port
	return s
}

// gear makes a client that knows the registration authority.
func (s *site) gear() (*gear, error) {
	g := &gear{peer: peer{wire: &wire{address: s.scep.address, host: s.scep.host, head: "Content-Type: application/x-pki-message\r\n"}}, site: s.scep}
	r, err := g.wire.do("GET", scepPath+"GetCACert", nil)
	if err != nil {
		return nil, err
	}
	bundle, err := pkcs7.Parse(r.body)
	if err != nil {
		return nil, fmt.Errorf("GetCACert: %d: %w", r.status, err)
	}
	for _, c := range bundle.Certificates {
		if !c.IsCA {
			g.ra = append(g.ra, c)
		}
	}
	if len(g.ra) == 0 {
		return nil, errors.New("GetCACert gives no registration authority")
	}
	return g, nil
}

// succeeded is the attribute pkiStatus with SUCCESS in a reply.
var succeeded = []byte{6, 10, 0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x45, 1, 9, 3, 0x31, 3, 0x13, 1, '0'}

// enroll is one flow: a PKCSReq that was made before, and its reply.
func (g *gear) enroll(j job, _ *responder) error {
	g.posts++
	r, err := g.wire.do("POST", scepPath+"PKIOperation", []byte(j.csr))
	if err != nil {
		return err
	}
	if r.status != 200 || !bytes.Contains(r.body, succeeded) {
		return fmt.Errorf("%d: a reply of %d octets without success: %s", r.status, len(r.body), printable(r.body))
	}
	return nil
}

// printable keeps what can be read, such as a failInfoText.
func printable(text []byte) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, string(text))
}

// signer is a key with the certificate that a first message is signed by.
type signer struct {
	key         *rsa.PrivateKey
	certificate *x509.Certificate
}

// Keys are fewer than messages.
const (
	keyShare = 16
	maxKeys  = 64
)

// newMessages makes a PKCSReq for each flow: a fresh name and transaction, and the
// next of the keys.
func newMessages(n int, g *gear) ([]job, error) {
	jobs, signers := make([]job, n), make([]signer, min(max(n/keyShare, 2), maxKeys))
	failed := make([]error, 2)
	each := func(count int, do func(i int) error) error { // on two processors
		var wait sync.WaitGroup
		for half := range failed {
			wait.Go(func() {
				for i := half; i < count && failed[half] == nil; i += len(failed) {
					failed[half] = do(i)
				}
			})
		}
		wait.Wait()
		return errors.Join(failed...)
	}
	if err := each(len(signers), func(i int) (err error) {
		signers[i], err = newSigner()
		return err
	}); err != nil {
		return nil, err
	}
	return jobs, each(n, func(i int) (err error) {
		jobs[i].name = fmt.Sprintf("g%s-%d.bench.example", started, made.Add(1))
		jobs[i].csr, err = g.message(jobs[i].name, signers[i%len(signers)])
		return err
	})
}

func newSigner() (s signer, err error) {
	if s.key, err = rsa.GenerateKey(rand.Reader, rsaBits); err != nil {
		return s, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, s.key.Public(), s.key)
	if err != nil {
		return s, err
	}
	s.certificate, err = x509.ParseCertificate(der)
	return s, err
}

// message is a PKCSReq (RFC 8894 section 3.3.1.1).
func (g *gear) message(name string, s signer) (string, error) {
	csr, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{ChallengePassword: g.site.secret,
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, SignatureAlgorithm: x509.SHA256WithRSA}}, s.key)
	if err != nil {
		return "", err
	}
	envelope, err := pkcs7.Encrypt(csr, g.ra[:1])
	if err != nil {
		return "", err
	}
	signed, err := pkcs7.NewSignedData(envelope)
	if err != nil {
		return "", err
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	attribute := func(last int, value any) pkcs7.Attribute {
		return pkcs7.Attribute{Type: asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, last}, Value: value}
	}
	nonce := sha256.Sum256([]byte(name))
	if err := signed.AddSigner(s.certificate, s.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{
		attribute(2, "19"), attribute(5, nonce[:16]), attribute(7, name)}}); err != nil {
		return "", err
	}
	der, err := signed.Finish()
	return string(der), err
}

// rsaLimits measures what SCEP forces on a gateway besides: the key of its
// registration authority opens the request and signs the reply.
func rsaLimits() ([]limit, error) {
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte("bench"))
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, sum[:16])
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"host.bench.example"}}, key)
	if err != nil {
		return nil, err
	}
	var all []limit
	for _, m := range []struct {
		name string
		f    func() error
	}{
		{limitRSASign, func() error { _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); return err }},
		{limitRSADecrypt, func() error { return rsa.DecryptPKCS1v15SessionKey(nil, key, sealed, make([]byte, 16)) }},
		{limitRSACSR, func() error { _, _, err := claim.VerifyCSR(csr, false); return err }},
	} {
		l, err := cost(m.name, m.f)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}
