package pkix

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// NameConstraints says which names a CA may certify, and those below it (RFC
// 5280 section 4.2.1.10). The bases are kept as GeneralName; one of kind
// IPAddress holds address and mask, 8 or 32 octets.
type NameConstraints struct {
	Permitted, Excluded []GeneralName
}

// Subtree makes a base from a kind and text: a DNS name, a mailbox or its host,
// the host of a URI, or an address prefix such as 192.0.2.0/24. Directory names
// come encoded: see GeneralName.
func Subtree(kind NameKind, text string) (GeneralName, error) {
	switch kind {
	case DNSName, RFC822Name, URI:
		return GeneralName{kind, []byte(text)}, checkBase(kind, []byte(text))
	case IPAddress:
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Masked() != p || p.Addr().Is4In6() {
			return GeneralName{}, fmt.Errorf("name constraints: %q is not an address prefix such as 192.0.2.0/24", text)
		}
		mask := make([]byte, p.Addr().BitLen()/8)
		for i := range p.Bits() {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		return GeneralName{kind, append(p.Addr().AsSlice(), mask...)}, nil
	}
	return GeneralName{}, fmt.Errorf("name constraints: no %s from text", kind)
}

// MarshalNameConstraints encodes the critical nameConstraints extension.
func MarshalNameConstraints(c *NameConstraints) (Extension, error) {
	if len(c.Permitted)+len(c.Excluded) == 0 {
		return Extension{}, errors.New("name constraints: no subtree (RFC 5280 section 4.2.1.10)")
	}
	value, err := sequence(func(b *cryptobyte.Builder) {
		for tag, subtrees := range [][]GeneralName{c.Permitted, c.Excluded} {
			if len(subtrees) == 0 {
				continue
			}
			b.AddASN1(casn1.Tag(tag).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				for _, base := range subtrees {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(base.Kind.tag(), func(b *cryptobyte.Builder) { b.AddBytes(base.Raw) })
					})
				}
			})
		}
	})
	return Extension{ID: OIDNameConstraints, Critical: true, Value: value}, err
}

// ParseNameConstraints reads the value of a nameConstraints extension, at most
// 256 subtrees of each kind. Distances other than the default are refused (RFC
// 5280 section 4.2.1.10: minimum is 0 and maximum absent).
func ParseNameConstraints(value []byte) (*NameConstraints, error) {
	in := cryptobyte.String(value)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, casn1.SEQUENCE) || !in.Empty() {
		return nil, errors.New("name constraints: not one SEQUENCE")
	}
	c := &NameConstraints{}
	for tag, out := range []*[]GeneralName{&c.Permitted, &c.Excluded} {
		var list cryptobyte.String
		var present bool
		if !seq.ReadOptionalASN1(&list, &present, casn1.Tag(tag).ContextSpecific().Constructed()) || present && list.Empty() {
			return nil, errors.New("name constraints: malformed subtrees")
		}
		for !list.Empty() {
			base, err := readSubtree(&list)
			if err != nil {
				return nil, err
			}
			if *out = append(*out, base); len(*out) > maxGeneralNames {
				return nil, fmt.Errorf("name constraints: more than %d subtrees", maxGeneralNames)
			}
		}
	}
	if !seq.Empty() || len(c.Permitted)+len(c.Excluded) == 0 {
		return nil, errors.New("name constraints: no subtree, or trailing bytes")
	}
	return c, nil
}

func readSubtree(list *cryptobyte.String) (GeneralName, error) {
	var subtree, base cryptobyte.String
	var tag casn1.Tag
	if !list.ReadASN1(&subtree, casn1.SEQUENCE) || !subtree.ReadAnyASN1(&base, &tag) {
		return GeneralName{}, errors.New("name constraints: malformed subtree")
	}
	if !subtree.Empty() {
		return GeneralName{}, errors.New("name constraints: a subtree with minimum or maximum (RFC 5280 section 4.2.1.10)")
	}
	kind := NameKind(tag & 0x1f)
	if kind > RegisteredID || tag != kind.tag() {
		return GeneralName{}, fmt.Errorf("name constraints: unknown tag 0x%02x", uint8(tag))
	}
	return GeneralName{kind, base}, checkBase(kind, base)
}

// checkBase is like GeneralName.check, with what a base may be besides: an empty
// text stands for every name, and an address comes with its mask.
func checkBase(kind NameKind, raw []byte) error {
	switch {
	case kind == IPAddress:
		n := len(raw) / 2
		if len(raw) != 8 && len(raw) != 32 {
			return errors.New("name constraints: iPAddress is not address and mask of 8 or 32 octets")
		}
		ones := true
		for i := range n * 8 {
			set := raw[n+i/8]&(0x80>>(i%8)) != 0
			if set && !ones {
				return errors.New("name constraints: the mask of an iPAddress is not a prefix")
			}
			ones = set
		}
		return nil
	case len(raw) == 0 && (kind == DNSName || kind == RFC822Name || kind == URI):
		return nil
	}
	return GeneralName{kind, raw}.check()
}

