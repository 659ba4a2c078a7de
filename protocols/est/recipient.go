package est

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"net/http"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// sharedKey finds the secret of an identifier (RFC 7030 section 4.4.1.1): that of
// an enrollment code of the registry, for this very endpoint. The client can open
// the message with its 32 octets, as an AES-256 key-encryption key, or with its
// text, as a password. Whatever is wrong with an identifier, the answer is one.
func (d *Door) sharedKey(r *request, name string) ([]cms.Recipient, error) {
	unknown := httpx.Fail(http.StatusBadRequest, "the DecryptKeyIdentifier of the request names no key that is known at this endpoint; an operator makes one with enrollgate credential create --decrypt-key")
	if !credential.MadeHere(name) {
		return nil, unknown
	}
	known, secret, err := d.Credentials.Key(r.Context(), r.endpoint.Tenant, name)
	if ca.IsKind(err, ca.BadProof) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	if !known.DecryptKey() || !known.Serves(&r.endpoint.Endpoint) || known.At(d.Now()) != credential.Live {
		return nil, unknown
	}
	return []cms.Recipient{&cms.KEK{ID: []byte(name), Key: secret.Octets()}, &cms.Password{Secret: []byte(secret.Text())}}, nil
}

// ownedKey finds the certificate whose subject key identifier a request names (RFC
// 7030 section 4.4.1.2): the client certificate that let it in, or one in force
// that the same requester got from this CA.
func (d *Door) ownedKey(r *request, id *identity, keyID []byte, capabilities []pkix.OID) ([]cms.Recipient, error) {
	var der []byte
	if _, shown := id.caller.Shown(); shown {
		presented := r.TLS.PeerCertificates[0].Raw
		if c, err := cms.ReadCertificate(presented); err == nil && bytes.Equal(c.SubjectKeyID, keyID) {
			der = presented
		}
	}
	if der == nil {
		found, err := d.Archive.FindCertificates(r.Context(), &ca.Filter{Tenant: r.endpoint.Tenant, CA: r.endpoint.CA, KeyID: keyID, Requester: id.caller.ID(),
			State: ca.Issued, ExpiresIn: ca.Window{From: d.Now()}, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, httpx.Fail(http.StatusBadRequest, "the AsymmetricDecryptKeyIdentifier of the request is neither the subject key identifier of its TLS client certificate nor of a certificate in force that this CA issued to the same requester")
		}
		der = found[0].DER
	}
	return recipientOf(der, capabilities)
}

// recipientOf encrypts for a certificate, where its key may be used so (RFC 5280
// section 4.2.1.3).
func recipientOf(der []byte, capabilities []pkix.OID) ([]cms.Recipient, error) {
	full, err := pkix.ParseCertificate(der)
	if err != nil {
		return nil, &httpx.Refusal{Status: http.StatusBadRequest, Text: "the certificate to encrypt for cannot be read", Cause: err}
	}
	c, err := cms.ReadCertificate(der)
	if err != nil {
		return nil, &httpx.Refusal{Status: http.StatusBadRequest, Text: "the certificate to encrypt for cannot be read", Cause: err}
	}
	may := func(bit pkix.KeyUsage) bool {
		ext, there := pkix.FindExtension(full.Extensions, pkix.OIDKeyUsage)
		if !there {
			return true
		}
		usage, err := pkix.ParseKeyUsageValue(ext.Value)
		return err == nil && usage&bit != 0
	}
	switch c.Key.Parsed().(type) {
	case *rsa.PublicKey:
		if !may(pkix.KeyEncipherment) {
			return nil, httpx.Fail(http.StatusBadRequest, "the certificate to encrypt for lacks the key usage keyEncipherment")
		}
		k := cms.KeyTransport{Certificate: c, ByKeyID: true}
		if slices.ContainsFunc(capabilities, oidOAEP.Equal) {
			k.OAEP = crypto.SHA256
		}
		return []cms.Recipient{k}, nil
	case *ecdsa.PublicKey:
		if !may(pkix.KeyAgreement) {
			return nil, httpx.Fail(http.StatusBadRequest, "the certificate to encrypt for lacks the key usage keyAgreement")
		}
		return []cms.Recipient{cms.KeyAgreement{Certificate: c, ByKeyID: true}}, nil
	}
	return nil, httpx.Fail(http.StatusBadRequest, "nothing can be encrypted for a key of type %s", c.Key.Algorithm())
}
