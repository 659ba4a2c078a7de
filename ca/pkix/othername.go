package pkix

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Types of otherName (RFC 5280 section 4.2.1.6).
var (
	OIDUPN                 = OID{1, 3, 6, 1, 4, 1, 311, 20, 2, 3} // Microsoft user principal name
	OIDPermanentIdentifier = OID{1, 3, 6, 1, 5, 5, 7, 8, 3}       // id-on-permanentIdentifier, RFC 4043 section 2
	OIDHardwareModule      = OID{1, 3, 6, 1, 5, 5, 7, 8, 4}       // id-on-hardwareModuleName, RFC 4108 section 5
)

// NewEmail makes an rfc822Name. The text must be an ASCII mailbox; it is not checked further.
func NewEmail(mailbox string) GeneralName { return GeneralName{RFC822Name, []byte(mailbox)} }

// NewURI makes a uniformResourceIdentifier. The text must be ASCII; it is not checked further.
func NewURI(text string) GeneralName { return GeneralName{URI, []byte(text)} }

// NewDirectoryName makes a directoryName of a DER Name.
func NewDirectoryName(name RawName) GeneralName { return GeneralName{DirectoryName, name} }

// NewRegisteredID makes a registeredID.
func NewRegisteredID(id OID) (GeneralName, error) {
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(id)
	der, err := b.Bytes()
	if err != nil {
		return GeneralName{}, err
	}
	in := cryptobyte.String(der)
	var content cryptobyte.String
	if !in.ReadASN1(&content, casn1.OBJECT_IDENTIFIER) {
		return GeneralName{}, errors.New("registeredID: not an object identifier")
	}
	return GeneralName{RegisteredID, content}, nil
}

// NewOtherName makes an otherName of a type and one DER value.
func NewOtherName(id OID, value []byte) (GeneralName, error) {
	var b cryptobyte.Builder
	b.AddASN1ObjectIdentifier(id)
	b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(value) })
	raw, err := b.Bytes()
	return GeneralName{OtherName, raw}, err
}

// NewUPN makes the otherName of a Microsoft user principal name, a UTF8String.
func NewUPN(text string) (GeneralName, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
	return otherNameOf(OIDUPN, &b)
}

// NewHardwareModule makes the otherName of a hardware module: the type of the
// hardware and its serial number (RFC 4108 section 5).
func NewHardwareModule(hardware OID, serial []byte) (GeneralName, error) {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(hardware)
		b.AddASN1OctetString(serial)
	})
	return otherNameOf(OIDHardwareModule, &b)
}

func otherNameOf(id OID, b *cryptobyte.Builder) (GeneralName, error) {
	value, err := b.Bytes()
	if err != nil {
		return GeneralName{}, err
	}
	return NewOtherName(id, value)
}

// OtherNameValue reads an otherName: its type and the one DER value in it.
func (g GeneralName) OtherNameValue() (id OID, value []byte, err error) {
	in := cryptobyte.String(g.Raw)
	var explicitValue, element, body cryptobyte.String
	var tag casn1.Tag
	if g.Kind != OtherName || !in.ReadASN1ObjectIdentifier(&id) || !in.ReadASN1(&explicitValue, explicit(0)) || !in.Empty() {
		return nil, nil, errors.New("otherName: not a type with one value (RFC 5280 section 4.2.1.6)")
	}
	element = explicitValue
	if !explicitValue.ReadAnyASN1(&body, &tag) || !explicitValue.Empty() {
		return nil, nil, errors.New("otherName: the value is not one DER value")
	}
	return id, element, nil
}

// UPN reads a Microsoft user principal name; ok is false for any other name.
func (g GeneralName) UPN() (text string, ok bool) {
	id, value, err := g.OtherNameValue()
	if err != nil || !id.Equal(OIDUPN) {
		return "", false
	}
	in := cryptobyte.String(value)
	var body cryptobyte.String
	if !in.ReadASN1(&body, casn1.UTF8String) || !in.Empty() || !plain(string(body)) {
		return "", false
	}
	return string(body), true
}

