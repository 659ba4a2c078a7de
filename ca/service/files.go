package service

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Files is a TLS certificate that the operator brings: a PEM chain, leaf
// first, with a key opened elsewhere.
type Files struct{ certificate *tls.Certificate }

// maxChain bounds a chain file in octets.
const maxChain = 256 << 10

// FromFiles reads the chain and checks that it belongs to the key.
func FromFiles(chain string, key crypto.Signer) (*Files, error) {
	data, err := readBounded(chain, maxChain)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{PrivateKey: key}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c.Certificate = append(c.Certificate, block.Bytes)
		}
	}
	if len(c.Certificate) == 0 {
		return nil, fmt.Errorf("%s holds no PEM certificate", chain)
	}
	if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
		return nil, fmt.Errorf("%s: %w", chain, err)
	}
	public, ok := c.Leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, errors.New("tls.key is not the key of the first certificate in tls.certificate")
	}
	return &Files{c}, nil
}

// Certificate serves handshakes.
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.certificate, nil
}
