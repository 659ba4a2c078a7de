package claim

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// shownLasts is how long what a client certificate says counts after it was
// shown: one request.
const shownLasts = time.Hour

// shown reads the certificate that a caller came with; der must be that one.
func shown(v Verifier, who caller.Caller, der []byte) (*pkix.Certificate, error) {
	if !who.Verified() || v.door != who.Door() {
		return nil, fmt.Errorf("claim: a verifier of door %q cannot make claims of a caller of door %q", v.door, who.Door())
	}
	if hash, ok := who.Shown(); !ok || hash != sha256.Sum256(der) {
		return nil, errors.New("claim: the caller has not shown this certificate")
	}
	return pkix.ParseCertificate(der)
}

// FromHandshake is the possession of the key of the client certificate that a
// caller came with: the TLS handshake ended with a signature by it (RFC 8446
// section 4.4.3, RFC 5246 section 7.4.8).
func FromHandshake(v Verifier, who caller.Caller, der []byte) (Possession, error) {
	c, err := shown(v, who, der)
	if err != nil {
		return Possession{}, err
	}
	return Possession{key: c.Key, method: "tls-handshake"}, nil
}

// FromMessage is the possession of the key of the certificate that a caller came
// with: it signed the message that the request is in, and the door verified that
// (RFC 8894 section 3.3.1).
func FromMessage(v Verifier, who caller.Caller, der []byte) (Possession, error) {
	if v.door != caller.SCEP {
		return Possession{}, fmt.Errorf("claim: a verifier of door %q verifies no messages", v.door)
	}
	c, err := shown(v, who, der)
	if err != nil {
		return Possession{}, err
	}
	return Possession{key: c.Key, method: "message-signature"}, nil
}

// FromClientCertificate makes claims of what the client certificate of a caller
// says. A device certificate proves the serialNumber of its subject and hardware
// module names (IEEE 802.1AR section 8.6, RFC 4108 section 5); one of ours proves
// these and its other names, as far as the closed table has them.
func FromClientCertificate(v Verifier, who caller.Caller, der []byte) ([]Claim, error) {
	c, err := shown(v, who, der)
	if err != nil {
		return nil, err
	}
	var out []Claim
	add := func(kind Kind, name pkix.GeneralName, text string) {
		if Permitted(v.door, Certificate, kind) {
			hash := sha256.Sum256(der)
			out = append(out, Claim{&fact{kind, name, v.door, Certificate, fmt.Sprintf("%x", hash[:10]), who.ID(), who.At(), who.At().Add(shownLasts), text}})
		}
	}
	serial, err := subjectSerial(c)
	if err != nil {
		return nil, err
	}
	if serial != "" {
		add(Serial, pkix.GeneralName{}, serial)
	}
	names, err := c.AltNames()
	if err != nil {
		return nil, err
	}
	ours := slices.Contains(who.Methods(), caller.Certificate)
	for _, n := range names {
		if kind, ok := kindOf(n); ok && (ours || kind == Hardware) {
			add(kind, n, "")
		}
	}
	return out, nil
}

// subjectSerial is the one serialNumber of a certificate's subject; "" for none.
func subjectSerial(c *pkix.Certificate) (serial string, err error) {
	rdns, err := pkix.ParseName(c.Subject)
	if err != nil {
		return "", err
	}
	id, _ := pkix.AttributeOID("SERIALNUMBER")
	for _, rdn := range rdns {
		for _, a := range rdn {
			if !a.Type.Equal(id) {
				continue
			}
			text, ok := a.Text()
			if !ok || serial != "" {
				return "", errors.New("claim: the certificate's subject has more than one serialNumber, or one that is no text")
			}
			if _, serial, err = valueOf(Serial, text); err != nil {
				return "", err
			}
		}
	}
	return serial, nil
}

// kindOf is the kind of claim that a name can be. What could not be issued is none.
func kindOf(n pkix.GeneralName) (Kind, bool) {
	switch n.Kind {
	case pkix.DNSName:
		return DNS, CheckDNSName(string(n.Raw)) == nil
	case pkix.IPAddress:
		return IP, len(n.Raw) == 4 || len(n.Raw) == 16
	case pkix.RFC822Name:
		return Email, CheckEmail(string(n.Raw)) == nil
	case pkix.URI:
		return URI, CheckURI(string(n.Raw)) == nil
	case pkix.OtherName:
		if _, _, ok := n.PermanentIdentifier(); ok {
			return Permanent, true
		}
		_, _, ok := n.HardwareModule()
		return Hardware, ok
	}
	return "", false
}
