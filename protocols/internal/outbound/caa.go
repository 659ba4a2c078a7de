package outbound

import (
	"context"
	"errors"

	"github.com/miekg/dns"
)

// maxCAA is how many CAA records of one name are taken. A name with more is not
// judged by a part of them.
const maxCAA = 64

// CAA is a record of RFC 8659 section 4.1. The octets of Value are as the zone
// has them: whoever shows them quotes them.
type CAA struct {
	Critical bool
	Tag      string
	Value    string
}

// LookupCAA gives the CAA records of just this name, aliases followed as the
// server gives them; none where the name does not exist or has none (RFC 8659
// section 3). Everything else, above all a server that fails, is an *Error of
// kind DNS.
func (r *Resolver) LookupCAA(ctx context.Context, name string) ([]CAA, error) {
	name, err := recordName(name)
	if err != nil {
		return nil, &Error{Kind: DNS, Host: "the record", Reason: ErrName.Error(), Err: err}
	}
	answer := r.query(ctx, name, dns.TypeCAA)[0]
	if answer.err != nil {
		if answer.err.Absent {
			return nil, nil
		}
		return nil, answer.err
	}
	return caaRecords(answer.msg, name)
}

// isAbsent tells whether a server that knows said that there is no such name.
func isAbsent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Absent
}

func caaRecords(msg *dns.Msg, name string) (all []CAA, err error) {
	found, whole := chainRecords(msg, name, dns.TypeCAA)
	if !whole {
		return nil, &Error{Kind: DNS, Host: name, Reason: "its aliases do not come to an end"}
	}
	for _, rr := range found {
		if record, ok := rr.(*dns.CAA); ok {
			all = append(all, CAA{record.Flag&128 != 0, record.Tag, record.Value})
		}
	}
	if len(all) > maxCAA {
		return nil, &Error{Kind: DNS, Host: name, Reason: "it has more than 64 CAA records"}
	}
	return all, nil
}
