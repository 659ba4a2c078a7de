package admin

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// ParseName reads a subject alternative name as lists print it: dns:host.example,
// ip:192.0.2.1, email:a@host.example, uri:https://host.example; without a kind it is a
// DNS name. DNS names are taken in lower case, as they are issued.
func ParseName(text string) (pkix.GeneralName, error) {
	kind, value, ok := strings.Cut(text, ":")
	if !ok {
		kind, value = "dns", text
	}
	switch {
	case value == "":
	case kind == "dns":
		return pkix.DNS(strings.ToLower(value)), nil
	case kind == "ip":
		if a, err := netip.ParseAddr(value); err == nil {
			return pkix.IP(a), nil
		}
	case kind == "email":
		return pkix.GeneralName{Kind: pkix.RFC822Name, Raw: []byte(value)}, nil
	case kind == "uri":
		return pkix.GeneralName{Kind: pkix.URI, Raw: []byte(value)}, nil
	}
	return pkix.GeneralName{}, ca.Errorf(ca.BadRequest, "%q is not a name to look for: write dns:host.example, ip:192.0.2.1, email:a@host.example or uri:https://host.example", clip(text))
}

// ParseSerialStart reads the first digits of a serial number and gives the
// lowest and the highest serial that begin so.
func ParseSerialStart(text string) (first, last ca.Serial, err error) {
	digits := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
	if len(digits) == 0 || len(digits) > 2*ca.SerialSize || strings.Trim(digits, "0123456789abcdef") != "" {
		return first, last, ca.Errorf(ca.BadRequest, "%q is not how a serial number begins: 1 to 32 hexadecimal digits", clip(text))
	}
	missing := 2*ca.SerialSize - len(digits)
	if _, err = hex.Decode(first[:], []byte(digits+strings.Repeat("0", missing))); err == nil {
		_, err = hex.Decode(last[:], []byte(digits+strings.Repeat("f", missing)))
	}
	if err == nil && first[0] >= 0x80 {
		return first, last, ca.Errorf(ca.BadRequest, "no serial number begins with %q: serial numbers are positive", clip(text))
	}
	if last[0] >= 0x80 {
		last[0] = 0x7f
	}
	return first, last, err
}

// ParseKeyID reads a subject key identifier: hexadecimal, colons and spaces ignored.
func ParseKeyID(text string) ([]byte, error) {
	id, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(text))
	if err != nil || len(id) == 0 {
		return nil, ca.Errorf(ca.BadRequest, "%q is not a key identifier: hexadecimal digits, two an octet", clip(text))
	}
	return id, nil
}

// ParseTime reads a day (its start in UTC) or an RFC 3339 time.
func ParseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, ca.Errorf(ca.BadRequest, "%q is not a time: write 2026-01-31 or 2026-01-31T12:00:00Z", clip(text))
}
