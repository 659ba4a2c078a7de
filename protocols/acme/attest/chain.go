package attest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// RSA keys that signatures are checked with, in bits. The upper bound keeps what a
// stranger sends from costing time.
const (
	minRSA = 2048
	maxRSA = 4096
)

var oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// verifyChain reads x5c, whose first certificate is the attesting one, and builds a
// path to a root at a time. Names of the first are in names.
func verifyChain(x5c [][]byte, roots *x509.CertPool, now time.Time) (leaf *x509.Certificate, names []pkix.GeneralName, err error) {
	if len(x5c) == 0 || len(x5c) > maxChain {
		return nil, nil, fmt.Errorf("x5c has one to %d certificates", maxChain)
	}
	above := x509.NewCertPool()
	for i, der := range x5c {
		if len(der) > maxCertificate {
			return nil, nil, fmt.Errorf("a certificate of x5c is longer than %d octets", maxCertificate)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %d of x5c does not read", i+1)
		}
		if err := checkKey(c.PublicKey); err != nil {
			return nil, nil, fmt.Errorf("certificate %d of x5c has %w", i+1, err)
		}
		if i == 0 {
			leaf = c
			continue
		}
		above.AddCert(c)
	}
	if leaf.IsCA || leaf.Version != 3 {
		return nil, nil, errors.New("the attesting certificate is a CA's, or is not of version 3")
	}
	if names, err = altNames(leaf); err != nil {
		return nil, nil, err
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: above, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil { // the text of crypto/x509 repeats names of the certificate
		return nil, nil, errors.New("x5c does not lead to a root that is configured for this format, or is not valid now")
	}
	return leaf, names, nil
}

// altNames reads the subject alternative names, otherNames included. crypto/x509
// knows none of those: where the extension is critical, this is who handles it.
func altNames(c *x509.Certificate) ([]pkix.GeneralName, error) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		names, err := pkix.ParseGeneralNames(e.Value)
		if err != nil {
			return nil, errors.New("the subject alternative names of the attesting certificate do not read")
		}
		c.UnhandledCriticalExtensions = slices.DeleteFunc(c.UnhandledCriticalExtensions, oidSubjectAltName.Equal)
		return names, nil
	}
	return nil, nil
}

// checkKey bounds the keys that signatures are checked with.
func checkKey(key any) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("an RSA key of %d bits, which is not %d to %d", bits, minRSA, maxRSA)
		}
		if k.E < 3 || k.E > 1<<31-1 {
			return errors.New("an RSA key with an exponent that is not used")
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return errors.New("a key of an algorithm that is not known here")
	}
	return nil
}
