package va

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// acmeTLS1 is the protocol that a validation negotiates (RFC 8737 section 6.2).
const acmeTLS1 = "acme-tls/1"

var (
	oidACMEIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31} // id-pe-acmeIdentifier (RFC 8737 section 6.1)
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}               // RFC 5280 section 4.2.1.6
)

// TLSALPN01 validates tls-alpn-01 challenges (RFC 8737; addresses: RFC 8738
// section 6). It is safe for concurrent use; the fields are set once.
type TLSALPN01 struct {
	Dialer  *outbound.Dialer
	Port    uint16        // 0 means 443
	Timeout time.Duration // from the DNS question to the end of the handshake; 0 means 10 s
}

// Validate opens a TLS connection to the identifier, a DNS name or an address, and
// succeeds when the server agrees on acme-tls/1 and shows a self-signed
// certificate for just that identifier which holds the digest of
// the key authorization. Nothing is sent after the handshake. The error is a *Problem.
func (t TLSALPN01) Validate(ctx context.Context, q Question) (Record, error) {
	var record Record
	if !q.whole() {
		return record, incomplete()
	}
	host, name, serverName, ok := tlsTarget(q.Identifier)
	if !ok {
		return record, &Problem{Type: TypeMalformed, Detail: "the identifier is neither a DNS name nor an address that tls-alpn-01 can ask"}
	}
	port := t.Port
	if port == 0 {
		port = 443
	}
	ctx, cancel := context.WithTimeout(ctx, orDefault(t.Timeout, defaultHopTimeout))
	defer cancel()
	seen := &TLSAnswer{ServerName: serverName, Port: port}
	record.TLS = seen
	conn, path, err := t.Dialer.Dial(ctx, host, port)
	seen.Path = path
	if err != nil {
		return record, dialProblem("", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // what waits for the target ends with ctx
	where := fmt.Sprintf("%s (%s) port %d ", host, path.Used, port)
	leaf, problem := shake(ctx, conn, serverName, where)
	if problem != nil {
		return record, problem
	}
	digest := sha256.Sum256(leaf.Raw)
	seen.Certificate = digest[:]
	if why := checkChallengeCertificate(leaf, name, q.KeyAuthorization); why != "" {
		return record, &Problem{Type: TypeUnauthorized, Detail: where + "shows a certificate " + why, Retry: true}
	}
	return record, nil
}

// tlsTarget gives of an identifier what is dialed, the name that the certificate
// must have, and the server name that is sent: for an address the name of its
// reverse mapping (RFC 8738 section 6).
func tlsTarget(identifier string) (host string, name pkix.GeneralName, serverName string, ok bool) {
	if addr, err := netip.ParseAddr(identifier); err == nil {
		reverse, err := dns.ReverseAddr(addr.String())
		if err != nil || addr.Zone() != "" {
			return "", name, "", false
		}
		return addr.String(), pkix.IP(addr), strings.TrimSuffix(reverse, "."), true
	}
	host, err := outbound.CanonicalName(identifier)
	return host, pkix.DNS(host), host, err == nil
}

// shake does the handshake and gives the first certificate. Errors of crypto/tls
// are put into our own words, since some hold what the target sent.
func shake(ctx context.Context, conn net.Conn, serverName, where string) (*x509.Certificate, *Problem) {
	secured := tls.Client(conn, &tls.Config{
		ServerName: serverName, NextProtos: []string{acmeTLS1}, MinVersion: tls.VersionTLS12, // RFC 8737 section 4
		InsecureSkipVerify: true, // the certificate is self-signed; what it says is checked by the caller
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, &Problem{Type: TypeConnection, Detail: where + "did not finish the TLS handshake in time", Retry: true}
		}
		return nil, &Problem{Type: TypeTLS, Detail: where + "did not agree on TLS 1.2 or later with the protocol acme-tls/1", Retry: true}
	}
	state := secured.ConnectionState()
	switch {
	case state.NegotiatedProtocol != acmeTLS1:
		return nil, &Problem{Type: TypeTLS, Detail: where + "speaks TLS but did not choose the protocol acme-tls/1 (RFC 8737 section 3)", Retry: true}
	case len(state.PeerCertificates) == 0:
		return nil, &Problem{Type: TypeUnauthorized, Detail: where + "shows no certificate", Retry: true}
	}
	return state.PeerCertificates[0], nil
}

// checkChallengeCertificate says what is wrong with a certificate, "" where it
// proves the name (RFC 8737 section 3).
func checkChallengeCertificate(c *x509.Certificate, want pkix.GeneralName, keyAuthorization string) string {
	if !bytes.Equal(c.RawIssuer, c.RawSubject) || c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil {
		return "that is not self-signed"
	}
	var names, proof []byte
	critical := false
	for _, e := range c.Extensions { // each is there once: the parser refuses repeats
		switch {
		case e.Id.Equal(oidSubjectAltName):
			names = e.Value
		case e.Id.Equal(oidACMEIdentifier):
			proof, critical = e.Value, e.Critical
		}
	}
	all, err := pkix.ParseGeneralNames(names)
	switch {
	case names == nil || err != nil || len(all) != 1:
		return "that does not have exactly one subject alternative name"
	case all[0].Kind != want.Kind, want.Kind == pkix.DNSName && !strings.EqualFold(string(all[0].Raw), string(want.Raw)),
		want.Kind == pkix.IPAddress && !bytes.Equal(all[0].Raw, want.Raw):
		return "for another name than the identifier"
	case proof == nil:
		return "without the acmeIdentifier extension"
	case !critical:
		return "whose acmeIdentifier extension is not critical"
	}
	digest := sha256.Sum256([]byte(keyAuthorization))
	if subtle.ConstantTimeCompare(proof, append([]byte{asn1.TagOctetString, sha256.Size}, digest[:]...)) != 1 {
		return "whose acmeIdentifier extension is not the digest of the key authorization"
	}
	return ""
}
