package ca

// Observer is told what the Authority does, for counting. Its methods are
// called in the request's goroutine: they must not wait, and may be called at
// the same time. What they are given comes from closed sets (configuration and
// constants), never from a request.
type Observer interface {
	// Issued: a certificate was recorded through the endpoint.
	Issued(e *Endpoint)
	// Refused: a request was not carried out; e is nil where there is no such endpoint.
	Refused(e *Endpoint, k Kind)
	// Signed: a key of a CA was used.
	Signed(tenant, ca string, lane Lane)
	// Discarded: a signature was made that never left.
	Discarded(tenant, ca string)
	// Revoked: the status of a certificate was changed.
	Revoked(tenant, ca string, r Reason)
}

// unobserved counts nothing.
type unobserved struct{}

func (unobserved) Issued(*Endpoint)               {}
func (unobserved) Refused(*Endpoint, Kind)        {}
func (unobserved) Signed(string, string, Lane)    {}
func (unobserved) Discarded(string, string)       {}
func (unobserved) Revoked(string, string, Reason) {}
