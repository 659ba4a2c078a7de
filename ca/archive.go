package ca

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// MaxFound bounds the rows of one answer of an Archive.
const MaxFound = 1000

// Archive answers operators: what was issued, and what happened to it. It only
// reads. Every method takes the tenant and never sees another tenant's rows.
type Archive interface {
	// FindCertificates gives the certificates of one CA that a filter lets
	// through, by rising serial number, which is by month of expiry first. What
	// comes after the last row of a full page is found with Filter.After.
	// BadRequest for a filter without tenant or CA, or with another limit than 1 to MaxFound.
	FindCertificates(ctx context.Context, f *Filter) ([]Certificate, error)

	// Revocation gives the current status of a certificate whose status ever
	// changed; Position stays zero. NotFound where it never did.
	Revocation(ctx context.Context, tenant, ca string, serial Serial) (*Status, error)

	// AuditByTrace gives the audit rows of one trace id, oldest first, at most MaxFound.
	AuditByTrace(ctx context.Context, tenant, trace string) ([]Audit, error)

	// AuditOf gives the audit rows whose detail names a serial, oldest first and
	// at most MaxFound, without the issuance: that is found by the certificate's trace id.
	AuditOf(ctx context.Context, tenant string, serial Serial) ([]Audit, error)
}

// Filter says which certificates are looked for. Zero fields but Tenant, CA and
// Limit let everything through; what is set must hold together.
type Filter struct {
	Tenant, CA string
	First      Serial // the lowest serial; zero: any
	Last       Serial // the highest serial; zero: any
	After      Serial // only higher serials, to turn pages; zero: from the start
	Subject    string // exactly as printed by pkix.RawName
	Name       pkix.GeneralName
	NameSuffix bool // a subject alternative name ends in Name.Raw instead of being it
	Profile    string
	Requester  string // caller id
	KeyID      []byte // subject key identifier
	State      State
	ExpiresIn  Window // by notAfter
	Limit      int    // 1 to MaxFound
}

// Window is a span of time; a zero bound is none.
type Window struct {
	From time.Time // included
	To   time.Time // not included
}

// Check says what a driver cannot answer, as BadRequest.
func (f *Filter) Check() error {
	switch {
	case f.Tenant == "" || f.CA == "":
		return Errorf(BadRequest, "certificates are looked for in one CA of one tenant")
	case f.Limit < 1 || f.Limit > MaxFound:
		return Errorf(BadRequest, "a page has 1 to %d certificates", MaxFound)
	case f.NameSuffix && f.Name.Kind != pkix.DNSName && f.Name.Kind != pkix.RFC822Name && f.Name.Kind != pkix.URI:
		return Errorf(BadRequest, "only DNS names, mail addresses and URIs are looked for by how they end")
	}
	return nil
}

// Serials gives the lowest and the highest serial that First, Last, After and
// the window of expiry leave. The range is empty where the lowest is higher.
func (f *Filter) Serials() (first, last Serial) {
	first, last = f.First, f.Last
	if last == (Serial{}) {
		for i := range last {
			last[i] = 0xff
		}
		last[0] = 0x7f
	}
	if after := f.After; after != (Serial{}) {
		for i := SerialSize - 1; i >= 0; i-- { // the next one
			after[i]++
			if after[i] != 0 {
				break
			}
		}
		first = higher(first, after)
	}
	if from := f.ExpiresIn.From; !from.IsZero() {
		m := MonthOf(from)
		first = higher(first, Serial{byte(m >> 8), byte(m)})
	}
	if to := f.ExpiresIn.To; !to.IsZero() && MonthOf(to) != monthOverflow {
		m := MonthOf(to)
		end := Serial{byte(m >> 8), byte(m)}
		for i := 2; i < SerialSize; i++ {
			end[i] = 0xff
		}
		if higher(last, end) == last {
			last = end
		}
	}
	return first, last
}

func higher(a, b Serial) Serial {
	if string(a[:]) > string(b[:]) {
		return a
	}
	return b
}
