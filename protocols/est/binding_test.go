package est

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestChannelBinding: in both versions of TLS, a request is bound to the very
// connection that it comes over.
func TestChannelBinding(t *testing.T) {
	right := func(c tls.ConnectionState) []byte {
		if c.Version == tls.VersionTLS12 {
			return c.TLSUnique
		}
		out, err := c.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	wrong := func(c tls.ConnectionState) []byte { return append(bytes.Clone(right(c)[1:]), 0) }
	none := func(tls.ConnectionState) []byte { return nil }
	for mode, want := range map[Binding]struct{ right, wrong, none int }{
		BindingOff:      {200, 200, 200},
		BindingAccepted: {200, 403, 200},
		BindingRequired: {200, 403, 403},
	} {
		k := newKit(t, func(k *kit) { k.adapt = func(o *Options) { o.Own[o.Endpoints[0].ID] = Own{Binding: mode} } })
		u := k.user("one", credential.Unlimited)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for what, test := range map[string]struct {
				value func(tls.ConnectionState) []byte
				want  int
			}{"right": {right, want.right}, "wrong": {wrong, want.wrong}, "none": {none, want.none}} {
				if got := k.bound(version, u, test.value); got != test.want {
					t.Errorf("%s, %s, %s: %d, want %d", mode, tls.VersionName(version), what, got, test.want)
				}
			}
		}
	}
}

// bound sends a request over a connection whose binding it knows.
func (k *kit) bound(version uint16, u user, value func(tls.ConnectionState) []byte) int {
	k.Helper()
	connection, err := tls.Dial("tcp", k.server.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
	if err != nil {
		k.Fatal(err)
	}
	defer connection.Close()
	csr := boundCSR(k.T, base64.StdEncoding.EncodeToString(value(connection.ConnectionState())))
	q, err := http.NewRequestWithContext(k.Context(), "POST", k.server.URL+Prefix+at+"/simpleenroll", bytes.NewReader(csr))
	if err != nil {
		k.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/pkcs10")
	q.SetBasicAuth(u.ID, u.password)
	transport := &http.Transport{DisableKeepAlives: true, DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return connection, nil }}
	answer, err := transport.RoundTrip(q)
	if err != nil {
		k.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		k.Fatal(err)
	}
	return answer.StatusCode
}

// boundCSR is a request with a challengePassword; "" for none.
func boundCSR(t *testing.T, password string) []byte {
	t.Helper()
	key := fixture.Key(t)
	if password == "" {
		return fixture.CSR(t, key, "device-1")
	}
	// x509 writes no challengePassword: put it into a request, and sign that again.
	der := fixture.CSR(t, key, "device-1")
	var outer struct {
		Info      asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	var info struct {
		Version      int
		Subject, Key asn1.RawValue
		Attributes   asn1.RawValue `asn1:"tag:0"`
	}
	if _, err := asn1.Unmarshal(outer.Info.FullBytes, &info); err != nil {
		t.Fatal(err)
	}
	attribute, err := asn1.Marshal(struct {
		Type   asn1.ObjectIdentifier
		Values []string `asn1:"set"`
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 7}, []string{password}})
	if err != nil {
		t.Fatal(err)
	}
	info.Attributes = asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: attribute}
	signed, err := asn1.Marshal(info)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(signed)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	outer.Info, outer.Signature = asn1.RawValue{FullBytes: signed}, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	if der, err = asn1.Marshal(outer); err != nil {
		t.Fatal(err)
	}
	return der
}
