package pkix

import (
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Policy is one certificate policy with its qualifiers (RFC 5280 section 4.2.1.4).
type Policy struct {
	ID     OID
	CPS    []string // URIs of certification practice statements
	Notice []string // explicit texts of user notices, at most 200 characters each
}

var (
	oidCPS        = OID{1, 3, 6, 1, 5, 5, 7, 2, 1}
	oidUserNotice = OID{1, 3, 6, 1, 5, 5, 7, 2, 2}
)

// MarshalPolicies encodes certificatePolicies with qualifiers.
func MarshalPolicies(policies []Policy) (Extension, error) {
	if len(policies) == 0 {
		return Extension{}, errors.New("certificate policies: empty list")
	}
	value, err := sequence(func(b *cryptobyte.Builder) {
		for _, p := range policies {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(p.ID)
				if len(p.CPS)+len(p.Notice) > 0 {
					b.AddASN1(casn1.SEQUENCE, p.qualifiers)
				}
			})
		}
	})
	return Extension{ID: OIDCertificatePolicies, Value: value}, err
}

func (p Policy) qualifiers(b *cryptobyte.Builder) {
	for _, uri := range p.CPS {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidCPS)
			b.AddASN1(casn1.IA5String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(uri)) })
		})
	}
	for _, text := range p.Notice {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidUserNotice)
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { // explicitText, UTF8String as the section asks
				b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
			})
		})
	}
}

// MarshalSMIMECapabilities encodes smimeCapabilities: algorithms in order of
// preference, without parameters (RFC 4262 section 2, RFC 8551 section 2.5.2).
func MarshalSMIMECapabilities(algorithms []OID) (Extension, error) {
	value, err := sequence(func(b *cryptobyte.Builder) {
		for _, id := range algorithms {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(id) })
		}
	})
	return Extension{ID: OIDSMIMECapabilities, Value: value}, err
}

// MarshalMSTemplateName encodes the name of a version 1 certificate template
// (MS-WCCE section 2.2.2.7.7.1), a BMPString.
func MarshalMSTemplateName(name string) (Extension, error) {
	content, err := EncodeText(name, 30)
	if err != nil {
		return Extension{}, err
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.Tag(30), func(b *cryptobyte.Builder) { b.AddBytes(content) })
	value, err := b.Bytes()
	return Extension{ID: OIDMSTemplateName, Value: value}, err
}

// MarshalMSTemplate encodes the identifier and version of a certificate
// template of version 2 and later (MS-WCCE section 2.2.2.7.7.2).
func MarshalMSTemplate(id OID, major, minor int) (Extension, error) {
	value, err := sequence(func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddASN1Int64(int64(major))
		b.AddASN1Int64(int64(minor))
	})
	return Extension{ID: OIDMSTemplate, Value: value}, err
}

var securityID = regexp.MustCompile(`^S-1-[0-9]{1,15}(-[0-9]{1,10}){1,15}$`)

// CheckSecurityID accepts a Windows security identifier in its text form, such
// as S-1-5-21-1-2-3-1104 (MS-DTYP section 2.4.2.1).
func CheckSecurityID(sid string) error {
	if !securityID.MatchString(sid) {
		return errors.New("not a Windows security identifier such as S-1-5-21-1-2-3-1104")
	}
	return nil
}

var oidSecurityIDValue = OID{1, 3, 6, 1, 4, 1, 311, 25, 2, 1}

// MarshalSecurityID encodes the Microsoft security identifier extension
// (MS-WCCE section 2.2.2.7.7.4): a list of one otherName that holds the text.
func MarshalSecurityID(sid string) (Extension, error) {
	if err := CheckSecurityID(sid); err != nil {
		return Extension{}, err
	}
	var b cryptobyte.Builder
	b.AddASN1OctetString([]byte(sid))
	name, err := otherNameOf(oidSecurityIDValue, &b)
	if err != nil {
		return Extension{}, err
	}
	value, err := MarshalGeneralNames([]GeneralName{name})
	return Extension{ID: OIDMSSecurityID, Value: value}, err
}

// ParseHardwareModule reads TYPE/SERIAL as GeneralName.Text prints it: a dotted
// OID and a serial number, as text or as #hex.
func ParseHardwareModule(text string) (hardware OID, serial []byte, err error) {
	id, rest, found := strings.Cut(text, "/")
	hardware, ok := ParseOID(id)
	if !found || !ok || rest == "" {
		return nil, nil, fmt.Errorf("a hardware module is written TYPE/SERIAL with a dotted OID as its type")
	}
	if digits, isHex := strings.CutPrefix(rest, "#"); isHex {
		serial, err = hex.DecodeString(digits)
		return hardware, serial, err
	}
	return hardware, []byte(rest), nil
}
