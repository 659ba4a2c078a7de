package claim

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// CheckDNSName accepts a lower-case DNS name of LDH labels (RFC 1034 section
// 3.5, RFC 5890 A-labels), 1 to 253 octets, not an IP address, optionally with
// one leading wildcard label (RFC 8555 section 7.1.3).
func CheckDNSName(name string) error {
	bare := strings.TrimPrefix(name, "*.")
	if len(bare) == 0 || len(name) > 253 {
		return fmt.Errorf("dns name %q is empty or longer than 253 octets", clip(name))
	}
	if _, err := netip.ParseAddr(bare); err == nil {
		return fmt.Errorf("dns name %q is an IP address", clip(name))
	}
	labels := strings.Split(bare, ".")
	for _, label := range labels {
		if len(label) == 0 || len(label) > 63 {
			return fmt.Errorf("dns name %q has a label that is empty or longer than 63 octets", clip(name))
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("dns name %q has a label that starts or ends with a hyphen", clip(name))
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return fmt.Errorf("dns name %q holds a character other than a-z, 0-9, hyphen and underscore", clip(name))
			}
		}
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("dns name %q ends in an all-numeric label", clip(name)) // reads as an address: RFC 3696 section 2
	}
	return nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// CheckEmail accepts a bare ASCII mailbox: a local part of printable characters
// without spaces, quotes and brackets, at most 64 octets, and a DNS name (RFC
// 5280 section 4.2.1.6, RFC 5321 section 4.5.3.1).
func CheckEmail(mailbox string) error {
	local, host, found := strings.Cut(mailbox, "@")
	if !found || local == "" || len(local) > 64 {
		return errors.New("an email address is a local part of at most 64 octets, @ and a domain")
	}
	for i := 0; i < len(local); i++ {
		if c := local[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),:;<>@[\]`, c) >= 0 {
			return errors.New("the local part of an email address holds a character that is not issued")
		}
	}
	if strings.HasPrefix(host, "*.") {
		return errors.New("an email address has no wildcard")
	}
	return CheckDNSName(strings.ToLower(host))
}

// CheckURI accepts an absolute ASCII URI with a scheme and something after it;
// where it has an authority, its host is a DNS name or an address (RFC 5280
// section 4.2.1.6).
func CheckURI(text string) error {
	for i := 0; i < len(text); i++ {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return errors.New("a URI holds printable ASCII without spaces")
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || len(text) == len(u.Scheme)+1 {
		return errors.New("a URI begins with its scheme and says something after it")
	}
	if !strings.Contains(text, "//") || u.Opaque != "" {
		return nil
	}
	if host := strings.ToLower(u.Hostname()); strings.HasPrefix(host, "*.") {
		return errors.New("the host of a URI has no wildcard")
	} else if host != "" && CheckDNSName(host) != nil {
		if _, err := netip.ParseAddr(host); err != nil {
			return errors.New("the host of a URI is a DNS name or an address")
		}
	} else if host == "" && u.Scheme != "file" && strings.HasPrefix(text[len(u.Scheme)+1:], "//") {
		return errors.New("a URI with // names a host")
	}
	return nil
}
