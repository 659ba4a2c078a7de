package claim

import "github.com/enrollgate/enrollgate/ca/caller"

// row is one permitted combination: a door may bring a claim of this kind when
// it was verified by this method.
type row struct {
	door   caller.Door
	method Method
	kind   Kind
}

// table is closed: what is not listed is refused before anything is decided,
// whatever a door handed in.
var table = map[row]bool{
	{caller.ACME, HTTP01, DNS}:    true,
	{caller.ACME, HTTP01, IP}:     true, // RFC 8738 section 4
	{caller.ACME, DNS01, DNS}:     true,
	{caller.ACME, TLSALPN01, DNS}: true,
	{caller.ACME, TLSALPN01, IP}:  true, // RFC 8738 section 6

	{caller.ACME, DNSAccount01, DNS}:         true,
	{caller.ACME, DNSPersist01, DNS}:         true,
	{caller.ACME, DeviceAttest01, Permanent}: true,
	{caller.ACME, DeviceAttest01, Hardware}:  true,
	{caller.ACME, DeviceAttest01, Serial}:    true,
	{caller.ACME, DeviceAttest01, Attested}:  true,

	{caller.ACME, Credential, Principal}: true, // of the external account
	{caller.ACME, Credential, Serial}:    true,
	{caller.EST, Credential, Principal}:  true,
	{caller.EST, Credential, Serial}:     true,
	{caller.EST, Certificate, Serial}:    true, // of an IDevID, or of the certificate that is renewed
	{caller.EST, Certificate, Hardware}:  true,
	{caller.EST, Certificate, Permanent}: true, // of the certificate that is renewed, as all below
	{caller.EST, Certificate, DNS}:       true,
	{caller.EST, Certificate, IP}:        true,
	{caller.EST, Certificate, Email}:     true,
	{caller.EST, Certificate, URI}:       true,

	{caller.SCEP, Credential, Principal}:  true,
	{caller.SCEP, Credential, Serial}:     true,
	{caller.SCEP, Certificate, Serial}:    true, // of the certificate that is renewed, as all below
	{caller.SCEP, Certificate, Hardware}:  true,
	{caller.SCEP, Certificate, Permanent}: true,
	{caller.SCEP, Certificate, DNS}:       true,
	{caller.SCEP, Certificate, IP}:        true,
	{caller.SCEP, Certificate, Email}:     true,
	{caller.SCEP, Certificate, URI}:       true,

	{caller.System, Service, DNS}: true,
	{caller.System, Service, IP}:  true,
}

// Permitted tells whether a door may bring a claim of this kind verified by this method.
func Permitted(door caller.Door, method Method, kind Kind) bool {
	return table[row{door, method, kind}]
}
