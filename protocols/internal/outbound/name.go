package outbound

import (
	"errors"
	"net/netip"
	"strings"
)

// ErrName says that a text is not a DNS host name.
var ErrName = errors.New("not a DNS host name")

// CanonicalName gives host in lower case without a trailing dot. It returns
// ErrName unless host is a name of letters, digits and hyphens (RFC 1123 section
// 2.1, RFC 1035 section 2.3.4: labels of at most 63 octets, 253 in all). IP
// literals are refused, in the old shapes too ("127.1", "0x7f000001"): a last
// label that reads as a number is never a name. Internationalized names are
// taken as A-labels alone.
func CanonicalName(host string) (string, error) {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > 253 {
		return "", ErrName
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return "", ErrName
	}
	host = strings.ToLower(host)
	var last string
	for label := range strings.SplitSeq(host, ".") {
		if !isLabel(label) {
			return "", ErrName
		}
		last = label
	}
	if isNumber(last) {
		return "", ErrName
	}
	return host, nil
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// isNumber tells whether a resolver of the old school would read label as an
// octet of an IPv4 address, in decimal, octal or hexadecimal.
func isNumber(label string) bool {
	if digits, hex := strings.CutPrefix(label, "0x"); hex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}

// isLocalhost tells whether name is localhost or below it (RFC 6761 section 6.3).
func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
