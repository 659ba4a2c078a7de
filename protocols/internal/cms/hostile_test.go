package cms

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// The first messages here are those that make github.com/smallstep/pkcs7 and
// the SCEP server over it panic or tell failures apart.

// encryptedRaw encrypts what its maker padded.
func encryptedRaw(t testing.TB, plain []byte, recipient Recipient) *Envelope {
	t.Helper()
	row := AES128CBC.row()
	cek := row.newKey()
	info, _, err := recipient.wrap(cek)
	if err != nil {
		t.Fatal(err)
	}
	p, sealed, _, err := row.seal(cek, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	e := &Envelope{ContentType: OIDData, Cipher: AES128CBC, params: p, sealed: sealed[:len(plain)]} // without our padding
	if e.Recipients, err = readRecipients(info); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPaddingThatReachesBeyondTheContent(t *testing.T) {
	for _, octet := range []byte{0, 17, 0x30, 0x7f, 0x80, 0xff} {
		e := encryptedRaw(t, bytes.Repeat([]byte{octet}, 16), KeyTransport{Certificate: certificate(t, "rsa")})
		if got, err := e.Decrypt(Floor{}, rsaKey(t)); err != ErrDecrypt || got != nil {
			t.Errorf("padding %#x: %q, %v", octet, got, err)
		}
	}
	e := encryptedRaw(t, bytes.Repeat([]byte{16}, 16), KeyTransport{Certificate: certificate(t, "rsa")})
	if got, err := e.Decrypt(Floor{}, rsaKey(t)); err != nil || len(got) != 0 {
		t.Errorf("a whole block of padding: %q, %v", got, err)
	}
}

// A message signed by anybody, whose envelope is one octet short.
func TestTruncatedCiphertextInASignedMessage(t *testing.T) {
	recipient, _, err := KeyTransport{Certificate: certificate(t, "rsa")}.wrap(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	short := envelope(t, OIDEnvelopedData, AES128CBC.row().oid, octets(16), 31, recipient)
	outer := must[[]byte](t)(Sign(OIDData, short, [][]byte{certificate(t, "p256").Raw}, nil, Signer{Key: privateKey(t, "p256"), Certificate: certificate(t, "p256")}))
	s := must[*SignedData](t)(ReadSigned(outer, Limits{}))
	if err := s.Verify(&s.Signers[0], certificate(t, "p256").Key.Parsed(), Floor{}); err != nil {
		t.Fatal(err)
	}
	e := must[*Envelope](t)(ReadEnveloped(s.Content, Limits{}))
	if got, err := e.Decrypt(Floor{}, rsaKey(t)); err != ErrDecrypt || got != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestKeysOfOtherTypes(t *testing.T) {
	der := must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES128CBC, Floor{}, KeyTransport{Certificate: certificate(t, "rsa")}))
	e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
	small := smallKey()
	for name, key := range map[string]Key{
		"an EC key":   RSAKey{certificate(t, "rsa"), failing{public: privateKey(t, "p256").Public()}},
		"no key":      RSAKey{certificate(t, "rsa"), nil},
		"a small key": RSAKey{certificate(t, "rsa"), small},
	} {
		if got, err := e.Decrypt(Floor{}, key); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := Encrypt(OIDData, nil, AES128CBC, Floor{}, KeyTransport{Certificate: selfSigned(t, small)}); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("for a small key: %v", err)
	}
	// Key agreement with a certificate that turns out RSA, or on another curve.
	der = must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES128CBC, Floor{}, KeyAgreement{Certificate: certificate(t, "p256")}))
	e = must[*Envelope](t)(ReadEnveloped(der, Limits{}))
	for _, name := range []string{"rsa", "p384"} {
		cert := certificate(t, name)
		e.Recipients[0].Identifier = Identifier{Issuer: cert.Issuer, Serial: cert.Serial}
		if _, err := e.Decrypt(Floor{}, ECKey{cert, ecKey(t, "p384").Agreer}); !errors.Is(err, ErrAlgorithm) && !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e = must[*Envelope](t)(ReadEnveloped(der, Limits{}))
	for name, point := range map[string][]byte{"no point": nil, "infinity": {0}, "off the curve": append([]byte{4}, make([]byte, 64)...)} {
		e.Recipients[0].originator = point
		if _, err := e.Decrypt(Floor{}, ecKey(t, "p256")); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// envelope builds an EnvelopedData by hand, with size octets of content.
func envelope(t testing.TB, contentType pkix.OID, cipher asn1.ObjectIdentifier, params func(*cryptobyte.Builder), size int, recipients ...[]byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(recipients, nil)) })
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(OIDData)
			addAlgorithm(b, cbasn1.SEQUENCE, cipher, params)
			b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, size)) })
		})
		if contentType.Equal(OIDAuthEnvelopedData) {
			b.AddASN1OctetString(make([]byte, 16))
		}
	})
	return must[[]byte](t)(MarshalContentInfo(contentType, must[[]byte](t)(b.Bytes())))
}

