package est

import (
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Binding says whether requests are bound to their TLS connection by the
// challengePassword of the request (RFC 7030 section 3.5): tls-unique in TLS 1.2,
// tls-exporter in TLS 1.3 (RFC 9266).
type Binding string

const (
	BindingOff      Binding = "off"      // a challengePassword is not looked at
	BindingAccepted Binding = "accepted" // one that is there must be right
	BindingRequired Binding = "required"
)

func (b Binding) check() error {
	switch b {
	case "", BindingOff, BindingAccepted, BindingRequired:
		return nil
	}
	return fmt.Errorf("%q is not a way to bind requests to connections", string(b))
}

// exporterLabel is that of RFC 9266 section 2, with an empty context and 32 octets.
const exporterLabel = "EXPORTER-Channel-Binding"

// bound holds a request against its connection.
func (b Binding) bound(connection *tls.ConnectionState, csr *pkix.CSR) error {
	if b == "" || b == BindingOff {
		return nil
	}
	said, there, err := challengePassword(csr)
	switch {
	case err != nil:
		return httpx.Fail(http.StatusBadRequest, "%s", err)
	case !there && b == BindingAccepted:
		return nil
	case !there:
		return httpx.Fail(http.StatusForbidden, "the request is not bound to its TLS connection: put the base64 of tls-unique (TLS 1.2) or tls-exporter (TLS 1.3) into its challengePassword (RFC 7030 section 3.5)")
	}
	want, err := channelOf(connection)
	if err != nil {
		return &httpx.Refusal{Status: http.StatusForbidden, Text: "this TLS connection has no channel binding, so that the request cannot be held against it", Cause: err}
	}
	if subtle.ConstantTimeCompare(said, want) != 1 {
		return httpx.Fail(http.StatusForbidden, "the challengePassword of the request is not the channel binding of its TLS connection (RFC 7030 section 3.5)")
	}
	return nil
}

// channelOf is the channel binding of a connection.
func channelOf(c *tls.ConnectionState) ([]byte, error) {
	switch {
	case c == nil:
		return nil, errors.New("there is no TLS connection")
	case c.Version >= tls.VersionTLS13:
		return c.ExportKeyingMaterial(exporterLabel, nil, 32)
	case len(c.TLSUnique) == 0:
		return nil, errors.New("the connection has no tls-unique")
	}
	return c.TLSUnique, nil
}

// challengePassword gives what the base64 in that attribute of a request says.
func challengePassword(csr *pkix.CSR) (value []byte, there bool, err error) {
	text, err := csr.ChallengePassword()
	if err == nil && text != "" {
		value, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	}
	if err != nil || text != "" && len(value) == 0 {
		return nil, true, errors.New("the challengePassword of the request is not one text in base64 (RFC 7030 section 3.5)")
	}
	return value, text != "", nil
}
