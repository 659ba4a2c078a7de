package service

import (
	"bytes"
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/status"
)

// Delegate is an OCSP signer whose certificate the operator brings: one that a
// foreign CA issued for it (RFC 6960 section 4.2.2.2), or that CA's own.
type Delegate struct {
	File   string // PEM: the certificate
	Issuer *pkix.Certificate
	Key    keys.Signer
	Tenant string // whose turn it is at the key
	ByName bool   // answers name the responder by its subject instead of its key
	Now    func() time.Time

	last      []byte // the file as it was last seen, good or not
	signatory atomic.Pointer[status.Signatory]
}

var _ status.Signer = (*Delegate)(nil)

// Look reads the file again and takes up what it holds now. What is not good is
// an error once and leaves what there was in use. Only one goroutine may call it.
func (d *Delegate) Look() error {
	data, err := readBounded(d.File, maxChain)
	if err != nil || bytes.Equal(data, d.last) {
		return err
	}
	d.last = data
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return fmt.Errorf("%s holds no PEM certificate", d.File)
	}
	made, err := d.check(block.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", d.File, err)
	}
	d.signatory.Store(made)
	return nil
}

// check holds a certificate against issuer and key (RFC 6960 section 4.2.2.2).
func (d *Delegate) check(der []byte) (*status.Signatory, error) {
	cert, err := pkix.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	public, ok := cert.Key.Parsed().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(d.Key.Public()) {
		return nil, errors.New("its key is not the one that is configured")
	}
	algorithm, err := pkix.SignatureFor(cert.Key)
	if err != nil {
		return nil, err
	}
	out := &status.Signatory{Responder: status.ResponderID(cert.Subject, cert.Key, d.ByName), Algorithm: algorithm, NotAfter: cert.NotAfter,
		Sign: func(ctx context.Context, tbs []byte) ([]byte, error) {
			return d.Key.Sign(ctx, ca.LaneStatus, d.Tenant, algorithm.Digest(tbs), algorithm.Hash)
		}}
	if bytes.Equal(der, d.Issuer.Raw) {
		return out, nil // the CA signs itself
	}
	out.Certificates = [][]byte{der}
	return out, d.mayAnswer(cert)
}

func (d *Delegate) mayAnswer(cert *pkix.Certificate) error {
	if !bytes.Equal(cert.Issuer, d.Issuer.Subject) || cert.CheckSignatureFrom(d.Issuer.Key) != nil {
		return errors.New("the foreign CA did not issue it")
	}
	if !d.Now().Before(cert.NotAfter) {
		return fmt.Errorf("it ended at %s", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	ext, ok := pkix.FindExtension(cert.Extensions, pkix.OIDExtKeyUsage)
	if !ok {
		return errors.New("it may not answer OCSP: its extended key usage lacks OCSPSigning")
	}
	usages, err := pkix.ParseExtKeyUsage(ext.Value)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(usages, pkix.ExtKeyUsages["OCSPSigning"].Equal) {
		return errors.New("it may not answer OCSP: its extended key usage lacks OCSPSigning")
	}
	if ext, ok := pkix.FindExtension(cert.Extensions, pkix.OIDKeyUsage); ok {
		if usage, err := pkix.ParseKeyUsageValue(ext.Value); err != nil || usage&pkix.DigitalSignature == 0 {
			return errors.New("it may not sign answers: its key usage lacks digitalSignature")
		}
	}
	return nil
}

// NotAfter is when the certificate in use ends; zero where there is none.
func (d *Delegate) NotAfter() time.Time {
	if s := d.signatory.Load(); s != nil {
		return s.NotAfter
	}
	return time.Time{}
}

// Signatory implements status.Signer.
func (d *Delegate) Signatory(context.Context) (*status.Signatory, error) {
	s := d.signatory.Load()
	if s == nil || !d.Now().Before(s.NotAfter) {
		return nil, ca.UnavailableError(errors.New("the OCSP responder's certificate is missing or has ended"), time.Minute)
	}
	return s, nil
}

// readBounded reads a file of at most limit octets.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is longer than %d octets", path, limit)
	}
	return data, err
}