func octets(n int) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) { b.AddASN1OctetString(make([]byte, n)) }
}

func gcmParams(nonce int, tag int64) func(*cryptobyte.Builder) {
	return func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			octets(nonce)(b)
			b.AddASN1Int64(tag)
		})
	}
}

func TestContentParameters(t *testing.T) {
	recipient, _, err := KeyTransport{Certificate: certificate(t, "rsa")}.wrap(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	cbc, gcm := AES128CBC.row().oid, AES128GCM.row().oid
	for name, c := range map[string]struct {
		contentType pkix.OID
		cipher      asn1.ObjectIdentifier
		params      func(*cryptobyte.Builder)
		want        error
	}{
		"IV of none":               {OIDEnvelopedData, cbc, octets(0), ErrAlgorithm},
		"IV of 8":                  {OIDEnvelopedData, cbc, octets(8), ErrAlgorithm},
		"IV of 15":                 {OIDEnvelopedData, cbc, octets(15), ErrAlgorithm},
		"IV of 17":                 {OIDEnvelopedData, cbc, octets(17), ErrAlgorithm},
		"IV of 16 for DES3":        {OIDEnvelopedData, DES3CBC.row().oid, octets(16), ErrAlgorithm},
		"no IV":                    {OIDEnvelopedData, cbc, nil, ErrSyntax},
		"NULL for an IV":           {OIDEnvelopedData, cbc, null, ErrSyntax},
		"nonce of none":            {OIDAuthEnvelopedData, gcm, gcmParams(0, 16), ErrAlgorithm},
		"nonce of 13":              {OIDAuthEnvelopedData, gcm, gcmParams(13, 16), ErrAlgorithm},
		"tag of none":              {OIDAuthEnvelopedData, gcm, gcmParams(12, 0), ErrAlgorithm},
		"tag of 11":                {OIDAuthEnvelopedData, gcm, gcmParams(12, 11), ErrAlgorithm},
		"tag of 17":                {OIDAuthEnvelopedData, gcm, gcmParams(12, 17), ErrAlgorithm},
		"tag of less than nothing": {OIDAuthEnvelopedData, gcm, gcmParams(12, -1), ErrAlgorithm},
		"tag of 2^62":              {OIDAuthEnvelopedData, gcm, gcmParams(12, 1<<62), ErrAlgorithm},
		"GCM without a tag":        {OIDEnvelopedData, gcm, gcmParams(12, 16), ErrAlgorithm},
		"CBC with a tag":           {OIDAuthEnvelopedData, cbc, octets(16), ErrAlgorithm},
		"RC2":                      {OIDEnvelopedData, asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 2}, octets(8), ErrAlgorithm},
		"another content type":     {OIDSignedData, cbc, octets(16), ErrSyntax},
		"two parameters":           {OIDEnvelopedData, cbc, func(b *cryptobyte.Builder) { null(b); null(b) }, ErrSyntax},
	} {
		if _, err := ReadEnveloped(envelope(t, c.contentType, c.cipher, c.params, 32, recipient), Limits{}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n, want := range map[int]error{0: ErrSyntax, 1: nil, maxRecipients: nil, maxRecipients + 1: ErrSyntax, 500: ErrSyntax} {
		if _, err := ReadEnveloped(envelope(t, OIDEnvelopedData, cbc, octets(16), 32, slices.Repeat([][]byte{recipient}, n)...), Limits{}); !errors.Is(err, want) {
			t.Errorf("%d recipients: %v", n, err)
		}
	}
}

// One private-key operation for an envelope that names us thirty times.
func TestOneOperationForManyRecipients(t *testing.T) {
	cert := certificate(t, "rsa")
	recipient, _, err := KeyTransport{Certificate: cert}.wrap(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	e := must[*Envelope](t)(ReadEnveloped(envelope(t, OIDAuthEnvelopedData, AES128GCM.row().oid, gcmParams(12, 16), 32, slices.Repeat([][]byte{recipient}, 30)...), Limits{}))
	var l ledger
	if _, err := e.decrypt(l.maker, Floor{}, []Key{RSAKey{cert, watched{rsaKey(t).Decrypter, &l}}, RSAKey{cert, watched{rsaKey(t).Decrypter, &l}}}); err != ErrDecrypt {
		t.Error(err)
	}
	if len(l.made) != 2 || l.made[0] != "rsa for 16" {
		t.Errorf("operations: %v", l.made)
	}
}

// Iteration bombs and their like end before anything is derived.
func TestPasswordBounds(t *testing.T) {
	der := must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES128CBC, Floor{}, password()))
	params := func(salt int, iterations int64, more ...func(*cryptobyte.Builder)) cryptobyte.String {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			octets(salt)(b)
			b.AddASN1Int64(iterations)
			for _, add := range more {
				add(b)
			}
		})
		return must[[]byte](t)(b.Bytes())
	}
	number := func(n int64) func(*cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) { b.AddASN1Int64(n) }
	}
	for name, c := range map[string]struct {
		params cryptobyte.String
		want   error
	}{
		"a billion iterations":      {params(16, 1_000_000_000), ErrAlgorithm},
		"2^62 iterations":           {params(16, 1<<62), ErrAlgorithm},
		"one above the bound":       {params(16, 1_000_001), ErrAlgorithm},
		"one below the bound":       {params(16, 999), ErrAlgorithm},
		"no iterations":             {params(16, 0), ErrAlgorithm},
		"negative iterations":       {params(16, -5), ErrAlgorithm},
		"iterations beyond int64":   {cryptobyte.String(append([]byte{0x30, 23, 4, 8}, append(make([]byte, 8), append([]byte{2, 11, 1}, make([]byte, 10)...)...)...)), ErrSyntax},
		"no salt":                   {params(0, 2000), ErrAlgorithm},
		"a long salt":               {params(4096, 2000), ErrAlgorithm},
		"a key of another length":   {params(16, 2000, number(16)), ErrAlgorithm},
		"a giant key":               {params(16, 2000, number(1<<40)), ErrAlgorithm},
		"an odd function":           {params(16, 2000, func(b *cryptobyte.Builder) { addAlgorithm(b, cbasn1.SEQUENCE, OIDData, nil) }), ErrAlgorithm},
		"a function that is not":    {params(16, 2000, null), ErrSyntax},
		"no parameters":             {nil, ErrSyntax},
		"the length that it is for": {params(16, 2000, number(32)), ErrDecrypt},
	} {
		e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
		e.Recipients[0].derivation.params = c.params
		var l ledger
		if _, err := e.decrypt(l.maker, Floor{}, []Key{password()}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != ErrDecrypt && len(l.made) != 0 {
			t.Errorf("%s: operations %v", name, l.made)
		}
	}
	e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
	for name, key := range map[string]*Password{
		"over the caller's": {Secret: []byte("secret"), MaxIterations: 9_999}, "under the caller's": {Secret: []byte("secret"), MinIterations: 10_001}, "no password": {},
	} {
		if _, err := e.Decrypt(Floor{}, key); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e.Recipients[0].derivation = algorithm{}
	if _, err := e.Decrypt(Floor{}, password()); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("no derivation: %v", err)
	}
}

