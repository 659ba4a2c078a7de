package pkix

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/binary"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// crlHeader is a complete list's; more are added behind its two extensions.
func crlHeader(t testing.TB, key PublicKey, more ...Extension) CRLHeader {
	t.Helper()
	ext := must[Extension](t)
	return CRLHeader{Signature: must[*SignatureAlgorithm](t)(SignatureFor(key)), Issuer: mustName(t, RDN{attribute(t, "CN", "Test Root")}),
		ThisUpdate: start, NextUpdate: end, Extensions: append([]Extension{ext(MarshalAuthorityKeyID(key.KeyID())), ext(MarshalCRLNumber(1792000000))}, more...)}
}

func makeCRL(t testing.TB, h CRLHeader, key crypto.Signer, entries ...CRLEntry) []byte {
	t.Helper()
	w := must[*CRLWriter](t)(NewCRLWriter(h, 0))
	for _, e := range entries {
		if err := w.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return must[[]byte](t)(w.Sign(func(tbs []byte) ([]byte, error) {
		return key.Sign(rand.Reader, h.Signature.Digest(tbs), h.Signature.Hash)
	}))
}

var crlEntries = []CRLEntry{
	{Serial: []byte{0x5f, 1, 2, 3}, Revoked: start},
	{Serial: []byte{0x00, 0x80}, Revoked: start, Reason: 1, Invalid: start.Add(-time.Hour)},
	{Serial: []byte{1}, Revoked: end, Reason: 6},
	{Serial: bytes.Repeat([]byte{0x7f}, 20), Revoked: start, Invalid: end},
}

// TestCRLAgainstStandardLibrary: what we encode is what crypto/x509 reads, and
// our reader agrees, for every key and size of the header.
func TestCRLAgainstStandardLibrary(t *testing.T) {
	for _, name := range []string{"ecdsa-p256", "ecdsa-p521", "rsa-4096", "ed25519"} {
		key := signers()[name]
		pub := must[PublicKey](t)(NewPublicKey(key.Public()))
		for n := range len(crlEntries) + 1 {
			der := makeCRL(t, crlHeader(t, pub), key, crlEntries[:n]...)
			std, err := x509.ParseRevocationList(der)
			if err != nil {
				t.Fatalf("%s, %d entries: %v", name, n, err)
			}
			if std.Number.Int64() != 1792000000 || !bytes.Equal(std.AuthorityKeyId, pub.KeyID()) || !std.ThisUpdate.Equal(start) ||
				!std.NextUpdate.Equal(end) || len(std.RevokedCertificateEntries) != n {
				t.Errorf("%s: %+v", name, std)
			}
			ours, err := ParseCRL(der)
			if err != nil {
				t.Fatal(err)
			}
			if err := ours.CheckSignatureFrom(pub); err != nil || ours.Count != n || !bytes.Equal(ours.KeyID, pub.KeyID()) {
				t.Errorf("%s: %d entries, %v", name, ours.Count, err)
			}
			i := 0
			for e, err := range ours.Entries() {
				if err != nil {
					t.Fatal(err)
				}
				want, s := crlEntries[i], std.RevokedCertificateEntries[i]
				if !bytes.Equal(e.Serial, want.Serial) || e.Reason != want.Reason || !e.Revoked.Equal(want.Revoked) || !e.Invalid.Equal(want.Invalid) {
					t.Errorf("entry %d: %+v, want %+v", i, e, want)
				}
				if s.SerialNumber.Cmp(new(big.Int).SetBytes(want.Serial)) != 0 || s.ReasonCode != int(want.Reason) || !s.RevocationTime.Equal(want.Revoked) {
					t.Errorf("entry %d: the standard library reads %+v", i, s)
				}
				i++
			}
		}
	}
}

// TestCRLReadsStandardLibrary: lists that somebody else encoded.
func TestCRLReadsStandardLibrary(t *testing.T) {
	key := signers()["ecdsa-p256"]
	pub := must[PublicKey](t)(NewPublicKey(key.Public()))
	root := must[*x509.Certificate](t)(x509.ParseCertificate(sign(t, template(t, pub, pub, true), key)))
	der := must[[]byte](t)(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: start, NextUpdate: end,
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(0x80), RevocationTime: start, ReasonCode: 4}}}, root, key))
	c := must[*CRL](t)(ParseCRL(der))
	issuer := must[*Certificate](t)(ParseCertificate(root.Raw))
	if err := c.CheckIssuer(issuer); err != nil || c.Count != 1 || c.Number.Int64() != 7 {
		t.Errorf("%d entries, number %v, %v", c.Count, c.Number, err)
	}
	other := signers()["ecdsa-p384"]
	otherPub := must[PublicKey](t)(NewPublicKey(other.Public()))
	another := must[*Certificate](t)(ParseCertificate(sign(t, template(t, otherPub, otherPub, true), other)))
	if err := c.CheckIssuer(another); err == nil {
		t.Error("a CA of the same name with another key passes")
	}
	leaf := must[*Certificate](t)(ParseCertificate(sign(t, template(t, pub, pub, false), key)))
	if err := c.CheckIssuer(leaf); err == nil {
		t.Error("a certificate that may not sign lists passes")
	}
	der[len(der)-1] ^= 1
	if c, err := ParseCRL(der); err == nil && c.CheckIssuer(issuer) == nil {
		t.Error("a changed signature passes")
	}
}

