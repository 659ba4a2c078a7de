package ca

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// RenewalWindow is when an operator wants a certificate to be renewed.
type RenewalWindow struct {
	Tenant, CA  string
	Serial      Serial
	Start, End  time.Time // whole seconds, Start before End
	Explanation string    // URL of a page that says why; may be empty
	Expires     time.Time // of the certificate: the window goes with it
}

// Renewals keeps the windows that operators set.
type Renewals interface {
	// SetRenewalWindows puts windows of one tenant, at most one a certificate, in
	// place of earlier ones, in one commit with an audit row.
	SetRenewalWindows(ctx context.Context, tenant string, windows []RenewalWindow, a Audit) error
	// RenewalWindow finds the window of a certificate, or NotFound.
	RenewalWindow(ctx context.Context, tenant, ca string, serial Serial) (*RenewalWindow, error)
	// SweepRenewals deletes what is kept about the renewal of certificates that
	// have expired: windows, and which orders replaced them. Lease, limit and
	// count are those of Upkeep.
	SweepRenewals(ctx context.Context, l *Lease, limit int) (int64, error)
}

// shortLived is the validity below which half of it must be left for renewal
// instead of a third: ten days, as for certificates without revocation
// information (RFC 9608).
const shortLived = 10 * 24 * time.Hour

// pastWindow is how long the window of a revoked certificate is: it ends when the
// certificate begins. Clients take no window of a second or none (RFC 9773 section
// 4.2: an end that does not follow the start is malformed), such as acmez.
const pastWindow = time.Hour

// SuggestRenewal gives the window in which a certificate is best renewed
// (RFC 9773 section 4.2): now, that is a window in the past, where it was revoked;
// the operator's where there is one; else a quarter of the last third of
// its validity (of the last half, where that is short), which begins somewhere in
// the third's first half. Where is derived from the serial number, so that
// certificates that were issued together are not renewed together and the
// answer is the same every time. Where a profile takes renewals only from a time on,
// what is left then is the last third. A held certificate is as one that is not.
func SuggestRenewal(c *Certificate, operator *RenewalWindow, from time.Time) (start, end time.Time) {
	validity := c.NotAfter.Sub(c.NotBefore)
	last := validity / 3
	if validity < shortLived {
		last = validity / 2
	}
	if from.After(c.NotBefore) && from.Before(c.NotAfter) {
		last = min(last, c.NotAfter.Sub(from))
	}
	switch {
	case c.State == Revoked:
		return c.NotBefore.Add(-pastWindow), c.NotBefore
	case operator != nil:
		return operator.Start, operator.End
	}
	start = c.NotAfter.Add(-last).Add(Spread(c.Serial, last/2)).Truncate(time.Second)
	if start.Before(from) {
		start = from
	}
	return start, start.Add(max(last/4, time.Second)).Truncate(time.Second)
}

// Spread gives a share of a period that depends on the serial number alone:
// those of many certificates are spread over it evenly.
func Spread(s Serial, period time.Duration) time.Duration {
	digest := sha256.Sum256(s[:])
	share := float64(binary.BigEndian.Uint32(digest[:4])) / (1 << 32)
	return time.Duration(share * float64(period))
}
