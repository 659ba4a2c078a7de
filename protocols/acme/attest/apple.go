package attest

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"strings"

	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

func apple(arcs ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8}, arcs...)
}

// Extensions of Apple's attestation certificates. Their values are texts as they
// are, without a DER type around.
var (
	oidAppleSerial    = apple(9, 1)
	oidAppleUDID      = apple(9, 2)
	oidAppleFreshness = apple(11, 1)
)

// appleProperties are further ones, by the words that they get in claims.
var appleProperties = map[string]asn1.ObjectIdentifier{
	"udid": oidAppleUDID, "software-update-id": apple(9, 4), "os-version": apple(10, 1), "sepos-version": apple(10, 2), "llb-version": apple(10, 3),
	"sip-status": apple(13, 1), "secure-boot-status": apple(13, 2), "third-party-kexts": apple(13, 3),
}

// checkApple checks a Managed Device Attestation: the certificate of the attested
// key itself, made by Apple, whose freshness code is the SHA-256 digest of the
// token. The account's key is not in it (section 5 of the draft).
func checkApple(v *Verifier, roots *x509.CertPool, s *statement, q *va.Question) (*device, error) {
	leaf, _, err := verifyChain(s.Chain, roots, v.now())
	if err != nil {
		return nil, err
	}
	want := sha256.Sum256([]byte(q.Token))
	if subtle.ConstantTimeCompare(extension(leaf, oidAppleFreshness), want[:]) != 1 {
		return nil, errors.New("the freshness code of the attestation is not the digest of this challenge's token")
	}
	d := &device{key: leaf.PublicKey}
	serial, udid := string(extension(leaf, oidAppleSerial)), string(extension(leaf, oidAppleUDID))
	for _, id := range []string{serial, udid} {
		if printable(id) && !strings.Contains(id, "/") {
			d.permanent = append(d.permanent, id)
		}
	}
	if printable(serial) {
		d.serial = serial
	}
	for key, id := range appleProperties {
		d.say(key, string(extension(leaf, id)))
	}
	return d, nil
}

// extension gives the value of an extension, nil where there is none. Each is there
// once: the parser refuses repeats.
func extension(c *x509.Certificate, id asn1.ObjectIdentifier) []byte {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}