func TestCRLExtensions(t *testing.T) {
	key := signers()["ecdsa-p256"]
	pub := must[PublicKey](t)(NewPublicKey(key.Public()))
	ext := must[Extension](t)
	urls := []string{"http://pki.example/crl/a/b/g1-s3.crl", "http://old.example/crl/a/b/g1-s3.crl"}
	sharded := must[*CRL](t)(ParseCRL(makeCRL(t, crlHeader(t, pub, ext(MarshalIssuingDistributionPoint(urls))), key)))
	if len(sharded.Points) != 2 || sharded.Points[0] != urls[0] || sharded.Points[1] != urls[1] {
		t.Errorf("points %q", sharded.Points)
	}
	// The name in the list is octet for octet the one in the certificate.
	cdp := ext(MarshalCRLDistributionPoints(urls[:1]))
	idp := ext(MarshalIssuingDistributionPoint(urls[:1]))
	if !bytes.Equal(cdp.Value[4:], idp.Value[2:]) {
		t.Errorf("certificates name %x, the list %x", cdp.Value[4:], idp.Value[2:])
	}
	h := crlHeader(t, pub, ext(MarshalDeltaCRLIndicator(1791000000)))
	h.Delta = true
	delta := must[*CRL](t)(ParseCRL(makeCRL(t, h, key, CRLEntry{Serial: []byte{1}, Revoked: start, Reason: removeFromCRL})))
	if delta.Base == nil || delta.Base.Int64() != 1791000000 {
		t.Errorf("base %v", delta.Base)
	}
	complete := must[*x509.RevocationList](t)(x509.ParseRevocationList(makeCRL(t,
		crlHeader(t, pub, ext(MarshalFreshestCRL(urls[:1])), ext(MarshalExpiredCertsOnCRL(start))), key)))
	var found int
	for _, e := range complete.Extensions {
		if e.Id.Equal(OIDFreshestCRL) || e.Id.Equal(OIDExpiredCertsOnCRL) {
			found++
		}
	}
	if found != 2 {
		t.Errorf("extensions %v", complete.Extensions)
	}
}

