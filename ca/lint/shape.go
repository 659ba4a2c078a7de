package lint

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// shape is a digest of everything but the values that differ between two
// certificates of one kind: the serial, the dates, the key bits and the
// identifier made of them, the values of subject attributes, and those of
// subjectAltName. Every other extension counts with all its bytes.
func (c *certificate) shape() [sha256.Size]byte {
	b := make(description, 0, 1024)
	b.octets(c.Algorithm.DER())
	b.octets(c.Issuer)
	b = append(b, byte(c.times[0].tag), byte(c.times[1].tag), flag(c.selfSigned()))
	b.octets([]byte(c.Key.Algorithm()))
	if k, ok := c.Key.Parsed().(*rsa.PublicKey); ok {
		b.number(k.N.BitLen())
	}
	b.number(len(c.rdns))
	for _, rdn := range c.rdns {
		b.number(len(rdn))
		for _, a := range rdn {
			b.oid(a.Type)
			b = append(b, a.Tag)
		}
	}
	for _, e := range c.Extensions {
		b.oid(e.ID)
		b = append(b, flag(e.Critical))
		switch {
		case e.ID.Equal(pkix.OIDSubjectKeyID):
			b.number(len(e.Value))
		case e.ID.Equal(pkix.OIDSubjectAltName):
			kinds := c.nameKinds()
			b = append(b, kinds[:]...)
		default:
			b.octets(e.Value)
		}
	}
	return sha256.Sum256(b)
}

// nameKinds tells for each kind of name whether there is none, one, or more.
func (c *certificate) nameKinds() (kinds [16]byte) {
	for _, n := range c.names {
		if k := &kinds[int(n.Kind)%len(kinds)]; *k < 2 {
			*k++
		}
	}
	return kinds
}

// description is what the digest is made of. Everything in it is written
// together with its length, so that no two shapes run together.
type description []byte

func (d *description) number(n int) { *d = binary.BigEndian.AppendUint32(*d, uint32(n)) }

func (d *description) octets(o []byte) {
	d.number(len(o))
	*d = append(*d, o...)
}

func (d *description) oid(id pkix.OID) {
	d.number(len(id))
	for _, arc := range id {
		*d = binary.BigEndian.AppendUint64(*d, uint64(arc))
	}
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// selfSigned tells whether the key that is certified will sign: the names are
// the same, and so is the key identifier where the issuer's is named.
func (c *certificate) selfSigned() bool {
	if !bytes.Equal(c.Subject, c.Issuer) {
		return false
	}
	e, named := pkix.FindExtension(c.Extensions, pkix.OIDAuthorityKeyID)
	return !named || bytes.Contains(e.Value, c.Key.KeyID())
}

// plain tells whether each value is of a form on which no rule that reads
// values fires when the checks of our own have passed. A test holds the two
// against each other.
func (c *certificate) plain() bool {
	for _, rdn := range c.rdns {
		for _, a := range rdn {
			if !plainAttribute(a) {
				return false
			}
		}
	}
	for _, n := range c.names {
		if !plainName(n) {
			return false
		}
	}
	return true
}

var oidPostalCode = pkix.OID{2, 5, 4, 17}

// plainAttribute: UTF8String, PrintableString or IA5String, not too long for
// any rule, no space at either end.
func plainAttribute(a pkix.Attribute) bool {
	limit := 64
	if a.Type.Equal(oidPostalCode) {
		limit = 16
	}
	switch casn1.Tag(a.Tag) {
	case casn1.UTF8String, casn1.PrintableString, casn1.IA5String:
		text := string(a.Value)
		return len(text) <= limit && strings.TrimSpace(text) == text
	}
	return false
}

// plainName: addresses, DNS names that are not internationalized, and
// mailboxes whose local part needs no quoting (RFC 5321 section 4.1.2).
func plainName(n pkix.GeneralName) bool {
	switch text := string(n.Raw); n.Kind {
	case pkix.IPAddress:
		return true
	case pkix.DNSName:
		return !strings.Contains(text, "--")
	case pkix.RFC822Name:
		local, host, _ := strings.Cut(text, "@")
		for _, atom := range strings.Split(local, ".") {
			if atom == "" || strings.Trim(atom, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-") != "" {
				return false
			}
		}
		return !strings.Contains(host, "--") && !strings.HasPrefix(host, "*") && claim.CheckDNSName(host) == nil
	}
	return false
}
