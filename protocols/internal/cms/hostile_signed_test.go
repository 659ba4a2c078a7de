package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// forged is a SignedData by hand whose one fault is what a test makes it: what
// it holds is signed rightly with the P-256 key.
type forged struct {
	contentType  pkix.OID
	content      []byte // nil for none
	attributes   [][]byte
	bare         bool // no signed attributes
	digest       crypto.Hash
	scheme       asn1.ObjectIdentifier
	signers      int
	certificates int
	version      int64
	signature    []byte // instead of a right one
}

func attribute(t testing.TB, id pkix.OID, values ...[]byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(values, nil)) })
	})
	return must[[]byte](t)(b.Bytes())
}

func oidDER(t testing.TB, id pkix.OID) []byte {
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(id)
	return must[[]byte](t)(b.Bytes())
}

func octetDER(content []byte) []byte {
	return append(appendLength([]byte{4}, len(content)), content...)
}

func right(t testing.TB) forged {
	content := []byte("content")
	return forged{contentType: OIDData, content: content, digest: crypto.SHA256, scheme: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2},
		signers: 1, certificates: 1, version: 1,
		attributes: [][]byte{attribute(t, oidContentType, oidDER(t, OIDData)), attribute(t, oidMessageDigest, octetDER(digest(crypto.SHA256, content)))}}
}

func (f forged) der(t testing.TB) []byte {
	t.Helper()
	set := bytes.Join(f.attributes, nil)
	message := asSet(set)
	if f.bare {
		message = f.content
	}
	signature := f.signature
	if signature == nil {
		signature = must[[]byte](t)(privateKey(t, "p256").Sign(rand.Reader, digest(crypto.SHA256, message), crypto.SHA256))
	}
	cert := certificate(t, "p256")
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(f.version)
		b.AddASN1(cbasn1.SET, func(*cryptobyte.Builder) {})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(f.contentType)
			if f.content != nil {
				b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(f.content) })
			}
		})
		addAll(b, 0, slices.Repeat([][]byte{cert.Raw}, f.certificates))
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			for range f.signers {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(1)
					Identifier{Issuer: cert.Issuer, Serial: cert.Serial}.add(b)
					addDigest(b, cbasn1.SEQUENCE, f.digest)
					if !f.bare {
						b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddBytes(set) })
					}
					addAlgorithm(b, cbasn1.SEQUENCE, f.scheme, nil)
					b.AddASN1OctetString(signature)
				})
			}
		})
	})
	return must[[]byte](t)(MarshalContentInfo(OIDSignedData, must[[]byte](t)(b.Bytes())))
}

// read reads and verifies with the one signer's key.
func (f forged) read(t testing.TB) error {
	t.Helper()
	s, err := ReadSigned(f.der(t), Limits{})
	if err != nil {
		return err
	}
	signer, err := s.Signer()
	if err != nil {
		return err
	}
	cert, err := s.SignerCertificate(signer)
	if err != nil {
		return err
	}
	return s.Verify(signer, cert.Key.Parsed(), Floor{})
}

