package est

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keygen"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Attributes of a request that say how its key is to be encrypted (RFC 7030
// sections 4.4.1.1 and 4.4.1.2), and the content type of the key in there.
var (
	oidCapabilities    = pkix.OID{1, 2, 840, 113549, 1, 9, 15}        // RFC 8551 section 2.5.2
	oidDecryptKeyID    = pkix.OID{1, 2, 840, 113549, 1, 9, 16, 2, 37} // RFC 4108 section 2.2.5
	oidAsymmDecryptKey = pkix.OID{1, 2, 840, 113549, 1, 9, 16, 2, 54} // RFC 7030 section 4.4.1.2
	oidKeyPackage      = pkix.OID{2, 16, 840, 1, 101, 2, 1, 2, 78, 5} // RFC 5958 section 3
	oidOAEP            = pkix.OID{1, 2, 840, 113549, 1, 1, 7}
)

// maxKeyID bounds an identifier of a key in octets.
const maxKeyID = 128

// wrapping is how a key travels. Without a recipient it is under TLS alone (RFC
// 7030 section 4.4: the cipher suite of the connection protects it).
type wrapping struct {
	recipients []cms.Recipient
	cipher     cms.Cipher
	signer     Signer
	asked      [][]byte // the attributes that said so, as they came
}

// wrapping reads from a request how its key is to be encrypted, and finds the
// key to encrypt it under. Nothing is made before that is known.
func (d *Door) wrapping(r *request, id *identity, csr *pkix.CSR) (*wrapping, error) {
	shared, err := keyIdentifier(csr, oidDecryptKeyID)
	if err != nil {
		return nil, err
	}
	owned, err := keyIdentifier(csr, oidAsymmDecryptKey)
	if err != nil {
		return nil, err
	}
	w := &wrapping{signer: r.endpoint.signer}
	switch {
	case shared == nil && owned == nil:
		return w, nil
	case shared != nil && owned != nil:
		return nil, httpx.Fail(http.StatusBadRequest, "the request names two keys to encrypt its key under; one is enough (RFC 7030 section 4.4.1)")
	case w.signer == nil: // RFC 7030 section 4.4.2: what is encrypted is signed
		return nil, httpx.Fail(http.StatusNotImplemented, "keys are not encrypted here: the CA has no registration authority to sign them; without a DecryptKeyIdentifier the key comes over TLS")
	}
	capabilities, err := capabilitiesOf(csr, w)
	if err != nil {
		return nil, err
	}
	w.asked = append(w.asked, shared, owned)
	if shared != nil {
		w.recipients, err = d.sharedKey(r, string(shared))
	} else {
		w.recipients, err = d.ownedKey(r, id, owned, capabilities)
	}
	return w, err
}

// keyIdentifier reads an attribute of one OCTET STRING, or of the text that
// OpenSSL writes in its place; nil where there is none.
func keyIdentifier(csr *pkix.CSR, attribute pkix.OID) ([]byte, error) {
	value, err := oneValue(csr, attribute)
	if value == nil || err != nil {
		return nil, err
	}
	in := cryptobyte.String(value)
	var octets cryptobyte.String
	var tag casn1.Tag
	texts := []casn1.Tag{casn1.OCTET_STRING, casn1.UTF8String, casn1.PrintableString, casn1.IA5String}
	if !in.ReadAnyASN1(&octets, &tag) || !in.Empty() || !slices.Contains(texts, tag) || len(octets) == 0 || len(octets) > maxKeyID {
		return nil, httpx.Fail(http.StatusBadRequest, "the identifier of the key to encrypt under is not an OCTET STRING of 1 to %d octets (RFC 7030 section 4.4.1)", maxKeyID)
	}
	return octets, nil
}

// oneValue gives the one value of an attribute, or nil where there is none.
func oneValue(csr *pkix.CSR, attribute pkix.OID) (value []byte, err error) {
	for _, a := range csr.Attributes {
		if !a.Type.Equal(attribute) {
			continue
		}
		in := cryptobyte.String(a.Values)
		var one cryptobyte.String
		var tag casn1.Tag
		if value != nil || !in.ReadAnyASN1Element(&one, &tag) || !in.Empty() {
			return nil, httpx.Fail(http.StatusBadRequest, "the attribute %s of the request does not stand there once with one value", attribute)
		}
		value = one
	}
	return value, nil
}

// capabilitiesOf chooses the cipher: the first in CBC mode that the client names,
// because OpenSSL before July 2026 does not read AES-GCM around a signed
// message; GCM where the client has nothing else; and AES-256-CBC where it says
// nothing, against the letter (RFC 7030 section 4.4.1.1).
func capabilitiesOf(csr *pkix.CSR, w *wrapping) (all []pkix.OID, err error) {
	value, err := oneValue(csr, oidCapabilities)
	if err != nil {
		return nil, err
	}
	if w.cipher = cms.AES256CBC; value == nil {
		return nil, nil
	}
	w.asked = append(w.asked, value)
	if all, err = cms.ParseCapabilities(value); err != nil {
		return nil, &httpx.Refusal{Status: http.StatusBadRequest, Text: "the SMIMECapabilities of the request are malformed (RFC 8551 section 2.5.2)", Cause: err}
	}
	w.cipher = 0
	for i := range all {
		c, ok := cms.PreferredCipher(all[i:i+1], cms.Floor{})
		if ok && !c.Authenticated() {
			w.cipher = c
			return all, nil
		}
		if ok && w.cipher == 0 {
			w.cipher = c
		}
	}
	if w.cipher == 0 {
		return nil, httpx.Fail(http.StatusBadRequest, "the SMIMECapabilities of the request name no cipher that is granted here: AES in CBC or GCM mode")
	}
	return all, nil
}

// part gives a key its form.
func (w *wrapping) part(ctx context.Context, key *keygen.Key) (*keyPart, error) {
	if len(w.recipients) == 0 {
		der, err := key.PKCS8()
		if err != nil {
			return nil, ca.InternalError(err)
		}
		return &keyPart{der: der}, nil
	}
	signer, certificates, err := sign(ctx, w.signer)
	if err != nil {
		return nil, err
	}
	packed, err := key.Package()
	if err != nil {
		return nil, ca.InternalError(err)
	}
	defer clear(packed)
	// RFC 7030 section 4.4.2: an AsymmetricKeyPackage, in a SignedData, in an EnvelopedData.
	signed, err := cms.SignData(oidKeyPackage, packed, certificates, nil, signer)
	if err != nil {
		return nil, ca.AsError(err)
	}
	defer clear(signed)
	der, err := cms.Encrypt(cms.OIDSignedData, signed, w.cipher, cms.Floor{}, w.recipients...)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return &keyPart{encrypted: true, der: der}, nil
}

// inPlaceOf is what tells one request for a key from another.
func (w *wrapping) inPlaceOf(csr *pkix.CSR, algorithm string) []byte {
	h := sha256.New()
	for _, field := range append([][]byte{[]byte("enrollgate/est/serverkeygen/1"), csr.Key.Raw(), []byte(algorithm)}, w.asked...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		h.Write(n[:])
		h.Write(field)
	}
	return h.Sum(nil)
}
