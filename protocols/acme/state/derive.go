package state

import (
	"errors"
	"time"
)

// ErrNonce says that the request's nonce was used before; nothing was changed.
var ErrNonce = errors.New("the nonce was used before")

// At gives the status of an authorization at a time: a pending or valid one
// past its expiry is expired (RFC 8555 section 7.1.6).
func (a *Authorization) At(now time.Time) Status {
	if (a.Status == Pending || a.Status == Valid) && !now.Before(a.Expires) {
		return Expired
	}
	return a.Status
}

// At gives the status of an order at a time, from its stored status and its
// authorizations (RFC 8555 section 7.1.6).
func (o *Order) At(now time.Time, authorizations []*Authorization) Status {
	if o.Status != Pending {
		return o.Status
	}
	if !now.Before(o.Expires) {
		return Invalid
	}
	status := Ready
	for _, a := range authorizations {
		switch a.At(now) {
		case Valid:
		case Pending:
			status = Pending
		default:
			return Invalid
		}
	}
	return status
}