// TestCRLWriterRefuses: what RFC 5280 forbids cannot be encoded.
func TestCRLWriterRefuses(t *testing.T) {
	pub := must[PublicKey](t)(NewPublicKey(signers()["ecdsa-p256"].Public()))
	for what, spoil := range map[string]func(*CRLHeader){
		"no algorithm":       func(h *CRLHeader) { h.Signature = nil },
		"SHA-1":              func(h *CRLHeader) { h.Signature = signatureByName("ecdsa-with-SHA1") },
		"no issuer":          func(h *CRLHeader) { h.Issuer = EmptyName },
		"ends at once":       func(h *CRLHeader) { h.NextUpdate = h.ThisUpdate },
		"no number":          func(h *CRLHeader) { h.Extensions = h.Extensions[:1] },
		"no key identifier":  func(h *CRLHeader) { h.Extensions = h.Extensions[1:] },
		"delta not said":     func(h *CRLHeader) { h.Delta = true },
		"complete with base": func(h *CRLHeader) { h.Extensions = append(h.Extensions, Extension{ID: OIDDeltaCRLIndicator}) },
	} {
		h := crlHeader(t, pub)
		spoil(&h)
		if _, err := NewCRLWriter(h, 0); err == nil {
			t.Errorf("%s passes", what)
		}
	}
	for what, e := range map[string]CRLEntry{
		"no serial":            {Revoked: start},
		"negative serial":      {Serial: []byte{0x80}, Revoked: start},
		"long serial":          {Serial: bytes.Repeat([]byte{1}, 21), Revoked: start},
		"serial not shortest":  {Serial: []byte{0, 1}, Revoked: start},
		"reason 7":             {Serial: []byte{1}, Revoked: start, Reason: 7},
		"reason 11":            {Serial: []byte{1}, Revoked: start, Reason: 11},
		"removal without base": {Serial: []byte{1}, Revoked: start, Reason: removeFromCRL},
		"year 10000":           {Serial: []byte{1}, Revoked: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"invalid in 10000":     {Serial: []byte{1}, Revoked: start, Invalid: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		w := must[*CRLWriter](t)(NewCRLWriter(crlHeader(t, pub), 0))
		before := len(w.buf)
		if err := w.Add(e); err == nil || len(w.buf) != before || w.Count() != 0 {
			t.Errorf("%s: %v, %d octets more", what, err, len(w.buf)-before)
		}
	}
}

// TestParseCRLRefuses: lists whose entries mean something else than they seem to.
func TestParseCRLRefuses(t *testing.T) {
	key := signers()["ecdsa-p256"]
	pub := must[PublicKey](t)(NewPublicKey(key.Public()))
	for what, more := range map[string]Extension{
		"unknown critical":        {ID: OID{1, 2, 3}, Critical: true, Value: []byte{5, 0}},
		"indirect":                {ID: OIDIssuingDistPoint, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xff}},
		"user certificates alone": {ID: OIDIssuingDistPoint, Critical: true, Value: []byte{0x30, 3, 0x81, 1, 0xff}},
		"point that is empty":     {ID: OIDIssuingDistPoint, Critical: true, Value: []byte{0x30, 4, 0xa0, 2, 0xa0, 0}},
	} {
		if _, err := ParseCRL(makeCRL(t, crlHeader(t, pub, more), key)); err == nil {
			t.Errorf("%s passes", what)
		}
	}
	good := makeCRL(t, crlHeader(t, pub), key, crlEntries...)
	for n := range good {
		if _, err := ParseCRL(good[:n]); err == nil {
			t.Fatalf("the first %d octets pass", n)
		}
	}
	if _, err := ParseCRL(append(bytes.Clone(good), 0)); err == nil {
		t.Error("an octet behind passes")
	}
}

// FuzzParseCRL: what parses has readable entries, and what our encoder takes
// back is the same bytes.
func FuzzParseCRL(f *testing.F) {
	key := signers()["ecdsa-p256"]
	pub := must[PublicKey](f)(NewPublicKey(key.Public()))
	idp := must[Extension](f)(MarshalIssuingDistributionPoint([]string{"http://a/b"}))
	f.Add(makeCRL(f, crlHeader(f, pub), key, crlEntries...))
	f.Add(makeCRL(f, crlHeader(f, pub, idp), key))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := ParseCRL(der)
		if err != nil {
			return
		}
		n := 0
		_, delta := FindExtension(c.Extensions, OIDDeltaCRLIndicator)
		w, err := NewCRLWriter(CRLHeader{Signature: c.Algorithm, Issuer: c.Issuer, ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate,
			Extensions: c.Extensions, Delta: delta}, 0)
		encodes := err == nil
		for e, err := range c.Entries() {
			if err != nil {
				t.Fatal("a parsed list has an entry that cannot be read")
			}
			n++
			encodes = encodes && w.Add(e) == nil
		}
		if n != c.Count || c.Algorithm == nil {
			t.Fatalf("%d entries, counted %d", n, c.Count)
		}
		_ = c.CheckSignatureFrom(pub)
		if !encodes {
			return
		}
		again, err := w.Sign(func([]byte) ([]byte, error) { return c.Signature, nil })
		if err != nil {
			return
		}
		if back, err := ParseCRL(again); err != nil || back.Count != n {
			t.Fatalf("our own encoding does not parse: %v", err)
		}
	})
}