func TestForgedSignedData(t *testing.T) {
	sum := octetDER(digest(crypto.SHA256, []byte("content")))
	typed, summed := attribute(t, oidContentType, oidDER(t, OIDData)), attribute(t, oidMessageDigest, sum)
	other := attribute(t, oidMessageType, printable)
	for name, c := range map[string]struct {
		change func(*forged)
		want   error
	}{
		"nothing":                     {func(*forged) {}, nil},
		"attributes in another order": {func(f *forged) { f.attributes = [][]byte{summed, typed} }, nil},
		"more attributes":             {func(f *forged) { f.attributes = append(f.attributes, other) }, nil},
		"no attributes":               {func(f *forged) { f.bare = true }, nil},
		"no signers":                  {func(f *forged) { f.signers = 0 }, ErrSyntax},
		"two signers":                 {func(f *forged) { f.signers = 2 }, ErrSyntax},
		"many signers":                {func(f *forged) { f.signers = 1000; f.signature = []byte{1} }, ErrSyntax},
		"no certificate":              {func(f *forged) { f.certificates = 0 }, ErrSyntax},
		"many certificates":           {func(f *forged) { f.certificates = 65 }, ErrSyntax},
		"version 6":                   {func(f *forged) { f.version = 6 }, ErrSyntax},
		"version 2^62":                {func(f *forged) { f.version = 1 << 62 }, ErrSyntax},
		"no content":                  {func(f *forged) { f.content = nil; f.signature = []byte{1} }, ErrSignature},
		"other content":               {func(f *forged) { f.content = []byte("other") }, ErrSignature},
		"no message-digest":           {func(f *forged) { f.attributes = [][]byte{typed} }, ErrSignature},
		"no content-type":             {func(f *forged) { f.attributes = [][]byte{summed} }, ErrSignature},
		"an empty set of attributes":  {func(f *forged) { f.attributes = nil }, ErrSignature},
		"message-digest twice":        {func(f *forged) { f.attributes = append(f.attributes, summed) }, ErrSyntax},
		"content-type twice":          {func(f *forged) { f.attributes = append(f.attributes, typed) }, ErrSyntax},
		"another attribute twice":     {func(f *forged) { f.attributes = append(f.attributes, other, other) }, ErrSyntax},
		"two digests":                 {func(f *forged) { f.attributes[1] = attribute(t, oidMessageDigest, sum, sum) }, ErrSignature},
		"two content types": {func(f *forged) {
			f.attributes[0] = attribute(t, oidContentType, oidDER(t, OIDData), oidDER(t, OIDData))
		}, ErrSignature},
		"no digest in it":                  {func(f *forged) { f.attributes[1] = attribute(t, oidMessageDigest) }, ErrSignature},
		"a digest that is none":            {func(f *forged) { f.attributes[1] = attribute(t, oidMessageDigest, printable) }, ErrSignature},
		"a short digest":                   {func(f *forged) { f.attributes[1] = attribute(t, oidMessageDigest, octetDER(nil)) }, ErrSignature},
		"another content type":             {func(f *forged) { f.attributes[0] = attribute(t, oidContentType, oidDER(t, OIDSignedData)) }, ErrSignature},
		"a content type that is none":      {func(f *forged) { f.attributes[0] = attribute(t, oidContentType, printable) }, ErrSignature},
		"content of the type in no sign":   {func(f *forged) { f.contentType = OIDEnvelopedData }, ErrSignature},
		"no attributes for another type":   {func(f *forged) { f.bare, f.contentType = true, OIDEnvelopedData }, ErrSignature},
		"attributes of another as content": {func(f *forged) { f.bare, f.content = true, asSet(bytes.Join(f.attributes, nil)) }, ErrSignature},
		"65 attributes": {func(f *forged) {
			for i := range 63 {
				f.attributes = append(f.attributes, attribute(t, pkix.OID{1, 2, 3, i}, printable))
			}
		}, ErrSyntax},
		"65 values": {func(f *forged) {
			f.attributes = append(f.attributes, attribute(t, oidMessageType, slices.Repeat([][]byte{printable}, 65)...))
		}, ErrSyntax},
		"an attribute that is none":     {func(f *forged) { f.attributes = append(f.attributes, printable) }, ErrSyntax},
		"digest SHA-1":                  {func(f *forged) { f.digest = crypto.SHA1 }, ErrAlgorithm},
		"digest MD5":                    {func(f *forged) { f.digest = crypto.MD5 }, ErrAlgorithm},
		"digest and signature differ":   {func(f *forged) { f.digest = crypto.SHA384 }, ErrAlgorithm},
		"signature algorithm of RSA":    {func(f *forged) { f.scheme = oidRSA }, ErrAlgorithm},
		"signature algorithm of no one": {func(f *forged) { f.scheme = OIDData }, ErrAlgorithm},
		"PSS without parameters":        {func(f *forged) { f.scheme = oidPSS }, ErrAlgorithm},
		"an empty signature":            {func(f *forged) { f.signature = []byte{} }, ErrSignature},
		"a signature of another":        {func(f *forged) { f.signature = bytes.Repeat([]byte{0x30}, 70) }, ErrSignature},
	} {
		f := right(t)
		c.change(&f)
		if err := f.read(t); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A key of any type that Go knows is refused or checked, never a panic.
func TestVerifyWithOtherKeys(t *testing.T) {
	s := must[*SignedData](t)(ReadSigned(fixture(t, "sign-rsa.der"), Limits{}))
	small := smallKey()
	for name, key := range map[string]crypto.PublicKey{
		"none": nil, "no public key": "key", "P-224": p224Key().Public(), "1024 bits": small.Public(),
		"P-256": privateKey(t, "p256").Public(), "Ed25519": ed25519Key().Public(),
	} {
		if err := s.Verify(&s.Signers[0], key, Floor{}); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	of := *privateKey(t, "rsa").Public().(*rsa.PublicKey)
	of.N = new(big.Int).Add(of.N, big.NewInt(2))
	if err := s.Verify(&s.Signers[0], &of, Floor{}); !errors.Is(err, ErrSignature) {
		t.Errorf("another RSA key: %v", err)
	}
}

func TestPSSParameters(t *testing.T) {
	hash := func(h crypto.Hash) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { addHashes(b, h) }
	}
	number := func(tag cbasn1.Tag, n int64) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddASN1Int64(n) }) }
	}
	tag3 := cbasn1.Tag(3).ContextSpecific().Constructed()
	for name, c := range map[string]struct {
		params []func(*cryptobyte.Builder)
		want   error
	}{
		"right":              {[]func(*cryptobyte.Builder){hash(crypto.SHA256), number(tag2, 32)}, nil},
		"with the trailer":   {[]func(*cryptobyte.Builder){hash(crypto.SHA256), number(tag2, 32), number(tag3, 1)}, nil},
		"the defaults":       {nil, ErrAlgorithm},
		"another hash":       {[]func(*cryptobyte.Builder){hash(crypto.SHA512), number(tag2, 32)}, ErrAlgorithm},
		"no salt":            {[]func(*cryptobyte.Builder){hash(crypto.SHA256), number(tag2, 0)}, ErrAlgorithm},
		"a negative salt":    {[]func(*cryptobyte.Builder){hash(crypto.SHA256), number(tag2, -1)}, ErrAlgorithm},
		"a giant salt":       {[]func(*cryptobyte.Builder){hash(crypto.SHA256), number(tag2, 1<<40)}, ErrAlgorithm},
		"a salt of no room":  {[]func(*cryptobyte.Builder){hash(crypto.SHA256), number(tag2, 300)}, ErrSignature},
		"another trailer":    {[]func(*cryptobyte.Builder){hash(crypto.SHA256), number(tag2, 32), number(tag3, 2)}, ErrAlgorithm},
		"something after it": {[]func(*cryptobyte.Builder){hash(crypto.SHA256), number(tag2, 32), null}, ErrSyntax},
		"something else":     {[]func(*cryptobyte.Builder){null}, ErrSyntax},
	} {
		s := must[*SignedData](t)(ReadSigned(fixture(t, "sign-rsa-pss.der"), Limits{}))
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, add := range c.params {
				add(b)
			}
		})
		s.Signers[0].algorithm.params = must[[]byte](t)(b.Bytes())
		err := s.Verify(&s.Signers[0], certificate(t, "rsa").Key.Parsed(), Floor{})
		if c.want == nil { // the salt that openssl takes is the longest there is room for
			if errors.Is(err, ErrAlgorithm) || errors.Is(err, ErrSyntax) {
				t.Errorf("%s: %v", name, err)
			}
		} else if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Every fixture cut short anywhere is an error, and so is one with any octet
// changed to what ends strings and lengths: no panic either way.
func TestTruncatedAndChanged(t *testing.T) {
	for _, name := range []string{"sign-rsa-stream.der", "encrypt-several.der", "encrypt-rsa-gcm-stream.der"} {
		whole := fixture(t, name)
		for n := range whole {
			if read(whole[:n]) == nil {
				t.Fatalf("%s: %d octets of %d read", name, n, len(whole))
			}
			for _, b := range []byte{0, 0x80, 0xff} {
				changed := bytes.Clone(whole)
				changed[n] = b
				if err := read(changed); err != nil && !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrAlgorithm) {
					t.Fatalf("%s: octet %d as %#x: %v", name, n, b, err)
				}
			}
		}
	}
}

// read reads a message of either kind.
func read(ber []byte) error {
	contentType, content, err := ReadContentInfo(ber, Limits{})
	if err != nil {
		return err
	}
	if contentType.Equal(OIDSignedData) {
		_, err = ReadSignedData(content, Limits{})
		return err
	}
	_, err = ReadEnvelopedData(contentType, content, Limits{})
	return err
}
