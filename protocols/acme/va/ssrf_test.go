package va

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

// inside are addresses that a name may be given so that the gateway asks where its
// requester cannot, each with what is said of it. The validator of these tests may
// ask 127.0.0.1 and ::1, and nothing beside them.
var inside = []struct{ name, record, address, why string }{
	{"loopback", "A", "127.0.0.2", "loopback"},
	{"loopback, far end", "A", "127.255.255.254", "loopback"},
	{"loopback, mapped to IPv6", "AAAA", "::ffff:127.0.0.2", "loopback"},
	{"loopback, IPv4-compatible", "AAAA", "::127.0.0.1", "IPv4-compatible"},
	{"loopback, NAT64", "AAAA", "64:ff9b::7f00:1", "NAT64"},
	{"loopback, 6to4", "AAAA", "2002:7f00:1::1", "6to4"},
	{"unspecified", "A", "0.0.0.0", "unspecified"},
	{"unspecified, IPv6", "AAAA", "::", "unspecified"},
	{"this network", "A", "0.1.2.3", "this network"},
	{"private, 10/8", "A", "10.0.0.1", "private"},
	{"private, 172.16/12", "A", "172.31.255.254", "private"},
	{"private, 192.168/16", "A", "192.168.1.1", "private"},
	{"private, mapped to IPv6", "AAAA", "::ffff:10.0.0.1", "private"},
	{"private, NAT64", "AAAA", "64:ff9b::a00:1", "NAT64"},
	{"private, local NAT64", "AAAA", "64:ff9b:1::a00:1", "NAT64"},
	{"private, 6to4", "AAAA", "2002:a00:1::1", "6to4"},
	{"private, Teredo", "AAAA", "2001:0:a00:1::1", "Teredo"},
	{"private, ISATAP", "AAAA", "2a00::5efe:a00:1", "ISATAP"},
	{"private, unique local", "AAAA", "fd00::1", "unique local"},
	{"private, carrier-grade NAT", "A", "100.64.0.1", "carrier-grade"},
	{"link-local", "A", "169.254.1.1", "link-local"},
	{"link-local, IPv6", "AAAA", "fe80::1", "link-local"},
	{"link-local, mapped to IPv6", "AAAA", "::ffff:169.254.1.1", "link-local"},
	{"metadata", "A", "169.254.169.254", "metadata"},
	{"metadata, mapped to IPv6", "AAAA", "::ffff:169.254.169.254", "metadata"},
	{"metadata, NAT64", "AAAA", "64:ff9b::a9fe:a9fe", "NAT64"},
	{"metadata, IPv6", "AAAA", "fd00:ec2::254", "metadata"},
	{"metadata, public address", "A", "168.63.129.16", "metadata"},
	{"multicast", "A", "224.0.0.1", "multicast"},
	{"multicast, IPv6", "AAAA", "ff02::1", "multicast"},
	{"broadcast", "A", "255.255.255.255", "broadcast"},
}

// TestInsideIsRefused names each address in the order itself, and behind redirects
// over http, over https and through an alias. Nothing is dialed, and the requester
// learns the kind of the address alone.
func TestInsideIsRefused(t *testing.T) {
	var records []string
	for i, c := range inside {
		records = append(records, fmt.Sprintf("n%d.example. 1 IN %s %s", i, c.record, c.address), fmt.Sprintf("alias%d.example. 1 IN CNAME n%d.example.", i, i))
	}
	server := dnstest.New(t, records...)
	to := ""
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusFound)
		io.WriteString(w, secret)
	})
	v := validator(t, port, server.Addr)
	for i, c := range inside {
		host, alias := fmt.Sprintf("n%d.example", i), fmt.Sprintf("alias%d.example", i)
		for how, test := range map[string]struct{ domain, location, refused string }{
			"named":          {host, "", fmt.Sprintf("hop 1: %s port %d", host, port)},
			"http redirect":  {"a.localhost", "http://" + host + "/" + secret, "hop 2: " + host + " port 80"},
			"https redirect": {"a.localhost", "https://" + host + "/" + secret, "hop 2: " + host + " port 443"},
			"alias redirect": {"a.localhost", "//" + alias + ":80/" + secret, "hop 2: " + alias + " port 80"},
		} {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				to = test.location
				record, err := v.Validate(t.Context(), Question{Identifier: test.domain, Token: token, KeyAuthorization: keyAuth})
				wantProblem(t, err, TypeConnection, test.refused+" is not a permitted target: ", false)
				wantProblem(t, err, TypeConnection, c.why, false)
				if strings.Contains(err.(*Problem).Detail, c.address) {
					t.Errorf("the requester is told the address: %v", err)
				}
				last := record.Hops[len(record.Hops)-1]
				if len(last.Path.Refused) != 1 || len(last.Path.Failed) != 0 || last.Path.Used.IsValid() || last.Status != 0 {
					t.Errorf("the record says %+v", last)
				}
			})
		}
	}
}

