package va

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestTLSALPN01Rebinding: the address that was checked is the one that is asked,
// although the answer of the DNS changes behind the check.
func TestTLSALPN01Rebinding(t *testing.T) {
	addr, asked := rebinding(t)
	template := challengeTemplate(keyAuth)
	template.DNSNames = []string{"rebind.example"}
	port, _ := alpnServer(t, &tls.Config{Certificates: []tls.Certificate{certificateOf(t, template)}, NextProtos: []string{acmeTLS1}})
	v := alpnValidator(t, port, addr)
	record, err := v.Validate(t.Context(), Question{Identifier: "rebind.example", Token: token, KeyAuthorization: keyAuth})
	if err != nil || asked.Load() != 1 || record.TLS.Path.Used.String() != "127.0.0.1" {
		t.Errorf("%v, %d questions, %+v", err, asked.Load(), record.TLS)
	}
	_, err = v.Validate(t.Context(), Question{Identifier: "rebind.example", Token: token, KeyAuthorization: keyAuth}) // the next one asks again, and looks at what is said now
	wantProblem(t, err, TypeConnection, "is not a permitted target: metadata", false)
}

// TestTLSALPN01SlowAnswers: a target that never falls silent wins no time by it.
func TestTLSALPN01SlowAnswers(t *testing.T) {
	for name, start := range map[string]string{
		"record header":     "\x16\x03",
		"handshake message": "\x16\x03\x03\x40\x00\x02\x00\x40\x00",
		"alert":             "\x15\x03\x03\x40\x00",
	} {
		t.Run(name, func(t *testing.T) {
			v := alpnValidator(t, drip(t, start, "\x03", 5*time.Millisecond))
			v.Timeout = 100 * time.Millisecond
			_, err := v.Validate(t.Context(), Question{Identifier: "host.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, TypeConnection, "did not finish the TLS handshake in time", true)
		})
	}
}

// TestTLSALPN01HugeAnswers: what has no end, or claims to be huge, is cut off.
func TestTLSALPN01HugeAnswers(t *testing.T) {
	for name, block := range map[string]string{
		"text":               secret,
		"records":            "\x16\x03\x03\x40\x00" + strings.Repeat("A", 1<<14),
		"records too long":   "\x16\x03\x03\xff\xff" + strings.Repeat("A", 1<<16),
		"a message of 16 MB": "\x16\x03\x03\x40\x00\x02\xff\xff\xff" + strings.Repeat("\x00", 1<<14-4),
		"empty records":      "\x16\x03\x03\x00\x00",
		"warnings":           "\x15\x03\x03\x00\x02\x01\x5a",
	} {
		t.Run(name, func(t *testing.T) {
			port := answering(t, func(conn net.Conn) {
				for err := error(nil); err == nil; {
					_, err = io.WriteString(conn, block)
				}
			})
			_, err := alpnValidator(t, port).Validate(t.Context(), Question{Identifier: "host.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, TypeTLS, "did not agree on TLS", true)
		})
	}
	t.Run("certificate", func(t *testing.T) {
		template := challengeTemplate(keyAuth)
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}, Value: []byte(strings.Repeat(secret, 1<<15))})
		port, _ := alpnServer(t, &tls.Config{Certificates: []tls.Certificate{certificateOf(t, template)}, NextProtos: []string{acmeTLS1}})
		_, err := alpnValidator(t, port).Validate(t.Context(), Question{Identifier: "host.localhost", Token: token, KeyAuthorization: keyAuth})
		wantProblem(t, err, TypeTLS, "did not agree on TLS", true)
	})
	t.Run("after the handshake", func(t *testing.T) { // nothing is read there
		certificate := certificateOf(t, challengeTemplate(keyAuth))
		ended := make(chan error, 1)
		port := answering(t, func(conn net.Conn) {
			server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{acmeTLS1}})
			err := server.Handshake()
			for err == nil {
				_, err = io.WriteString(server, secret)
			}
			ended <- err
		})
		if _, err := alpnValidator(t, port).Validate(t.Context(), Question{Identifier: "host.localhost", Token: token, KeyAuthorization: keyAuth}); err != nil {
			t.Error(err)
		}
		if err := <-ended; err == nil {
			t.Error("the validator did not leave")
		}
	})
}
