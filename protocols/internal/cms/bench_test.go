package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"testing"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// The shape of a SCEP message: about 1 KiB encrypted with AES-128-CBC for
// RSA-2048, in a SignedData of an RSA-2048 key with six attributes and the
// certificate. Beside each stands the cryptography that it cannot do without.

func scepShape(b *testing.B) (content []byte, signer Signer, to KeyTransport) {
	cert := certificate(b, "rsa")
	signer = Signer{Key: privateKey(b, "rsa"), Certificate: cert}
	for i := range 4 {
		signer.Attributes = append(signer.Attributes, NewAttribute(pkix.OID{2, 16, 840, 1, 113733, 1, 9, i}, bytes.Repeat([]byte{4, 16}, 9)))
	}
	return bytes.Repeat([]byte("request "), 128), signer, KeyTransport{Certificate: cert}
}

func makeMessage(content []byte, signer Signer, to KeyTransport) ([]byte, error) {
	inner, err := Encrypt(OIDData, content, AES128CBC, Floor{}, to)
	if err != nil {
		return nil, err
	}
	return Sign(OIDData, inner, [][]byte{signer.Certificate.Raw}, nil, signer)
}

func BenchmarkEncryptSign(b *testing.B) {
	content, signer, to := scepShape(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := makeMessage(content, signer, to); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncryptSignBare(b *testing.B) {
	content, signer, to := scepShape(b)
	public, row := to.Certificate.Key.Parsed().(*rsa.PublicKey), AES128CBC.row()
	for b.Loop() {
		cek := row.newKey()
		if _, err := rsa.EncryptPKCS1v15(rand.Reader, public, cek); err != nil {
			b.Fatal(err)
		}
		_, sealed, _, err := row.seal(cek, content, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := signer.Key.Sign(rand.Reader, digest(crypto.SHA256, sealed), crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyDecrypt(b *testing.B) {
	message := must[[]byte](b)(makeMessage(scepShape(b)))
	for name, in := range map[string][]byte{"DER": message, "BER": spread(message)} {
		b.Run(name, func(b *testing.B) {
			key := rsaKey(b)
			b.ReportAllocs()
			for b.Loop() {
				s, err := ReadSigned(in, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				cert, err := s.SignerCertificate(&s.Signers[0])
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Verify(&s.Signers[0], cert.Key.Parsed(), Floor{}); err != nil {
					b.Fatal(err)
				}
				e, err := ReadEnveloped(s.Content, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := e.Decrypt(Floor{}, key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyDecryptBare(b *testing.B) {
	content, signer, to := scepShape(b)
	public, row, key := to.Certificate.Key.Parsed().(*rsa.PublicKey), AES128CBC.row(), rsaKey(b)
	cek := row.newKey()
	encrypted := must[[]byte](b)(rsa.EncryptPKCS1v15(rand.Reader, public, cek))
	p, sealed, _, err := row.seal(cek, content, nil)
	if err != nil {
		b.Fatal(err)
	}
	sum := digest(crypto.SHA256, sealed)
	signature := must[[]byte](b)(signer.Key.Sign(rand.Reader, sum, crypto.SHA256))
	for b.Loop() {
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest(crypto.SHA256, sealed), signature); err != nil {
			b.Fatal(err)
		}
		got, err := key.Decrypter.Decrypt(rand.Reader, encrypted, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 16})
		if err != nil {
			b.Fatal(err)
		}
		block, err := newBlock(row.kind, got)
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := row.openCBC(block, p, sealed); ok != 1 {
			b.Fatal("does not decrypt")
		}
	}
}
