package pkix

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// NameKind is the choice of a GeneralName; its value is the context tag of
// RFC 5280 section 4.2.1.6.
type NameKind uint8

const (
	OtherName     NameKind = 0
	RFC822Name    NameKind = 1
	DNSName       NameKind = 2
	X400Address   NameKind = 3
	DirectoryName NameKind = 4
	EDIPartyName  NameKind = 5
	URI           NameKind = 6
	IPAddress     NameKind = 7
	RegisteredID  NameKind = 8
)

var nameKinds = [...]string{"otherName", "rfc822Name", "dNSName", "x400Address", "directoryName", "ediPartyName", "uniformResourceIdentifier", "iPAddress", "registeredID"}

func (k NameKind) String() string {
	if int(k) < len(nameKinds) {
		return nameKinds[k]
	}
	return fmt.Sprintf("generalName(%d)", uint8(k))
}

// ParseNameKind finds a kind by its ASN.1 name.
func ParseNameKind(s string) (NameKind, bool) {
	for i, n := range nameKinds {
		if n == s {
			return NameKind(i), true
		}
	}
	return 0, false
}

// GeneralName is one name of a subjectAltName, kept raw: Raw holds the content
// octets under the context tag (for DirectoryName: the whole inner Name).
type GeneralName struct {
	Kind NameKind
	Raw  []byte
}

// maxGeneralNames bounds how many names a list read from outside may hold.
const maxGeneralNames = 256

// DNS makes a dNSName. The text must be ASCII (A-labels); it is not checked further.
func DNS(name string) GeneralName { return GeneralName{DNSName, []byte(name)} }

// IP makes an iPAddress of 4 or 16 octets.
func IP(a netip.Addr) GeneralName { return GeneralName{IPAddress, a.Unmap().AsSlice()} }

// String gives the name as `dns:host.example`, `ip:192.0.2.1`, `email:...`,
// `uri:...`, `dirname:...`, `rid:1.2.3`, `upn:...`, `permanent:...`,
// `hardware:TYPE/SERIAL`, `other:TYPE:VALUE`; other kinds, and what does not read, as `kind:#hex`.
func (g GeneralName) String() string {
	switch g.Kind {
	case DNSName:
		return "dns:" + string(g.Raw)
	case RFC822Name:
		return "email:" + string(g.Raw)
	case URI:
		return "uri:" + string(g.Raw)
	case IPAddress:
		if a, ok := netip.AddrFromSlice(g.Raw); ok {
			return "ip:" + a.String()
		}
	case DirectoryName:
		return "dirname:" + RawName(g.Raw).String()
	case RegisteredID:
		if id, ok := g.RegisteredOID(); ok {
			return "rid:" + id.String()
		}
	case OtherName:
		if text, ok := g.otherString(); ok {
			return text
		}
	}
	return g.Kind.String() + ":#" + hex.EncodeToString(g.Raw)
}

// Key identifies a name by kind and raw bytes, for use as a map key.
func (g GeneralName) Key() string { return string(rune(g.Kind)) + string(g.Raw) }

// constructed tells which choices carry a constructed encoding: otherName,
// x400Address, ediPartyName (IMPLICIT SEQUENCE) and directoryName (EXPLICIT).
func (k NameKind) constructed() bool {
	return k == OtherName || k == X400Address || k == DirectoryName || k == EDIPartyName
}

func (k NameKind) tag() casn1.Tag {
	t := casn1.Tag(k).ContextSpecific()
	if k.constructed() {
		t = t.Constructed()
	}
	return t
}

// MarshalGeneralNames encodes a non-empty GeneralNames SEQUENCE in the order given.
func MarshalGeneralNames(names []GeneralName) ([]byte, error) {
	if len(names) == 0 {
		return nil, errors.New("general names: empty list (RFC 5280 section 4.2.1.6)")
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, n := range names {
			b.AddASN1(n.Kind.tag(), func(b *cryptobyte.Builder) { b.AddBytes(n.Raw) })
		}
	})
	return b.Bytes()
}

// ParseGeneralNames reads a non-empty GeneralNames SEQUENCE, at most 256 names.
func ParseGeneralNames(der []byte) ([]GeneralName, error) {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() {
		return nil, errors.New("general names: not one SEQUENCE")
	}
	var names []GeneralName
	for !seq.Empty() {
		var value cryptobyte.String
		var tag casn1.Tag
		if !seq.ReadAnyASN1(&value, &tag) {
			return nil, errors.New("general names: malformed name")
		}
		kind := NameKind(tag & 0x1f)
		if kind > RegisteredID || tag != kind.tag() {
			return nil, fmt.Errorf("general names: unknown tag 0x%02x", uint8(tag))
		}
		g := GeneralName{Kind: kind, Raw: value}
		if err := g.check(); err != nil {
			return nil, err
		}
		if names = append(names, g); len(names) > maxGeneralNames {
			return nil, fmt.Errorf("general names: more than %d names", maxGeneralNames)
		}
	}
	if len(names) == 0 {
		return nil, errors.New("general names: empty list (RFC 5280 section 4.2.1.6)")
	}
	return names, nil
}

func (g GeneralName) check() error {
	switch g.Kind {
	case DNSName, RFC822Name, URI: // IA5String; NUL would hide what follows it
		if len(g.Raw) == 0 {
			return fmt.Errorf("general names: empty %s", g.Kind)
		}
		for _, c := range g.Raw {
			if c == 0 || c >= 0x80 {
				return fmt.Errorf("general names: %s holds a byte that is not printable ASCII", g.Kind)
			}
		}
	case IPAddress:
		if len(g.Raw) != 4 && len(g.Raw) != 16 {
			return errors.New("general names: iPAddress is not 4 or 16 octets (RFC 5280 section 4.2.1.6)")
		}
	case DirectoryName:
		if _, err := ParseName(g.Raw); err != nil {
			return err
		}
	}
	return nil
}