// BenchmarkCRL makes lists beside x509.CreateRevocationList: 16-octet serials,
// every second entry with a reason.
func BenchmarkCRL(b *testing.B) {
	key := signers()["ecdsa-p256"]
	pub := must[PublicKey](b)(NewPublicKey(key.Public()))
	root := must[*x509.Certificate](b)(x509.ParseCertificate(sign(b, template(b, pub, pub, true), key)))
	serial := func(i int) []byte {
		s := bytes.Repeat([]byte{0x5f}, 16)
		binary.BigEndian.PutUint64(s[8:], uint64(i)*0x9e3779b97f4a7c15)
		return s
	}
	for _, n := range []int{100_000, 1_000_000} {
		name := map[int]string{100_000: "100k", 1_000_000: "1M"}[n]
		b.Run("ours/"+name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				h := crlHeader(b, pub)
				w := must[*CRLWriter](b)(NewCRLWriter(h, size+size/8))
				for i := range n {
					if err := w.Add(CRLEntry{Serial: serial(i), Revoked: start, Reason: uint8(i % 2)}); err != nil {
						b.Fatal(err)
					}
				}
				der := must[[]byte](b)(w.Sign(func(tbs []byte) ([]byte, error) {
					return key.Sign(rand.Reader, h.Signature.Digest(tbs), h.Signature.Hash)
				}))
				size = len(der)
			}
			b.ReportMetric(float64(size), "octets")
		})
		b.Run("x509/"+name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				var entries []x509.RevocationListEntry
				for i := range n {
					entries = append(entries, x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(serial(i)), RevocationTime: start, ReasonCode: i % 2})
				}
				size = len(must[[]byte](b)(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: start,
					NextUpdate: end, RevokedCertificateEntries: entries, ExtraExtensions: []stdpkix.Extension{}}, root, key)))
			}
			b.ReportMetric(float64(size), "octets")
		})
	}
	der := func() []byte {
		w := must[*CRLWriter](b)(NewCRLWriter(crlHeader(b, pub), 0))
		for i := range 1_000_000 {
			if err := w.Add(CRLEntry{Serial: serial(i), Revoked: start, Reason: uint8(i % 2)}); err != nil {
				b.Fatal(err)
			}
		}
		return must[[]byte](b)(w.Sign(func([]byte) ([]byte, error) { return []byte{1}, nil }))
	}()
	b.Run("parse/1M", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must[*CRL](b)(ParseCRL(der))
		}
	})
}

// TestReadEntryTime: the reader without garbage takes what the other one takes.
func TestReadEntryTime(t *testing.T) {
	for _, text := range []string{"260301120000Z", "491231235959Z", "500101000000Z", "991231235959Z", "240229000000Z", "250229000000Z", "261301000000Z",
		"260001000000Z", "260100000000Z", "260132000000Z", "260101240000Z", "260101006000Z", "260101000060Z", "2601010000:0Z", "260101000000+", "2601010000Z",
		"260101000000+0100", "-60101000000Z", "26 101000000Z", ""} {
		der := append([]byte{byte(casn1.UTCTime), byte(len(text))}, text...)
		fast, slow := cryptobyte.String(der), cryptobyte.String(der)
		var a, b time.Time
		ok, want := readEntryTime(&fast, &a), readTime(&slow, &b)
		if ok != want || ok && (!a.Equal(b) || len(fast) != len(slow)) {
			t.Errorf("%q: %v %v, want %v %v", text, ok, a, want, b)
		}
	}
}
