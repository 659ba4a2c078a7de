package outbound

import (
	"context"
	"strings"

	"github.com/miekg/dns"
)

// maxTexts is how many TXT records of one name are kept. The octets are bounded by
// the message: 64 KiB over TCP.
const maxTexts = 64

// LookupTXT gives the TXT records of name, each as one text: its strings joined
// (RFC 7208 section 3.3 does the same), octets other than printable ASCII as \DDD.
// The question goes to the servers in order until one answers; nothing is kept for
// the next call, so that a record which appears is seen at once. Of more than 64
// records the first 64 are given. The error is an *Error of kind DNS.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	name, err := recordName(name)
	if err != nil {
		return nil, &Error{Kind: DNS, Host: "the record", Reason: ErrName.Error(), Err: err}
	}
	answer := r.query(ctx, name, dns.TypeTXT)[0]
	if answer.err != nil {
		return nil, answer.err
	}
	return textRecords(answer.msg, name)
}

func textRecords(msg *dns.Msg, name string) ([]string, error) {
	var texts []string
	for _, rr := range records(msg, name, dns.TypeTXT) {
		if txt, ok := rr.(*dns.TXT); ok && len(texts) < maxTexts {
			texts = append(texts, strings.Join(txt.Txt, ""))
		}
	}
	if len(texts) == 0 {
		return nil, &Error{Kind: DNS, Host: name, Reason: "it has no TXT record"}
	}
	return texts, nil
}

// recordName is CanonicalName for names that own records without being hosts: a
// label may also hold underscores (RFC 8552 section 1.1).
func recordName(name string) (string, error) {
	canonical := strings.ToLower(strings.TrimSuffix(name, "."))
	// An underscore is permitted where a letter is.
	if _, err := CanonicalName(strings.ReplaceAll(canonical, "_", "x")); err != nil {
		return "", err
	}
	return canonical, nil
}
