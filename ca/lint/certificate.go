package lint

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// certificate is the parsed bytes with the extensions that the rules look at.
type certificate struct {
	*pkix.Certificate
	rdns     []pkix.RDN
	isCA     bool
	hasUsage bool
	usage    pkix.KeyUsage
	extended []pkix.OID
	names    []pkix.GeneralName
	urls     []string // of authorityInfoAccess and cRLDistributionPoints
	times    [2]encodedTime
}

type encodedTime struct {
	tag  casn1.Tag
	text string
}

func newCertificate(parsed *pkix.Certificate) (*certificate, error) {
	c := &certificate{Certificate: parsed}
	var err error
	if c.rdns, err = pkix.ParseName(parsed.Subject); err != nil {
		return nil, err
	}
	for _, e := range parsed.Extensions {
		switch {
		case e.ID.Equal(pkix.OIDBasicConstraints):
			c.isCA, _, err = pkix.ParseBasicConstraints(e.Value)
		case e.ID.Equal(pkix.OIDKeyUsage):
			c.hasUsage = true
			c.usage, err = pkix.ParseKeyUsageValue(e.Value)
		case e.ID.Equal(pkix.OIDExtKeyUsage):
			c.extended, err = pkix.ParseExtKeyUsage(e.Value)
		case e.ID.Equal(pkix.OIDSubjectAltName):
			c.names, err = pkix.ParseGeneralNames(e.Value)
		case e.ID.Equal(pkix.OIDAuthorityInfoAccess), e.ID.Equal(pkix.OIDCRLDistPoints):
			err = c.readURLs(e.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	return c, c.readTimes()
}

// readURLs collects each uniformResourceIdentifier of an authorityInfoAccess or
// cRLDistributionPoints value: the only primitive of tag [6] in either.
func (c *certificate) readURLs(value []byte) error {
	malformed := errors.New("malformed authorityInfoAccess or cRLDistributionPoints")
	var walk func(in cryptobyte.String, depth int) error
	walk = func(in cryptobyte.String, depth int) error {
		for !in.Empty() {
			var body cryptobyte.String
			var tag casn1.Tag
			if !in.ReadAnyASN1(&body, &tag) || depth > 5 {
				return malformed
			}
			switch {
			case tag == casn1.Tag(6).ContextSpecific():
				c.urls = append(c.urls, string(body))
			case tag&0x20 != 0: // constructed
				if err := walk(body, depth+1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	before := len(c.urls)
	if err := walk(value, 0); err != nil {
		return err
	}
	if len(c.urls) == before {
		return malformed
	}
	return nil
}

// readTimes finds how the validity dates are encoded, which their values do not tell.
func (c *certificate) readTimes() error {
	in := cryptobyte.String(c.RawTBS)
	var body, validity cryptobyte.String
	ok := in.ReadASN1(&body, casn1.SEQUENCE) && body.SkipASN1(casn1.Tag(0).ContextSpecific().Constructed()) &&
		body.SkipASN1(casn1.INTEGER) && body.SkipASN1(casn1.SEQUENCE) && body.SkipASN1(casn1.SEQUENCE) && body.ReadASN1(&validity, casn1.SEQUENCE)
	for i := range c.times {
		var text cryptobyte.String
		ok = ok && validity.ReadAnyASN1(&text, &c.times[i].tag)
		c.times[i].text = string(text)
	}
	if !ok {
		return errors.New("malformed validity")
	}
	return nil
}

// texts gives the raw values of the names of one kind.
func (c *certificate) texts(kind pkix.NameKind) (all []string) {
	for _, n := range c.names {
		if n.Kind == kind {
			all = append(all, string(n.Raw))
		}
	}
	return all
}