// HardwareModule reads a hardware module name; ok is false for any other name.
func (g GeneralName) HardwareModule() (hardware OID, serial []byte, ok bool) {
	id, value, err := g.OtherNameValue()
	if err != nil || !id.Equal(OIDHardwareModule) {
		return nil, nil, false
	}
	in := cryptobyte.String(value)
	var seq, octets cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1ObjectIdentifier(&hardware) ||
		!seq.ReadASN1(&octets, casn1.OCTET_STRING) || !seq.Empty() || len(octets) == 0 {
		return nil, nil, false
	}
	return hardware, octets, true
}

// RegisteredOID reads a registeredID; ok is false for any other name.
func (g GeneralName) RegisteredOID() (id OID, ok bool) {
	if g.Kind != RegisteredID || len(g.Raw) == 0 || len(g.Raw) > 127 {
		return nil, false
	}
	in := cryptobyte.String(append([]byte{byte(casn1.OBJECT_IDENTIFIER), byte(len(g.Raw))}, g.Raw...))
	return id, in.ReadASN1ObjectIdentifier(&id) && in.Empty()
}

// Text gives a name without the word for its kind, as patterns and templates
// see it: a DNS name, an address, a mailbox, a URI, a dotted OID, a directory
// name as RawName prints it, a user principal name, TYPE/SERIAL of a hardware
// module (the serial as #hex where it is not printable ASCII), the value of a
// permanent identifier with /ASSIGNER where it has one, the text of an
// otherName of another type. ok is false for values that are none of these or
// do not read.
func (g GeneralName) Text() (text string, ok bool) {
	switch g.Kind {
	case DNSName, RFC822Name, URI:
		return string(g.Raw), plain(string(g.Raw))
	case IPAddress:
		_, text, ok = strings.Cut(g.String(), ":")
		return text, ok && (len(g.Raw) == 4 || len(g.Raw) == 16)
	case DirectoryName:
		_, err := ParseName(g.Raw)
		return RawName(g.Raw).String(), err == nil
	case RegisteredID:
		id, ok := g.RegisteredOID()
		return id.String(), ok
	case OtherName:
		return g.otherText()
	}
	return "", false
}

func (g GeneralName) otherText() (string, bool) {
	id, value, err := g.OtherNameValue()
	switch {
	case err != nil:
		return "", false
	case id.Equal(OIDUPN):
		return g.UPN()
	case id.Equal(OIDPermanentIdentifier):
		text, assigner, ok := g.PermanentIdentifier()
		if assigner != nil {
			text += "/" + assigner.String()
		}
		return text, ok
	case id.Equal(OIDHardwareModule):
		hardware, serial, ok := g.HardwareModule()
		text := string(serial)
		if !plain(text) || !isASCII(text) || strings.HasPrefix(text, "#") {
			text = "#" + hex.EncodeToString(serial)
		}
		return hardware.String() + "/" + text, ok
	}
	in := cryptobyte.String(value)
	var body cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&body, &tag) {
		return "", false
	}
	if text, ok := (Attribute{Tag: uint8(tag), Value: body}).Text(); ok && plain(text) && !strings.HasPrefix(text, "#") {
		return text, true
	}
	return "#" + hex.EncodeToString(value), true
}

// plain tells whether a text is not empty, is valid UTF-8 and holds no control character.
func plain(text string) bool {
	return text != "" && utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }) < 0
}

// otherString prints an otherName: upn:..., permanent:VALUE or
// permanent:VALUE/ASSIGNER, hardware:TYPE/SERIAL, other:TYPE:VALUE.
func (g GeneralName) otherString() (string, bool) {
	text, ok := g.otherText()
	if !ok {
		return "", false
	}
	id, _, err := g.OtherNameValue()
	switch {
	case err != nil:
		return "", false
	case id.Equal(OIDUPN):
		return "upn:" + text, true
	case id.Equal(OIDPermanentIdentifier):
		return "permanent:" + text, true
	case id.Equal(OIDHardwareModule):
		return "hardware:" + text, true
	}
	return fmt.Sprintf("other:%s:%s", id, text), true
}
