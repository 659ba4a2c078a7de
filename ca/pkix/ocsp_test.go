package pkix

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// question writes an OCSPRequest whose parts a test may spoil.
type question struct {
	ids        [][]byte
	before     []byte // what stands before the requestList
	single     []byte // singleRequestExtensions, whole
	extensions []Extension
	after      []byte // what stands after the tbsRequest
}

func (q question) der() []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(q.before)
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, id := range q.ids {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(id)
						b.AddBytes(q.single)
					})
				}
			})
			if q.extensions != nil {
				b.AddASN1(explicit(2), func(b *cryptobyte.Builder) { addExtensions(b, q.extensions) })
			}
		})
		b.AddBytes(q.after)
	})
	return b.BytesOrPanic()
}

func someID(h OCSPHash, serial ...byte) []byte {
	n := h.Hash().Size()
	return MarshalCertID(h, bytes.Repeat([]byte{1}, n), bytes.Repeat([]byte{2}, n), serial)
}

func nonceOf(n int) []Extension {
	value, err := octetString(make([]byte, n))
	if err != nil {
		panic(err)
	}
	return []Extension{{ID: OIDOCSPNonce, Value: value}}
}

func TestParseOCSPRequest(t *testing.T) {
	long := bytes.Repeat([]byte{0x01}, 65)
	unknownHash := bytes.Replace(someID(OCSPSHA256, 5), []byte{0x65, 3, 4, 2, 1}, []byte{0x65, 3, 4, 2, 9}, 1)
	many := func(n int) (ids [][]byte) {
		for range n {
			ids = append(ids, someID(OCSPSHA1, 5))
		}
		return ids
	}
	signature := append([]byte{0xa0, 9, 0x30, 7}, 0x30, 1, 0x05, 0x03, 2, 0, 0xff)
	for name, c := range map[string]struct {
		q  question
		ok bool
	}{
		"SHA-1":                       {question{ids: [][]byte{someID(OCSPSHA1, 5)}}, true},
		"SHA-1 without parameters":    {question{ids: [][]byte{someID(OCSPSHA1Bare, 5)}}, true},
		"SHA-256":                     {question{ids: [][]byte{someID(OCSPSHA256, 5)}}, true},
		"SHA-256 without parameters":  {question{ids: [][]byte{someID(OCSPSHA256Bare, 5)}}, true},
		"two with different hashes":   {question{ids: [][]byte{someID(OCSPSHA256, 5), someID(OCSPSHA1, 6)}}, true},
		"a hash that is not known":    {question{ids: [][]byte{unknownHash}}, true},
		"as many as there may be":     {question{ids: many(MaxOCSPCertIDs)}, true},
		"one more":                    {question{ids: many(MaxOCSPCertIDs + 1)}, false},
		"none":                        {question{}, false},
		"version 1 written":           {question{ids: many(1), before: []byte{0xa0, 3, 2, 1, 0}}, true},
		"version 2":                   {question{ids: many(1), before: []byte{0xa0, 3, 2, 1, 1}}, false},
		"a requestor's name":          {question{ids: many(1), before: []byte{0xa1, 4, 0x82, 2, 'a', 'b'}}, true},
		"an empty requestor's name":   {question{ids: many(1), before: []byte{0xa1, 0}}, false},
		"a signature":                 {question{ids: many(1), after: signature}, true},
		"a broken signature":          {question{ids: many(1), after: signature[:len(signature)-1]}, false},
		"something at the end":        {question{ids: many(1), after: []byte{5, 0}}, false},
		"nonce of 1":                  {question{ids: many(1), extensions: nonceOf(1)}, true},
		"nonce of 128":                {question{ids: many(1), extensions: nonceOf(128)}, true},
		"nonce of 129":                {question{ids: many(1), extensions: nonceOf(129)}, false},
		"nonce of 0":                  {question{ids: many(1), extensions: nonceOf(0)}, false},
		"nonce twice":                 {question{ids: many(1), extensions: append(nonceOf(1), nonceOf(1)...)}, false},
		"nonce without OCTET STRING":  {question{ids: many(1), extensions: []Extension{{ID: OIDOCSPNonce, Value: []byte{1, 2, 3}}}}, false},
		"an unknown extension":        {question{ids: many(1), extensions: []Extension{{ID: OID{1, 2, 3}, Value: []byte{5, 0}}}}, true},
		"a critical unknown one":      {question{ids: many(1), extensions: []Extension{{ID: OID{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}}, false},
		"a known one, critical":       {question{ids: many(1), extensions: []Extension{{ID: OIDOCSPResponse, Critical: true, Value: []byte{0x30, 0}}}}, true},
		"a single extension":          {question{ids: many(1), single: []byte{0xa0, 10, 0x30, 8, 0x30, 6, 6, 1, 0x2a, 4, 1, 0}}, true},
		"a broken single extension":   {question{ids: many(1), single: []byte{0xa0, 2, 5, 0}}, false},
		"a negative serial":           {question{ids: [][]byte{someID(OCSPSHA1, 0xff, 0x01)}}, true},
		"a serial of 65 octets":       {question{ids: [][]byte{someID(OCSPSHA1, long...)}}, false},
		"an empty serial":             {question{ids: [][]byte{someID(OCSPSHA1)}}, false},
		"a serial in a longer form":   {question{ids: [][]byte{someID(OCSPSHA1, 0, 5)}}, false},
		"a hash of another length":    {question{ids: [][]byte{MarshalCertID(OCSPSHA256, make([]byte, 20), make([]byte, 32), []byte{1})}}, false},
		"an algorithm without an OID": {question{ids: [][]byte{{0x30, 9, 0x30, 0, 4, 0, 4, 0, 2, 1, 1}}}, false},
	} {
		der := c.q.der()
		r, err := ParseOCSPRequest(der)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		for i, id := range r.CertIDs {
			if !bytes.Equal(id.Raw, c.q.ids[i]) {
				t.Errorf("%s: CertID %x instead of %x", name, id.Raw, c.q.ids[i])
			}
		}
		for i := range der {
			if _, err := ParseOCSPRequest(der[:i]); err == nil {
				t.Fatalf("%s: the first %d octets parse", name, i)
			}
		}
	}
	if _, err := ParseOCSPRequest(make([]byte, MaxOCSPRequest+1)); err == nil || !strings.Contains(err.Error(), "longer") {
		t.Errorf("too long: %v", err)
	}
}

// Another library's request gives the hashes that we make of an issuer.
func TestOCSPRequestOfAnother(t *testing.T) {
	issuer := selfSigned(t, "ecdsa-p256")
	ours := must[*Certificate](t)(ParseCertificate(issuer.Raw))
	leaf := &x509.Certificate{SerialNumber: big.NewInt(0x1234567890)}
	for hash, want := range map[crypto.Hash]OCSPHash{crypto.SHA1: OCSPSHA1, crypto.SHA256: OCSPSHA256} {
		der := must[[]byte](t)(ocsp.CreateRequest(leaf, issuer, &ocsp.RequestOptions{Hash: hash}))
		id := must[*OCSPRequest](t)(ParseOCSPRequest(der)).CertIDs[0]
		name, key := IssuerHashes(want, ours.Subject, ours.Key)
		if id.Algorithm != want || !bytes.Equal(id.NameHash, name) || !bytes.Equal(id.KeyHash, key) || !bytes.Equal(id.Serial, leaf.SerialNumber.Bytes()) {
			t.Errorf("%v: %+v", hash, id)
		}
		if again := MarshalCertID(want, name, key, id.Serial); !bytes.Equal(again, id.Raw) {
			t.Errorf("%v: encoded again %x, was %x", hash, again, id.Raw)
		}
	}
}

func selfSigned(t testing.TB, key string) *x509.Certificate {
	t.Helper()
	signer := signers()[key]
	tpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: stdpkix.Name{CommonName: "CA"}, NotBefore: time.Unix(1e9, 0), NotAfter: time.Unix(3e9, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, tpl, tpl, signer.Public(), signer))
	return must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

// Another library reads every kind of answer, for every algorithm.
func TestOCSPAnswersAreRead(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, signer := range signers() {
		issuer := selfSigned(t, name)
		ours := must[*Certificate](t)(ParseCertificate(issuer.Raw))
		algorithm := must[*SignatureAlgorithm](t)(SignatureFor(ours.Key))
		nameHash, keyHash := IssuerHashes(OCSPSHA256, ours.Subject, ours.Key)
		serial := []byte{0x12, 0x34}
		base := OCSPSingle{CertID: MarshalCertID(OCSPSHA256, nameHash, keyHash, serial), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
		never := base
		never.NeverIssued()
		for what, c := range map[string]struct {
			change   func(*OCSPSingle)
			extended bool
			status   int
			reason   int
			at       time.Time
		}{
			"good":         {func(*OCSPSingle) {}, false, ocsp.Good, 0, time.Time{}},
			"unknown":      {func(s *OCSPSingle) { s.Status = OCSPUnknown }, false, ocsp.Unknown, 0, time.Time{}},
			"revoked":      {func(s *OCSPSingle) { s.Status, s.Reason, s.RevokedAt = OCSPRevoked, 4, now }, false, ocsp.Revoked, 4, now},
			"unspecified":  {func(s *OCSPSingle) { s.Status, s.RevokedAt = OCSPRevoked, now }, false, ocsp.Revoked, 0, now},
			"never issued": {func(s *OCSPSingle) { *s = never }, true, ocsp.Revoked, 6, time.Unix(0, 0).UTC()},
		} {
			single := base
			c.change(&single)
			data := &OCSPData{Responder: OCSPResponderID{KeyHash: ours.Key.OCSPKeyHash()}, ProducedAt: now, Singles: []OCSPSingle{single}, Nonce: []byte("nonce"), ExtendedRevoke: c.extended}
			if what == "good" {
				data.Responder = OCSPResponderID{Name: ours.Subject}
			}
			tbs := must[[]byte](t)(data.MarshalTBS())
			digest := algorithm.Digest(tbs)
			signature := must[[]byte](t)(signer.Sign(rand.Reader, digest, algorithm.Hash))
			der := must[[]byte](t)(AssembleOCSP(tbs, algorithm, signature, [][]byte{issuer.Raw}))
			if name == "ed25519" { // that library does not know it
				continue
			}
			got, err := ocsp.ParseResponse(der, issuer)
			if err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
				continue
			}
			if got.Status != c.status || got.RevocationReason != c.reason || !got.RevokedAt.Equal(c.at) || !got.ThisUpdate.Equal(now) ||
				!got.NextUpdate.Equal(now.Add(time.Hour)) || !got.ProducedAt.Equal(now) || got.SerialNumber.Int64() != 0x1234 {
				t.Errorf("%s, %s: %+v", name, what, got)
			}
			if extended := bytes.Contains(der, must[[]byte](t)(octetString([]byte{5, 0}))); extended != c.extended {
				t.Errorf("%s, %s: extended-revoked is there: %v", name, what, extended)
			}
			if what == "good" && !bytes.Equal(got.RawResponderName, ours.Subject) || what != "good" && !bytes.Equal(got.ResponderKeyHash, ours.Key.OCSPKeyHash()) {
				t.Errorf("%s, %s: responder %x %x", name, what, got.RawResponderName, got.ResponderKeyHash)
			}
		}
	}
}

func TestOCSPAnswerRefuses(t *testing.T) {
	now := time.Unix(1e9, 0)
	good := func() *OCSPData {
		return &OCSPData{Responder: OCSPResponderID{KeyHash: make([]byte, 20)}, ProducedAt: now, Singles: []OCSPSingle{{CertID: someID(OCSPSHA1, 1), ThisUpdate: now}}}
	}
	if _, err := good().MarshalTBS(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*OCSPData){
		"no certificate":            func(d *OCSPData) { d.Singles = nil },
		"no responder":              func(d *OCSPData) { d.Responder = OCSPResponderID{} },
		"two responders":            func(d *OCSPData) { d.Responder.Name = EmptyName },
		"no time":                   func(d *OCSPData) { d.ProducedAt = time.Time{} },
		"no CertID":                 func(d *OCSPData) { d.Singles[0].CertID = nil },
		"no thisUpdate":             func(d *OCSPData) { d.Singles[0].ThisUpdate = time.Time{} },
		"revoked without a time":    func(d *OCSPData) { d.Singles[0].Status = OCSPRevoked },
		"a status that there isn't": func(d *OCSPData) { d.Singles[0].Status = 3 },
	} {
		d := good()
		spoil(d)
		if _, err := d.MarshalTBS(); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func FuzzParseOCSPRequest(f *testing.F) {
	f.Add(question{ids: [][]byte{someID(OCSPSHA1, 5)}}.der())
	f.Add(question{ids: [][]byte{someID(OCSPSHA256, 5), someID(OCSPSHA1Bare, 6)}, extensions: nonceOf(32)}.der())
	f.Add(question{ids: [][]byte{someID(OCSPSHA1, 5)}, before: []byte{0xa1, 4, 0x82, 2, 'a', 'b'}, after: []byte{0xa0, 9, 0x30, 7, 0x30, 1, 5, 3, 2, 0, 0xff}}.der())
	f.Fuzz(func(t *testing.T, der []byte) {
		r, err := ParseOCSPRequest(der)
		if err != nil {
			return
		}
		if len(r.CertIDs) == 0 || len(r.CertIDs) > MaxOCSPCertIDs || len(r.Nonce) > maxOCSPNonce {
			t.Fatalf("%d CertIDs, a nonce of %d octets", len(r.CertIDs), len(r.Nonce))
		}
		for _, id := range r.CertIDs {
			if id.Algorithm == OCSPHashUnknown {
				continue
			}
			if again := MarshalCertID(id.Algorithm, id.NameHash, id.KeyHash, id.Serial); !bytes.Equal(again, id.Raw) {
				t.Fatalf("CertID %x is encoded as %x", id.Raw, again)
			}
		}
	})
}
