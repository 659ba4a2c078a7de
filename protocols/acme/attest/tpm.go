package attest

import (
	"bytes"
	"crypto"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

var (
	oidAIKCertificate = asn1.ObjectIdentifier{2, 23, 133, 8, 3} // tcg-kp-AIKCertificate
	oidBasic          = asn1.ObjectIdentifier{2, 5, 29, 19}
)

// tpmAttributes are those of the directoryName that says which TPM it is (TCG EK
// Credential Profile section 3.2.9), by the words that they get in claims.
var tpmAttributes = map[string]pkix.OID{"tpm-manufacturer": {2, 23, 133, 2, 1}, "tpm-model": {2, 23, 133, 2, 2}, "tpm-version": {2, 23, 133, 2, 3}}

// checkTPM checks a statement of a TPM 2.0 (WebAuthn section 8.3): an attestation
// key, whose certificate names the device, has certified a key that was made in the
// TPM and cannot leave it, together with the digest of the key authorization.
func checkTPM(v *Verifier, roots *x509.CertPool, s *statement, q *va.Question) (*device, error) {
	if s.Version != "2.0" {
		return nil, errors.New("ver is not \"2.0\"")
	}
	a, err := findAlgorithm(s.Alg)
	if err != nil {
		return nil, err
	}
	if a.hash == 0 {
		return nil, errors.New("alg is not one that TPMs sign with")
	}
	leaf, names, err := verifyChain(s.Chain, roots, v.now())
	if err != nil {
		return nil, err
	}
	d := &device{}
	if err := checkAK(leaf, names, d); err != nil {
		return nil, err
	}
	sig, err := tpmSignature(s.Sig, a)
	if err != nil {
		return nil, err
	}
	if err := a.verify(leaf.PublicKey, s.CertInfo, sig); err != nil {
		return nil, errors.New("sig is not the attestation key's over certInfo")
	}
	area, key, err := parsePublicArea(s.PubArea)
	if err != nil {
		return nil, err
	}
	info, name, err := parseCertInfo(s.CertInfo)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(info.ExtraData.Buffer, a.digest([]byte(q.KeyAuthorization))) != 1 {
		return nil, errors.New("extraData of certInfo is not the digest of the key authorization")
	}
	want, err := tpm2.ObjectName(area)
	if err != nil || !bytes.Equal(name, want.Buffer) {
		return nil, errors.New("certInfo is about another key than pubArea")
	}
	d.key = key
	return d, nil
}

// checkAK holds the certificate of an attestation key against WebAuthn section 8.3.1
// and reads what it says of the device.
func checkAK(c *x509.Certificate, names []pkix.GeneralName, d *device) error {
	if empty := []byte{0x30, 0}; !bytes.Equal(c.RawSubject, empty) {
		return errors.New("the subject of the attestation key's certificate is not empty (WebAuthn section 8.3.1)")
	}
	if !slices.ContainsFunc(c.UnknownExtKeyUsage, oidAIKCertificate.Equal) {
		return errors.New("the attestation key's certificate lacks the extended key usage 2.23.133.8.3 (WebAuthn section 8.3.1)")
	}
	if extension(c, oidBasic) == nil {
		return errors.New("the attestation key's certificate has no basic constraints (WebAuthn section 8.3.1)")
	}
	for _, n := range names {
		if n.Kind != pkix.DirectoryName {
			continue
		}
		rdns, err := pkix.ParseName(n.Raw)
		if err != nil {
			return errors.New("the directory name of the attestation key's certificate does not read")
		}
		for _, rdn := range rdns {
			for _, a := range rdn {
				for word, id := range tpmAttributes {
					if text, ok := a.Text(); ok && a.Type.Equal(id) {
						d.say(word, text)
					}
				}
			}
		}
	}
	for word := range tpmAttributes {
		if d.properties[word] == "" {
			return errors.New("the attestation key's certificate does not name the TPM's manufacturer, model and version (WebAuthn section 8.3.1)")
		}
	}
	d.named(names)
	return nil
}

// parsePublicArea reads a TPMT_PUBLIC (TPM 2.0 part 2 section 12.2.4) of an RSA or
// elliptic curve key that was made in its TPM and cannot leave it.
func parsePublicArea(data []byte) (*tpm2.TPMTPublic, crypto.PublicKey, error) {
	wrong := errors.New("pubArea is not the public area of an RSA or elliptic curve key")
	if len(data) < 2 || len(data) > maxTPM {
		return nil, nil, wrong
	}
	if kind := tpm2.TPMAlgID(binary.BigEndian.Uint16(data)); kind != tpm2.TPMAlgRSA && kind != tpm2.TPMAlgECC {
		return nil, nil, wrong
	}
	area, err := tpm2.Unmarshal[tpm2.TPMTPublic](data)
	if err != nil || !bytes.Equal(tpm2.Marshal(area), data) { // nothing behind it, and one form
		return nil, nil, wrong
	}
	if at := area.ObjectAttributes; !at.FixedTPM || !at.FixedParent || !at.SensitiveDataOrigin {
		return nil, nil, errors.New("the attested key can leave the TPM, or was not made in it")
	}
	key, err := tpm2.Pub(*area)
	if err != nil {
		return nil, nil, wrong
	}
	return area, key, nil
}

// parseCertInfo reads a TPMS_ATTEST (part 2 section 10.12.12) that certifies a key.
// What it is of is looked at first: other kinds hold lists.
func parseCertInfo(data []byte) (info *tpm2.TPMSAttest, name []byte, err error) {
	wrong := errors.New("certInfo is not the certification of a key by a TPM")
	head := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMGeneratedValue)), uint16(tpm2.TPMSTAttestCertify))
	if len(data) > maxTPM || !bytes.HasPrefix(data, head) {
		return nil, nil, wrong
	}
	if info, err = tpm2.Unmarshal[tpm2.TPMSAttest](data); err != nil || !bytes.Equal(tpm2.Marshal(info), data) {
		return nil, nil, wrong
	}
	certified, err := info.Attested.Certify()
	if err != nil {
		return nil, nil, wrong
	}
	return info, certified.Name.Buffer, nil
}
