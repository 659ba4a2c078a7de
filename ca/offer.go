package ca

import "github.com/enrollgate/enrollgate/ca/pkix"

// Offer is what a profile wants and takes of a request, for doors that tell their
// clients before they ask.
type Offer struct {
	Keys     []string   // subject keys: as pkix.PublicKey.Algorithm writes them, and rsa>=N for N bits and more; the first is the first written
	Subject  []pkix.OID // subject attributes that a request must bring, in the order of the profile
	AltNames []string   // types of subject alternative names that a request must bring: "dns", "ip", ... as profiles write them
	Made     []string   // subject keys that are made here for who asks, the first written first; empty: none
	Manual   bool       // requests wait for an operator's approval
}

// Offer says what may be asked for at an endpoint. NotFound where there is none.
func (a *Authority) Offer(endpoint string) (Offer, error) {
	e, ok := a.endpoints[endpoint]
	if !ok {
		return Offer{}, Errorf(NotFound, "there is no such endpoint")
	}
	return a.policy.Offer(e)
}
