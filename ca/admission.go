package ca

import (
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
)

// permitted holds a claim against the closed table of door, method and kind.
func permitted(e *Endpoint, c claim.Claim) bool {
	return claim.Permitted(e.Door, c.Method(), c.Kind())
}

// boundEndpoint is the endpoint a caller must have been authenticated at;
// the daemon's own services are authenticated at none.
func boundEndpoint(e *Endpoint) string {
	if e.Door == caller.System {
		return ""
	}
	return e.Recorded()
}
