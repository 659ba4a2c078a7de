package est

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"maps"
	"math/big"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// logbook keeps what was logged.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// archive finds what a test put there.
type archive struct{ k *kit }

func (a archive) FindCertificates(_ context.Context, f *ca.Filter) (found []ca.Certificate, _ error) {
	for _, c := range a.k.archived {
		parsed, err := cms.ReadCertificate(c.DER)
		if err != nil {
			return nil, err
		}
		if c.Tenant == f.Tenant && c.CA == f.CA && c.Requester == f.Requester && c.State == f.State && f.ExpiresIn.From.Before(c.NotAfter) && bytes.Equal(parsed.SubjectKeyID, f.KeyID) {
			found = append(found, c)
		}
	}
	return found, nil
}

// Signatory implements Signer.
func (s *Signatory) Signatory(context.Context) (*Signatory, error) { return s, nil }

// registrationAuthority is that of every CA but tenant one's "spare".
func registrationAuthority(_, ca string) Signer {
	if ca == "spare" {
		return nil
	}
	return ra.signatory
}

// ra is made once.
var ra struct {
	sync.Once
	signatory *Signatory
}

func newRA(t *testing.T) *Signatory {
	key := fixture.Key(t)
	return &Signatory{Certificates: [][]byte{ownCertificate(t, key, x509.KeyUsageDigitalSignature)}, Key: key}
}

// ownCertificate is a certificate of a key by itself.
func ownCertificate(t *testing.T, key crypto.Signer, usage x509.KeyUsage) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "RA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: usage, SubjectKeyId: []byte{1, 2, 3, 4}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// making makes keys at the first endpoint.
func making(k *kit) {
	k.change = func(w *profile.Written) {
		w.ServerKeys = []string{"ecdsa-p256", "ecdsa-p384"}
		w.KeyUsage.Bits = []string{"digitalSignature", "keyAgreement"}
	}
	k.adapt = func(o *Options) {
		for _, e := range o.Endpoints {
			if e.Profile == signing && e.Tenant == "one" {
				o.Own[e.ID] = Own{ServerKeygen: true}
			}
		}
	}
}

// keygen posts a CSR in the usual form.
func (k *kit) keygen(csr []byte, u user) reply {
	return k.do(sent{method: "POST", path: at + "/serverkeygen", body: []byte(base64.StdEncoding.EncodeToString(csr)), mediaType: "application/pkcs10", user: u})
}

// made reads the two parts of a reply: the key's, and the certificate.
func (k *kit) made(r reply, mediaType string) ([]byte, *x509.Certificate) {
	k.Helper()
	media, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if r.status != http.StatusOK || err != nil || media != "multipart/mixed" || r.header.Get("Content-Length") != strconv.Itoa(len(r.body)) {
		k.Fatalf("%d %v %s, %v", r.status, r.header, r.body, err)
	}
	parts := multipart.NewReader(strings.NewReader(r.body), params["boundary"])
	var all [2][]byte
	for i, want := range []string{mediaType, "application/pkcs7-mime; smime-type=certs-only"} {
		p, err := parts.NextRawPart()
		if err != nil {
			k.Fatal(err)
		}
		if p.Header.Get("Content-Type") != want || p.Header.Get("Content-Transfer-Encoding") != "base64" {
			k.Errorf("part %d: %v", i, p.Header)
		}
		text, err := io.ReadAll(p)
		if err != nil {
			k.Fatal(err)
		}
		if all[i], err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), "")); err != nil {
			k.Fatal(err)
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		k.Errorf("more than two parts: %v", err)
	}
	certificates, _, err := cms.ReadDegenerate(all[1], cms.Limits{})
	if err != nil || len(certificates) != 1 {
		k.Fatal(len(certificates), err)
	}
	c, err := x509.ParseCertificate(certificates[0])
	if err != nil {
		k.Fatal(err)
	}
	return all[0], c
}

// belongs checks that a PKCS #8 key is that of a certificate.
func (k *kit) belongs(der []byte, c *x509.Certificate) {
	k.Helper()
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		k.Fatal(err)
	}
	if !private.(*ecdsa.PrivateKey).PublicKey.Equal(c.PublicKey) {
		k.Error("the private key is not the certificate's")
	}
}

// opened decrypts a key's part and verifies the signature in it.
func (k *kit) opened(part []byte, key cms.Key) []byte {
	k.Helper()
	envelope, err := cms.ReadEnveloped(part, cms.Limits{})
	if err != nil {
		k.Fatal(err)
	}
	content, err := envelope.Decrypt(cms.Floor{}, key)
	if err != nil {
		k.Fatal(err)
	}
	signed, err := cms.ReadSignedData(content, cms.Limits{})
	if err != nil {
		k.Fatal(err)
	}
	signer, err := signed.Signer()
	if err != nil {
		k.Fatal(err)
	}
	if err := signed.Verify(signer, ra.signatory.Key.Public(), cms.Floor{}); err != nil || !signed.ContentType.Equal(oidKeyPackage) {
		k.Fatal(signed.ContentType, err)
	}
	var packed []asn1.RawValue
	if rest, err := asn1.Unmarshal(signed.Content, &packed); err != nil || len(rest) > 0 || len(packed) != 1 {
		k.Fatal(len(packed), err)
	}
	return packed[0].FullBytes
}

// attributed is a CSR of a P-256 key with attributes, each of one value.
func attributed(t *testing.T, key *ecdsa.PrivateKey, cn string, attributes map[string][]byte) []byte {
	t.Helper()
	subject, err := asn1.Marshal(pkix.Name{CommonName: cn}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var info cryptobyte.Builder
	info.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(subject)
		b.AddBytes(spki)
		b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			for _, id := range slices.Sorted(maps.Keys(attributes)) {
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidOf(t, id))
					b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(attributes[id]) })
				})
			}
		})
	})
	signed := info.BytesOrPanic()
	digest := sha256.Sum256(signed)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	var out cryptobyte.Builder
	out.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidOf(t, "1.2.840.10045.4.3.2")) })
		b.AddASN1BitString(signature)
	})
	return out.BytesOrPanic()
}

func oidOf(t *testing.T, text string) (id asn1.ObjectIdentifier) {
	t.Helper()
	for _, arc := range strings.Split(text, ".") {
		n, err := strconv.Atoi(arc)
		if err != nil {
			t.Fatal(err)
		}
		id = append(id, n)
	}
	return id
}

// octets is a DER OCTET STRING.
func octets(text string) []byte {
	var b cryptobyte.Builder
	b.AddASN1OctetString([]byte(text))
	return b.BytesOrPanic()
}

// capable is SMIMECapabilities of algorithms.
func capable(t *testing.T, ids ...string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, id := range ids {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidOf(t, id)) })
		}
	})
	return b.BytesOrPanic()
}

// bits is the size of a certificate's EC key.
func (k *kit) bits(c *x509.Certificate) int {
	k.Helper()
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		k.Fatalf("a key of type %T", c.PublicKey)
	}
	return key.Params().BitSize
}

func newP384(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
