package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
)

// answersStatus asks each tenant's responder about tenant one's certificate:
// only its own knows it. The other's does not answer for that issuer, and has
// no such serial of its own.
func (s *twoTenants) answersStatus() {
	s.Helper()
	real, madeUp := s.number(s.serial), s.number(ca.NewSerial(time.Now()).String())
	one, two := s.caCertificate("one", "issuing"), s.caCertificate("two", "issuing")
	for method, ask := range map[string]func(tenant string, request []byte) []byte{"GET": s.askByGET, "POST": s.askByPOST} {
		if got := s.status(ask("one", s.question(one, real)), one); got != ocsp.Good {
			s.Errorf("%s: the owner's certificate has status %d", method, got)
		}
		for what, issuer := range map[string]*x509.Certificate{"tenant one's CA": one, "its other CA": s.caCertificate("one", "alpha")} {
			for _, serial := range []*big.Int{real, madeUp} {
				if got := ask("two", s.question(issuer, serial)); !bytes.Equal(got, ocsp.UnauthorizedErrorResponse) {
					s.Errorf("%s: tenant two's responder says of %x of %s: %x", method, serial, what, got)
				}
			}
		}
		for _, serial := range []*big.Int{real, madeUp} {
			if got := s.status(ask("two", s.question(two, serial)), two); got != ocsp.Unknown {
				s.Errorf("%s: tenant two's responder says %d of %x as its own", method, got, serial)
			}
		}
	}
}

func (s *twoTenants) number(serial string) *big.Int {
	s.Helper()
	parsed, err := ca.ParseSerial(serial)
	if err != nil {
		s.Fatal(err)
	}
	return new(big.Int).SetBytes(parsed[:])
}

func (s *twoTenants) caCertificate(tenant, id string) *x509.Certificate {
	s.Helper()
	issuer, err := s.issuers.Issuer(tenant, id)
	if err != nil {
		s.Fatal(err)
	}
	cert, err := x509.ParseCertificate(issuer.Facts().Chain[0])
	if err != nil {
		s.Fatal(err)
	}
	return cert
}

func (s *twoTenants) question(issuer *x509.Certificate, serial *big.Int) []byte {
	s.Helper()
	der, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, issuer, nil)
	if err != nil {
		s.Fatal(err)
	}
	return der
}

// status reads an answer that the CA signed itself.
func (s *twoTenants) status(der []byte, issuer *x509.Certificate) int {
	s.Helper()
	answer, err := ocsp.ParseResponse(der, issuer)
	if err != nil {
		s.Errorf("%x: %v", der, err)
		return -1
	}
	return answer.Status
}

func (s *twoTenants) askByGET(tenant string, request []byte) []byte {
	s.Helper()
	return s.asked(http.NewRequestWithContext(s.Context(), http.MethodGet,
		s.cfg.BaseURL.HTTP+"/ocsp/"+tenant+"/issuing/"+base64.StdEncoding.EncodeToString(request), nil))
}

func (s *twoTenants) askByPOST(tenant string, request []byte) []byte {
	s.Helper()
	return s.asked(http.NewRequestWithContext(s.Context(), http.MethodPost, s.cfg.BaseURL.HTTP+"/ocsp/"+tenant+"/issuing", bytes.NewReader(request)))
}

func (s *twoTenants) asked(r *http.Request, err error) []byte {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close() // only read from
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	return body
}
