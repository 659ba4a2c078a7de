package pkix

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxCRL bounds a list read from outside, in octets: three million entries and more.
const MaxCRL = 256 << 20

// CRL is a list parsed by our own reader. Entries are checked when it is
// parsed, and read from its bytes whenever they are asked for.
type CRL struct {
	Raw        []byte
	RawTBS     []byte
	Issuer     RawName
	ThisUpdate time.Time
	NextUpdate time.Time   // zero: not given, which RFC 5280 section 5.1.2.5 forbids
	Extensions []Extension // nil in version 1
	Number     *big.Int    // nil: not given
	Base       *big.Int    // of a delta: the complete list's number; nil: a complete list
	KeyID      []byte      // of the issuer's key, nil: not given
	Points     []string    // URLs of issuingDistributionPoint, nil: the list covers everything
	Count      int         // entries
	Algorithm  *SignatureAlgorithm
	Signature  []byte
	entries    cryptobyte.String
}

// ParseCRL reads one DER CertificateList (RFC 5280 section 5.1), version 1 or
// 2. Indirect lists, lists for only some reasons or some kinds of certificates
// and unknown critical extensions are refused: their entries mean something else.
func ParseCRL(der []byte) (*CRL, error) {
	if len(der) > MaxCRL {
		return nil, fmt.Errorf("CRL: longer than %d octets", MaxCRL)
	}
	in := cryptobyte.String(der)
	var outer, tbs, algorithm cryptobyte.String
	c := &CRL{Raw: der}
	if !in.ReadASN1(&outer, casn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1Element(&tbs, casn1.SEQUENCE) ||
		!outer.ReadASN1Element(&algorithm, casn1.SEQUENCE) || !outer.ReadASN1BitStringAsBytes(&c.Signature) || !outer.Empty() {
		return nil, errors.New("CRL: not a DER CertificateList (RFC 5280 section 5.1)")
	}
	c.RawTBS = tbs
	if err := c.parseTBS(tbs, algorithm); err != nil {
		return nil, fmt.Errorf("CRL: %w", err)
	}
	if err := c.interpret(); err != nil {
		return nil, fmt.Errorf("CRL: %w", err)
	}
	for _, err := range c.Entries() {
		if err != nil {
			return nil, fmt.Errorf("CRL: entry %d: %w", c.Count, err)
		}
		c.Count++
	}
	return c, nil
}

func (c *CRL) parseTBS(tbs, outerAlgorithm cryptobyte.String) error {
	var body, algorithm, issuer cryptobyte.String
	version := int64(0)
	malformed := errors.New("malformed TBSCertList (RFC 5280 section 5.1.2)")
	if !tbs.ReadASN1(&body, casn1.SEQUENCE) ||
		body.PeekASN1Tag(casn1.INTEGER) && (!body.ReadASN1Integer(&version) || version != 1) ||
		!body.ReadASN1Element(&algorithm, casn1.SEQUENCE) || !body.ReadASN1Element(&issuer, casn1.SEQUENCE) ||
		!readTime(&body, &c.ThisUpdate) {
		return malformed
	}
	if (body.PeekASN1Tag(casn1.UTCTime) || body.PeekASN1Tag(casn1.GeneralizedTime)) && !readTime(&body, &c.NextUpdate) {
		return malformed
	}
	if body.PeekASN1Tag(casn1.SEQUENCE) && !body.ReadASN1(&c.entries, casn1.SEQUENCE) {
		return malformed
	}
	if version == 1 && body.PeekASN1Tag(explicit(0)) {
		var wrapped, list cryptobyte.String
		if !body.ReadASN1(&wrapped, explicit(0)) || !wrapped.ReadASN1(&list, casn1.SEQUENCE) || !wrapped.Empty() {
			return malformed
		}
		var err error
		if c.Extensions, err = ParseExtensions(list); err != nil {
			return err
		}
	}
	if !body.Empty() {
		return malformed
	}
	c.Issuer = RawName(issuer)
	if _, err := ParseName(c.Issuer); err != nil {
		return err
	}
	var err error
	if c.Algorithm, err = parseSignatureAlgorithm(algorithm); err != nil {
		return err
	}
	if !bytes.Equal(algorithm, outerAlgorithm) { // RFC 5280 section 5.1.1.2
		return errors.New("the two signature algorithm fields differ (RFC 5280 section 5.1.1.2)")
	}
	return nil
}

// interpret reads the extensions that change what the list means.
func (c *CRL) interpret() (err error) {
	for _, e := range c.Extensions {
		switch {
		case e.ID.Equal(OIDCRLNumber):
			c.Number, err = readCRLNumber(e.Value)
		case e.ID.Equal(OIDDeltaCRLIndicator):
			c.Base, err = readCRLNumber(e.Value)
		case e.ID.Equal(OIDAuthorityKeyID):
			c.KeyID, err = ParseAuthorityKeyID(e.Value)
		case e.ID.Equal(OIDIssuingDistPoint):
			c.Points, err = readIssuingPoint(e.Value)
		case e.Critical:
			err = fmt.Errorf("the critical extension %s is not understood (RFC 5280 section 5.2)", e.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readCRLNumber(value []byte) (*big.Int, error) {
	in, n := cryptobyte.String(value), new(big.Int)
	if !in.ReadASN1Integer(n) || !in.Empty() || n.Sign() < 0 || n.BitLen() > 159 { // 20 octets
		return nil, errors.New("a CRL number is not a positive INTEGER of at most 20 octets (RFC 5280 section 5.2.3)")
	}
	return n, nil
}

// readIssuingPoint gives the URLs of a point that restricts nothing but which
// distribution point certificates name.
func readIssuingPoint(value []byte) ([]string, error) {
	malformed := errors.New("malformed issuingDistributionPoint (RFC 5280 section 5.2.5)")
	in := cryptobyte.String(value)
	var seq, point, full cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() {
		return nil, malformed
	}
	if !seq.PeekASN1Tag(explicit(0)) {
		return nil, errors.New("the list covers only some kinds of certificates or reasons, which is not read here (RFC 5280 section 5.2.5)")
	}
	if !seq.ReadASN1(&point, explicit(0)) || !point.ReadASN1(&full, explicit(0)) || !point.Empty() {
		return nil, malformed
	}
	if !seq.Empty() {
		return nil, errors.New("the list is indirect or covers only some kinds of certificates or reasons, which is not read here (RFC 5280 section 5.2.5)")
	}
	var urls []string
	for !full.Empty() {
		var content cryptobyte.String
		var tag casn1.Tag
		if !full.ReadAnyASN1(&content, &tag) || len(urls) == maxGeneralNames {
			return nil, malformed
		}
		if tag == URI.tag() {
			urls = append(urls, string(content))
		}
	}
	if len(urls) == 0 {
		return nil, errors.New("issuingDistributionPoint has no URL")
	}
	return urls, nil
}

// Entries gives the entries in their order; Serial is a part of the list's
// bytes. After an error there is nothing more, and a parsed list gives none.
func (c *CRL) Entries() iter.Seq2[CRLEntry, error] {
	return func(yield func(CRLEntry, error) bool) {
		rest := c.entries
		for !rest.Empty() {
			e, err := readEntry(&rest)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

var (
	reasonCodeID     = []byte{0x55, 0x1d, 21}
	invalidityDateID = []byte{0x55, 0x1d, 24}
	certIssuerID     = []byte{0x55, 0x1d, 29}
)

var errEntry = errors.New("malformed (RFC 5280 section 5.3)") // one for all: a million entries are read at once

func readEntry(in *cryptobyte.String) (e CRLEntry, err error) {
	var entry, serial, list cryptobyte.String
	if !in.ReadASN1(&entry, casn1.SEQUENCE) || !entry.ReadASN1(&serial, casn1.INTEGER) || !readEntryTime(&entry, &e.Revoked) {
		return e, errEntry
	}
	if len(serial) == 0 || len(serial) > 21 { // hostile or old serials may be negative or have 21 octets; they are still names
		return e, errors.New("its serial number has no or more than 21 octets (RFC 5280 section 4.1.2.2)")
	}
	e.Serial = serial
	if entry.Empty() {
		return e, nil
	}
	if !entry.ReadASN1(&list, casn1.SEQUENCE) || !entry.Empty() {
		return e, errEntry
	}
	for n := 0; !list.Empty(); n++ {
		var ext, id, value cryptobyte.String
		critical := false
		if n == maxExtensions || !list.ReadASN1(&ext, casn1.SEQUENCE) || !ext.ReadASN1(&id, casn1.OBJECT_IDENTIFIER) ||
			ext.PeekASN1Tag(casn1.BOOLEAN) && !ext.ReadASN1Boolean(&critical) ||
			!ext.ReadASN1(&value, casn1.OCTET_STRING) || !ext.Empty() {
			return e, errEntry
		}
		if err := e.interpret(id, critical, value); err != nil {
			return e, err
		}
	}
	return e, nil
}

// readEntryTime is readTime without garbage for the usual form: a million
// entries are read at once.
func readEntryTime(in *cryptobyte.String, out *time.Time) bool {
	rest := *in
	var text cryptobyte.String
	if !rest.ReadASN1(&text, casn1.UTCTime) || len(text) != 13 || text[12] != 'Z' {
		return readTime(in, out)
	}
	var n [6]int
	for i := range n {
		tens, ones := text[2*i]-'0', text[2*i+1]-'0'
		if tens > 9 || ones > 9 {
			return false
		}
		n[i] = int(tens)*10 + int(ones)
	}
	year := 2000 + n[0]
	if n[0] >= 50 { // RFC 5280 section 4.1.2.5.1
		year = 1900 + n[0]
	}
	*out = time.Date(year, time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC)
	*in = rest
	return int(out.Month()) == n[1] && out.Day() == n[2] && out.Hour() == n[3] && out.Minute() == n[4] && out.Second() == n[5]
}

func (e *CRLEntry) interpret(id []byte, critical bool, value cryptobyte.String) error {
	switch {
	case bytes.Equal(id, reasonCodeID):
		var content cryptobyte.String
		if !value.ReadASN1(&content, casn1.ENUM) || !value.Empty() || len(content) != 1 || content[0] > 10 || content[0] == 7 {
			return errors.New("its reason is none (RFC 5280 section 5.3.1)")
		}
		e.Reason = content[0]
	case bytes.Equal(id, invalidityDateID):
		if !value.ReadASN1GeneralizedTime(&e.Invalid) || !value.Empty() {
			return errors.New("its invalidity date is none (RFC 5280 section 5.3.2)")
		}
	case bytes.Equal(id, certIssuerID):
		return errors.New("it names another issuer; indirect lists are not read here (RFC 5280 section 5.3.3)")
	case critical:
		return errors.New("a critical extension is not understood (RFC 5280 section 5.3)")
	}
	return nil
}

// CheckSignatureFrom verifies the list's signature with an issuer's key.
func (c *CRL) CheckSignatureFrom(issuer PublicKey) error {
	if c.Algorithm.Legacy {
		return fmt.Errorf("CRL: signature algorithm %s is not accepted", c.Algorithm.Name)
	}
	return c.Algorithm.Verify(issuer, c.RawTBS, c.Signature)
}

// CheckIssuer holds the list against a certificate that may have signed it:
// name, key identifier, the right to sign lists, and the signature (RFC 5280
// section 6.3.3 (f), (g)).
func (c *CRL) CheckIssuer(issuer *Certificate) error {
	if !bytes.Equal(c.Issuer, issuer.Subject) {
		return fmt.Errorf("CRL: its issuer is %q, not %q", c.Issuer, issuer.Subject)
	}
	if ext, ok := FindExtension(issuer.Extensions, OIDKeyUsage); ok {
		if usage, err := ParseKeyUsageValue(ext.Value); err != nil || usage&CRLSign == 0 {
			return errors.New("CRL: its issuer may not sign lists: cRLSign is missing (RFC 5280 section 4.2.1.3)")
		}
	}
	if ext, ok := FindExtension(issuer.Extensions, OIDSubjectKeyID); ok && c.KeyID != nil {
		if !slices.Equal(ext.Value[min(2, len(ext.Value)):], c.KeyID) {
			return errors.New("CRL: it was signed by another key of its issuer (RFC 5280 section 5.2.1)")
		}
	}
	return c.CheckSignatureFrom(issuer.Key)
}
