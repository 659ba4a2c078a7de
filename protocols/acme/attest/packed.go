package attest

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

// Extensions by which certificates of tokens say a serial number.
var (
	oidPIVSerial     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, 3, 7}        // INTEGER, of YubiKeys
	oidManagedDevice = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 37476, 9000, 64, 4} // SEQUENCE of one text, of smallstep
)

// checkPacked checks a packed statement (WebAuthn section 8.2): the attested key is
// that of the first certificate, and it has signed the key authorization. What
// section 8.2.1 asks of certificates of authenticators is not asked.
func checkPacked(v *Verifier, roots *x509.CertPool, s *statement, q *va.Question) (*device, error) {
	return signedByKey(v, roots, s, s.Sig, q)
}

// checkStep is checkPacked for a sig that is a CBOR byte string inside of one.
func checkStep(v *Verifier, roots *x509.CertPool, s *statement, q *va.Question) (*device, error) {
	sig, err := byteString(s.Sig)
	if err != nil {
		return nil, err
	}
	return signedByKey(v, roots, s, sig, q)
}

func signedByKey(v *Verifier, roots *x509.CertPool, s *statement, sig []byte, q *va.Question) (*device, error) {
	a, err := findAlgorithm(s.Alg)
	if err != nil {
		return nil, err
	}
	leaf, names, err := verifyChain(s.Chain, roots, v.now())
	if err != nil {
		return nil, err
	}
	if err := a.verify(leaf.PublicKey, []byte(q.KeyAuthorization), sig); err != nil {
		return nil, err
	}
	d := &device{key: leaf.PublicKey}
	d.named(names)
	serial, err := tokenSerial(leaf)
	if err != nil {
		return nil, err
	}
	if serial != "" {
		d.serial, d.permanent = serial, append(d.permanent, serial)
	}
	return d, nil
}

// tokenSerial reads the serial number of a token, "" where the certificate has none.
func tokenSerial(c *x509.Certificate) (string, error) {
	wrong := errors.New("the serial number in the attesting certificate does not read")
	if value := extension(c, oidPIVSerial); value != nil {
		var serial int64
		if rest, err := asn1.Unmarshal(value, &serial); err != nil || len(rest) > 0 || serial < 0 {
			return "", wrong
		}
		return strconv.FormatInt(serial, 10), nil
	}
	if value := extension(c, oidManagedDevice); value != nil {
		var device struct{ ID string }
		if rest, err := asn1.Unmarshal(value, &device); err != nil || len(rest) > 0 || !printable(device.ID) || strings.Contains(device.ID, "/") {
			return "", wrong
		}
		return device.ID, nil
	}
	return "", nil
}
