package va

import (
	"time"

	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// Record is what a validation did, for the audit. It is complete up to the point
// of failure when the validation failed. URLs hold text that targets chose: at most
// 2 KiB each, percent-encoded, and not for the requester's eyes.
type Record struct {
	Hops []Hop      `json:"hops,omitempty"` // of http-01
	DNS  *DNSAnswer `json:"dns,omitempty"`  // of the challenges by TXT records
	TLS  *TLSAnswer `json:"tls,omitempty"`  // of tls-alpn-01

	Vantages    *Vantages          `json:"vantages,omitempty"` // of a quorum
	Until       time.Time          `json:"until,omitzero"`     // after which the proof does not count, where the record in the zone says so
	Attestation *state.Attestation `json:"-"`                  // of device-attest-01; the challenge keeps it
}

// TLSAnswer is what was asked for over TLS and what came back.
type TLSAnswer struct {
	ServerName  string        `json:"server_name"` // as sent
	Port        uint16        `json:"port"`
	Path        outbound.Path `json:"path"`
	Certificate []byte        `json:"certificate_sha256,omitempty"` // of the one that was shown
}

// DNSAnswer is what was asked for and how much came back.
type DNSAnswer struct {
	Name  string `json:"name"`
	Texts int    `json:"texts"` // TXT records found; their contents are nobody's business
}

// Hop is one request: the first, or one that a redirect led to.
type Hop struct {
	URL    string        `json:"url"`
	Path   outbound.Path `json:"path"`             // addresses resolved, refused, tried and used
	Status int           `json:"status,omitempty"` // of the HTTP answer; 0 if there was none
}