func TestKeyEncryptionAlgorithms(t *testing.T) {
	for name, c := range map[string]struct {
		recipient Recipient
		key       Key
	}{
		"rsa": {KeyTransport{Certificate: certificate(t, "rsa")}, rsaKey(t)}, "ecdh": {KeyAgreement{Certificate: certificate(t, "p256")}, ecKey(t, "p256")},
		"kek": {kek(16), kek(16)}, "password": {password(), password()},
	} {
		der := must[[]byte](t)(Encrypt(OIDData, []byte("content"), AES128CBC, Floor{}, c.recipient))
		for what, change := range map[string]func(*algorithm){
			"another algorithm": func(a *algorithm) { a.oid = OIDData },
			"odd parameters":    func(a *algorithm) { a.params = []byte{4, 1, 1} },
			"no parameters":     func(a *algorithm) { a.params, a.oid = nil, slices.Concat(a.oid, asn1.ObjectIdentifier{1}) },
		} {
			e := must[*Envelope](t)(ReadEnveloped(der, Limits{}))
			change(&e.Recipients[0].algorithm)
			if _, err := e.Decrypt(Floor{}, c.key); !errors.Is(err, ErrAlgorithm) && !errors.Is(err, ErrSyntax) {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	if _, err := (&Envelope{Cipher: AES128CBC, Recipients: []RecipientInfo{{Kind: OtherRecipient}}}).Decrypt(Floor{}, rsaKey(t), kek(16), password(), ecKey(t, "p256")); err != ErrRecipient {
		t.Errorf("other recipients: %v", err)
	}
	e := must[*Envelope](t)(ReadEnveloped(must[[]byte](t)(Encrypt(OIDData, nil, AES128CBC, Floor{}, kek(16))), Limits{}))
	if _, err := e.Decrypt(Floor{}, kek(32)); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("a KEK of another length: %v", err)
	}
}

// An RSA modulus of 16384 bits costs nothing.
func TestGiantKey(t *testing.T) {
	key := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16383, 1), E: 65537}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: "giant"}, NotAfter: time.Now()}
	issuer := privateKey(t, "p256")
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, key, issuer))
	cert := must[Certificate](t)(ReadCertificate(der))
	s := must[*SignedData](t)(ReadSigned(fixture(t, "sign-rsa.der"), Limits{}))
	if err := s.Verify(&s.Signers[0], cert.Key.Parsed(), Floor{}); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("verify: %v", err)
	}
	if _, err := Encrypt(OIDData, nil, AES128CBC, Floor{}, KeyTransport{Certificate: cert}); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("encrypt: %v", err)
	}
}