// Check holds a subject and names against the constraints. The error says which
// name is outside, or cannot be compared. emailAddress attributes of the subject
// count where no name is an rfc822Name.
func (c *NameConstraints) Check(subject RawName, names []GeneralName) error {
	all := slices.Clone(names)
	if !subject.Empty() {
		all = append(all, GeneralName{DirectoryName, subject})
	}
	if !slices.ContainsFunc(names, func(n GeneralName) bool { return n.Kind == RFC822Name }) {
		rdns, err := ParseName(subject)
		if err != nil && len(subject) > 0 {
			return err
		}
		for _, a := range slices.Concat(rdns...) {
			if text, ok := a.Text(); ok && AttributeName(a.Type) == "Email" {
				all = append(all, GeneralName{RFC822Name, []byte(text)})
			}
		}
	}
	for _, n := range all {
		if err := c.checkName(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *NameConstraints) checkName(n GeneralName) error {
	limited, inside := false, false
	for _, base := range c.Permitted {
		if base.Kind != n.Kind {
			continue
		}
		within, err := n.within(base, false)
		if err != nil {
			return err
		}
		limited, inside = true, inside || within
	}
	if limited && !inside {
		return fmt.Errorf("%s is outside of the permitted subtrees", n)
	}
	for _, base := range c.Excluded {
		if base.Kind != n.Kind {
			continue
		}
		if within, err := n.within(base, true); err != nil || within {
			return errors.Join(err, fmt.Errorf("%s is in an excluded subtree", n))
		}
	}
	return nil
}

// within tells whether a name is below a base of its kind. A wildcard is within
// an excluded base where one of the names it stands for is.
func (n GeneralName) within(base GeneralName, excluded bool) (bool, error) {
	text, want := strings.ToLower(string(n.Raw)), strings.ToLower(string(base.Raw))
	switch n.Kind {
	case DNSName:
		if parent, wild := strings.CutPrefix(text, "*."); wild && excluded {
			if _, above, ok := strings.Cut(strings.TrimPrefix(want, "."), "."); ok && above == parent {
				return true, nil
			}
		}
		return want == "" || strings.HasSuffix(text, "."+strings.TrimPrefix(want, ".")) || text == want, nil
	case RFC822Name:
		at := strings.LastIndexByte(text, '@')
		if at < 0 {
			return false, fmt.Errorf("%s is not a mailbox", n)
		}
		if box := strings.LastIndexByte(want, '@'); box >= 0 { // the local part is compared as it is written
			return string(n.Raw[:at]) == string(base.Raw[:box]) && text[at:] == want[box:], nil
		}
		return hostWithin(text[at+1:], want), nil
	case URI:
		u, err := url.Parse(string(n.Raw))
		if err != nil || u.Hostname() == "" {
			return false, fmt.Errorf("%s has no host to compare with the constraint (RFC 5280 section 4.2.1.10)", n)
		}
		if _, err := netip.ParseAddr(u.Hostname()); err == nil {
			return false, fmt.Errorf("%s names an address, which no constraint of URIs covers (RFC 5280 section 4.2.1.10)", n)
		}
		return hostWithin(strings.ToLower(u.Hostname()), want), nil
	case IPAddress:
		return addressWithin(n.Raw, base.Raw), nil
	case DirectoryName:
		return nameWithin(n.Raw, base.Raw)
	}
	return false, fmt.Errorf("%s cannot be compared with the constraint on names of that kind", n)
}

// hostWithin: a base with a leading dot stands for hosts below it, another one
// for that host (RFC 5280 section 4.2.1.10).
func hostWithin(host, base string) bool {
	return base == "" || host == base || strings.HasPrefix(base, ".") && strings.HasSuffix(host, base)
}

func addressWithin(address, base []byte) bool {
	n := len(base) / 2
	if len(address) != n {
		return false
	}
	for i := range n {
		if (address[i]^base[i])&base[n+i] != 0 {
			return false
		}
	}
	return true
}

// nameWithin: the first RDNs of the name are those of the base (RFC 5280 section 7.1).
func nameWithin(name, base []byte) (bool, error) {
	have, err := ParseName(name)
	if err != nil {
		return false, err
	}
	want, err := ParseName(base)
	if err != nil || len(want) > len(have) {
		return false, err
	}
	return slices.EqualFunc(have[:len(want)], want, sameRDN), nil
}

// sameRDN compares texts without regard to case and repeated blanks.
func sameRDN(a, b RDN) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		if !slices.ContainsFunc(b, func(y Attribute) bool {
			s, isText := x.Text()
			t, both := y.Text()
			if !x.Type.Equal(y.Type) || !isText || !both {
				return x.Type.Equal(y.Type) && bytes.Equal(x.Value, y.Value)
			}
			return strings.EqualFold(strings.Join(strings.Fields(s), " "), strings.Join(strings.Fields(t), " "))
		}) {
			return false
		}
	}
	return true
}