// TestRedirectToLiteral: an address takes the place of a name in no notation that
// any resolver or URL parser ever understood, and is not dialed.
func TestRedirectToLiteral(t *testing.T) {
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "0", "0.0.0.0", // dotted, and with parts left out
		"2130706433", "017700000001", "0x7f000001", "0X7F000001", "0x7f.0.0.1", "0177.0.0.1", "0x7f.0x0.0x0.0x1", "127.0x1", // decimal, octal, hexadecimal
		"2852039166", "0xa9fea9fe", "169.254.169.254", "0251.0376.0251.0376", "169.254.43518", // metadata
		"[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]", "[fd00::1]", "[fe80::1]", "[fe80::1%25lo]",
		"%31%32%37.0.0.1", "\uff11\uff12\uff17.0.0.1", "\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021", "127.0.0.1%00.example",
	} {
		t.Run(host, func(t *testing.T) {
			asked := 0
			port := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				w.Header().Set("Location", fmt.Sprintf("http://%s:%s/%s", host, r.Host[strings.LastIndex(r.Host, ":")+1:], secret))
				w.WriteHeader(http.StatusTemporaryRedirect)
			})
			record, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, TypeConnection, "hop 1: a.localhost port ", false)
			if asked != 1 || len(record.Hops) != 1 || !strings.Contains(err.Error(), "not a DNS name") && !strings.Contains(err.Error(), "not a URL") {
				t.Errorf("%d requests, %+v, %v", asked, record, err)
			}
		})
	}
}

// answering gives the port of a server that answers each connection on its own.
func answering(t *testing.T, answer func(net.Conn)) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
	return portOf(l)
}

// drip answers every connection with start and then repeats text, an octet at a
// time, until the validator hangs up.
func drip(t *testing.T, start, text string, pause time.Duration) uint16 {
	t.Helper()
	return answering(t, func(conn net.Conn) {
		_, err := io.WriteString(conn, start)
		for i := 0; err == nil; i++ {
			time.Sleep(pause)
			_, err = conn.Write([]byte{text[i%len(text)]})
		}
	})
}

// TestSlowBodies: a target that never falls silent wins no time by it; neither does
// one that leads on, slowly, from hop to hop.
func TestSlowBodies(t *testing.T) {
	const chunk = "3\r\n \r\n\r\n" // white space after the key authorization, which would be forgiven
	for name, c := range map[string]struct{ start, text, want string }{
		"status line":   {"HTTP/1.1 ", "2", "did not answer in time"},
		"headers":       {"HTTP/1.1 200 OK\r\n", "A: SECRET\r\n", "did not answer in time"},
		"interim":       {"HTTP/1.1 103 Early Hints\r\n", "A: SECRET\r\n", "did not answer in time"},
		"body":          {"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + keyAuth, "\n", "did not send its answer in time"},
		"chunks":        {fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(keyAuth), keyAuth), chunk, "did not send its answer in time"},
		"until closing": {"HTTP/1.0 200 OK\r\n\r\nSECRET", " ", "did not send its answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			v := validator(t, drip(t, c.start, c.text, 5*time.Millisecond))
			v.HopTimeout = 100 * time.Millisecond
			_, err := v.Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, TypeConnection, c.want, true)
		})
	}
	t.Run("redirects", func(t *testing.T) {
		port := serve(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(40 * time.Millisecond)
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
		})
		v := validator(t, port)
		v.Timeout = 100 * time.Millisecond // of all hops, each of which is well within its own
		_, err := v.Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
		wantProblem(t, err, TypeConnection, "", true)
		if !strings.Contains(err.Error(), "in time") && !strings.Contains(err.Error(), "timed out") {
			t.Errorf("want the time to be up: %v", err)
		}
	})
}

// TestHugeBodies: what has no end is cut off, what is packed stays packed, and the
// body of a redirect is not read.
func TestHugeBodies(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, keyAuth)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ start, text, kind, want string }{
		"without end":       {"HTTP/1.1 200 OK\r\n\r\n", secret, TypeUnauthorized, "more than"},
		"white space":       {"HTTP/1.1 200 OK\r\n\r\n" + keyAuth, "\n", TypeUnauthorized, "more than"},
		"declared huge":     {"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", secret, TypeUnauthorized, "more than"},
		"chunk of 16 EiB":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", secret, TypeUnauthorized, "more than"},
		"empty extensions":  {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;" + strings.Repeat("x", 2000) + "\r\n \r\n", TypeConnection, "broke off"},
		"headers":           {"HTTP/1.1 200 OK\r\n", "A: " + secret + "\r\n", TypeConnection, "headers of more than"},
		"one header":        {"HTTP/1.1 200 OK\r\nA: ", secret, TypeConnection, "headers of more than"},
		"status line":       {"HTTP/1.1 200 ", secret, TypeConnection, "headers of more than"},
		"Location":          {"HTTP/1.1 302 Found\r\nLocation: http://a.localhost/", secret, TypeConnection, "headers of more than"},
		"interim answers":   {"", "HTTP/1.1 102 Processing\r\n\r\n", TypeConnection, "headers of more than"},
		"of an error":       {"HTTP/1.1 500 Oh\r\n\r\n", secret, TypeUnauthorized, "status 500"},
		"of a redirect":     {"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n\r\n", secret, TypeConnection, "not a DNS name"},
		"gzip as content":   {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " + fmt.Sprint(packed.Len()) + "\r\n\r\n" + packed.String(), " ", TypeUnauthorized, "not the key authorization"},
		"gzip as transport": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", secret, TypeConnection, "did not answer in HTTP"},
		"two lengths":       {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Length: 5\r\n\r\n%s", len(keyAuth), keyAuth), " ", TypeConnection, "did not answer in HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			port := serve(t, func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_, err = io.WriteString(conn, c.start)
				for block := strings.Repeat(c.text, 4096/len(c.text)+1); err == nil; {
					_, err = io.WriteString(conn, block)
				}
			})
			_, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, c.kind, c.want, !strings.Contains(c.want, "DNS name"))
		})
	}
}
