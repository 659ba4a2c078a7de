package ca

import "time"

// Result is the answer to one Request.
type Result struct {
	Certificate *Certificate
	Chain       [][]byte // DER of the issuers, the signing one first, without a self-signed root
	Replayed    bool     // recorded earlier under the same transaction
	Err         error    // *Error or *LostEffect; Certificate and Chain are then empty

	Request string    // id of the request where it was parked; Err is then Pending until it ends
	Until   time.Time // when it expires
}

// Refusal is Err, or Conflict where the recorded certificate that answers a repeated
// request is not in force any more: for doors whose clients get a certificate in
// the answer, and not a place to fetch it from.
func (r *Result) Refusal() error {
	if r.Err == nil && r.Replayed && r.Certificate.State != Issued {
		return Errorf(Conflict, "this very request was answered with a certificate that is %s now; make another key", r.Certificate.State)
	}
	return r.Err
}
