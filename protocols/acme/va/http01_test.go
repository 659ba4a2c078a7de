package va

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

const (
	token   = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
	keyAuth = token + ".nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
	path    = "/.well-known/acme-challenge/" + token
	secret  = "SECRET-OF-THE-TARGET"
)

// validator makes an HTTP01 that asks port and may connect to 127.0.0.1 and ::1.
func validator(t *testing.T, port uint16, servers ...string) HTTP01 {
	t.Helper()
	if len(servers) == 0 {
		servers = []string{"127.0.0.1:1"}
	}
	resolver, err := outbound.NewResolver(outbound.ResolverConfig{Servers: servers, LocalhostToLoopback: true})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := outbound.NewPolicy([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")})
	if err != nil {
		t.Fatal(err)
	}
	dialer, err := outbound.NewDialer(resolver, policy, 0)
	if err != nil {
		t.Fatal(err)
	}
	return HTTP01{Dialer: dialer, Port: port, UserAgent: "test-agent/1"}
}

// serve starts an HTTP server on 127.0.0.1 and gives its port.
func serve(t *testing.T, handler http.HandlerFunc) uint16 {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return portOf(server.Listener)
}

func portOf(l net.Listener) uint16 { return netip.MustParseAddrPort(l.Addr().String()).Port() }

// wantProblem checks type and text, and that nothing the target sent is in it.
func wantProblem(t *testing.T, err error, kind, text string, retry bool) {
	t.Helper()
	var p *Problem
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want a Problem", err)
	}
	if p.Type != kind || !strings.Contains(p.Detail, text) || p.Retry != retry {
		t.Errorf("got %+v, want type %s, retry %v and %q", p, kind, retry, text)
	}
	if all := fmt.Sprintf("%v %+v %#v", err, err, p); strings.Contains(all, secret) || strings.Contains(all, secret[:6]) {
		t.Errorf("the error quotes the target: %s", all)
	}
}

func TestValidate(t *testing.T) {
	for name, body := range map[string]string{
		"plain": keyAuth, "newline": keyAuth + "\n", "white space": keyAuth + " \t\r\n\n", "much": keyAuth + strings.Repeat(" ", maxWhiteSpace),
	} {
		t.Run(name, func(t *testing.T) {
			var host, agent, accept, cookie, encoding string
			port := serve(t, func(w http.ResponseWriter, r *http.Request) {
				host, agent, accept, cookie, encoding = r.Host, r.UserAgent(), r.Header.Get("Accept"), r.Header.Get("Cookie"), r.Header.Get("Accept-Encoding")
				if r.URL.Path != path || r.Method != http.MethodGet {
					t.Errorf("asked %s %s", r.Method, r.URL)
				}
				io.WriteString(w, body)
			})
			record, err := validator(t, port).Validate(t.Context(), Question{Identifier: "Host.localhost", Token: token, KeyAuthorization: keyAuth})
			if err != nil {
				t.Fatal(err)
			}
			authority := "host.localhost:" + strconv.Itoa(int(port))
			if host != authority || agent != "test-agent/1" || accept != "*/*" || cookie != "" || encoding != "" {
				t.Errorf("host %q, agent %q, accept %q, cookie %q, encoding %q", host, agent, accept, cookie, encoding)
			}
			if len(record.Hops) != 1 || record.Hops[0].URL != "http://"+authority+path || record.Hops[0].Status != 200 {
				t.Fatalf("record %+v", record)
			}
			if p := record.Hops[0].Path; len(p.Resolved) != 2 || p.Used.String() != "127.0.0.1" || len(p.Failed) != 1 || p.Failed[0].Addr.String() != "::1" {
				t.Errorf("path %+v: want ::1 tried, then 127.0.0.1 used", p)
			}
		})
	}
}

// Interim answers and chunks are HTTP as any other.
func TestValidateHTTPVariants(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + keyAuth,
		"HTTP/1.0 200 OK\r\n\r\n" + keyAuth + "\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(keyAuth), keyAuth),
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 15<<10) + "\r\n\r\n" + keyAuth + strings.Repeat("\n", maxWhiteSpace),
	} {
		port := serve(t, func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, answer)
			conn.Close()
		})
		if _, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth}); err != nil {
			t.Errorf("%.60q: %v", answer, err)
		}
	}
}

func TestValidateIgnoresProxies(t *testing.T) {
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:"+strconv.Itoa(int(proxy)))
	}
	port := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, keyAuth) })
	if _, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth}); err != nil {
		t.Error(err)
	}
}

func TestValidateAnswers(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			if code != http.StatusNoContent && code != http.StatusNotModified {
				io.WriteString(w, secret)
			}
		}
	}
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, text)
			conn.Close()
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kind    string
		text    string
		retry   bool
	}{
		"wrong body":        {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, secret) }, TypeUnauthorized, "answered with 20 octets that are not", true},
		"empty body":        {func(w http.ResponseWriter, r *http.Request) {}, TypeUnauthorized, "answered with 0 octets", true},
		"leading space":     {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, " "+keyAuth) }, TypeUnauthorized, "are not the key authorization", true},
		"prefix":            {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, keyAuth[:len(keyAuth)-1]) }, TypeUnauthorized, "are not", true},
		"token alone":       {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, token) }, TypeUnauthorized, "are not", true},
		"huge body":         {func(w http.ResponseWriter, r *http.Request) { hugeBody(w) }, TypeUnauthorized, "more than", true},
		"404":               {status(404), TypeUnauthorized, "status 404", true},
		"403":               {status(403), TypeUnauthorized, "status 403", false},
		"401":               {status(401), TypeUnauthorized, "status 401", false},
		"429":               {status(429), TypeUnauthorized, "status 429", true},
		"500":               {status(500), TypeUnauthorized, "status 500", true},
		"503":               {status(503), TypeUnauthorized, "status 503", true},
		"201":               {status(201), TypeUnauthorized, "status 201", false},
		"204":               {status(204), TypeUnauthorized, "status 204", false},
		"304":               {status(304), TypeUnauthorized, "status 304", false},
		"huge header":       {func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat(secret, 1000)) }, TypeConnection, "headers of more than 16384", true},
		"many headers":      {raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: SECRET\r\n", 1<<14)), TypeConnection, "headers of more than 16384", true},
		"not HTTP":          {raw(secret + "\r\n\r\n"), TypeConnection, "did not answer in HTTP", true},
		"bad header":        {raw("HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n"), TypeConnection, "did not answer in HTTP", true},
		"bad status":        {raw("HTTP/1.1 " + secret + "\r\n\r\n"), TypeConnection, "did not answer in HTTP", true},
		"closed":            {raw(""), TypeConnection, "closed the connection", true},
		"broken off":        {raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nSECRET"), TypeConnection, "broke off", true},
		"bad chunks":        {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n"), TypeConnection, "broke off", true},
		"much information":  {raw(strings.Repeat("HTTP/1.1 103 Early\r\nLink: SECRET\r\n\r\n", 7)), TypeConnection, "headers of more than", true},
		"long chunk header": {raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("SECRET", 1<<14)), TypeConnection, "broke off", true},
		"other protocol":    {raw("HTTP/1.1 101 Switching\r\nUpgrade: SECRET\r\nConnection: upgrade\r\n\r\n"), TypeUnauthorized, "status 101", false},
	} {
		t.Run(name, func(t *testing.T) {
			port := serve(t, c.handler)
			record, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, c.kind, c.text, c.retry)
			wantProblem(t, err, c.kind, fmt.Sprintf("hop 1: a.localhost (127.0.0.1) port %d ", port), c.retry)
			if len(record.Hops) != 1 {
				t.Errorf("record %+v", record)
			}
		})
	}
}

// hugeBody sends until the validator hangs up.
func hugeBody(w io.Writer) {
	block := []byte(strings.Repeat(secret, 4096))
	for {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func TestValidateSlowAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		start string
		text  string
	}{
		"silent":      {"", "did not answer in time"},
		"slow header": {"HTTP/1.1 200 OK\r\nX-Slow: SECRET", "did not answer in time"},
		"slow body":   {"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nSECRET", "did not send its answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					t.Cleanup(func() { conn.Close() })
					io.WriteString(conn, c.start)
				}
			}()
			v := validator(t, portOf(l))
			v.HopTimeout = 100 * time.Millisecond
			_, err = v.Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, TypeConnection, c.text, true)

			v.HopTimeout, v.Timeout = 0, 100*time.Millisecond
			_, err = v.Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, TypeConnection, c.text, true)

			v.Timeout = 0
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err = v.Validate(ctx, Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
			wantProblem(t, err, TypeConnection, c.text, true)
		})
	}
}

func TestValidateRefusesInput(t *testing.T) {
	v := validator(t, 1)
	for _, domain := range []string{"", "127.1", "[::1]", "fe80::1%lo", "*.localhost", "a.localhost:80", "u@a.localhost", "a.localhost/x", "2130706433", "0x7f.1"} {
		_, err := v.Validate(t.Context(), Question{Identifier: domain, Token: token, KeyAuthorization: keyAuth})
		wantProblem(t, err, TypeMalformed, "DNS name", false)
	}
	for _, bad := range []string{"", "../x", "a/b", "a b", "a?b", "a\r\nb", "a=", strings.Repeat("a", 129)} {
		_, err := v.Validate(t.Context(), Question{Identifier: "a.localhost", Token: bad, KeyAuthorization: keyAuth})
		wantProblem(t, err, TypeMalformed, "token", false)
	}
	_, err := v.Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: ""})
	wantProblem(t, err, TypeServerInternal, "no key authorization", false)
}

func TestValidateUnreachable(t *testing.T) {
	server := dnstest.New(t, "private.example. 1 IN A 192.168.1.1", "empty.example. 1 IN TXT x")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(l)
	l.Close()
	v := validator(t, port, server.Addr)
	_, err = v.Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeConnection, "127.0.0.1: connection refused", true)
	_, err = v.Validate(t.Context(), Question{Identifier: "missing.example", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeDNS, "hop 1: the DNS lookup of missing.example failed", true)
	_, err = v.Validate(t.Context(), Question{Identifier: "empty.example", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeDNS, "neither an A nor an AAAA", true)
	_, err = v.Validate(t.Context(), Question{Identifier: "private.example", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeConnection, fmt.Sprintf("private.example port %d is not a permitted target: private", port), false)
}

// rebinding is a DNS server whose first answer is 127.0.0.1, and every other one the
// metadata service. It counts the questions.
func rebinding(t *testing.T) (addr string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	return dnstest.Serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
		reply := new(dns.Msg).SetReply(ask)
		if ask.Question[0].Qtype == dns.TypeA {
			answer := "169.254.169.254"
			if asked.Add(1) == 1 {
				answer = "127.0.0.1"
			}
			rr, err := dns.NewRR("rebind.example. 0 IN A " + answer)
			if err != nil {
				t.Error(err)
			}
			reply.Answer = []dns.RR{rr}
		}
		w.WriteMsg(reply)
	})), asked
}

// Each hop asks the DNS once, although the answer changes behind the check.
func TestValidateRebinding(t *testing.T) {
	addr, asked := rebinding(t)
	redirect := false
	port := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if redirect {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
			return
		}
		io.WriteString(w, keyAuth)
	})
	v := validator(t, port, addr)
	record, err := v.Validate(t.Context(), Question{Identifier: "rebind.example", Token: token, KeyAuthorization: keyAuth})
	if err != nil || asked.Load() != 1 || record.Hops[0].Path.Used.String() != "127.0.0.1" {
		t.Errorf("%v, %d questions, %+v", err, asked.Load(), record)
	}

	redirect = true
	asked.Store(0)
	record, err = v.Validate(t.Context(), Question{Identifier: "rebind.example", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeConnection, "hop 2: rebind.example port "+strconv.Itoa(int(port))+" is not a permitted target: metadata", false)
	if asked.Load() != 2 || len(record.Hops) != 2 {
		t.Errorf("%d questions, %+v", asked.Load(), record)
	}
}

// An https target is taken whatever its certificate says; the server listens on the
// configured port, which redirects may use.
func TestValidateHTTPS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(l)
	var sni string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sni = r.TLS.ServerName
		if r.ProtoMajor != 1 {
			t.Errorf("protocol %s", r.Proto)
		}
		io.WriteString(w, keyAuth)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	// One port for both: a plain request is redirected, a TLS hello is passed on.
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go passOn(conn, server.Listener.Addr().String(), port)
		}
	}()
	defer l.Close()
	record, err := validator(t, port).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
	if err != nil || sni != "b.localhost" || len(record.Hops) != 2 || !strings.HasPrefix(record.Hops[1].URL, "https://b.localhost:") {
		t.Errorf("%v, sni %q, %+v", err, sni, record)
	}
}

func passOn(conn net.Conn, backend string, port uint16) {
	defer conn.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return
	}
	if first[0] == 'G' {
		fmt.Fprintf(conn, "HTTP/1.1 302 Found\r\nLocation: https://b.localhost:%d/x\r\nContent-Length: 0\r\n\r\n", port)
		return
	}
	behind, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer behind.Close()
	behind.Write(first)
	go io.Copy(behind, conn)
	io.Copy(conn, behind)
}

func TestValidateHTTPSWithoutTLS(t *testing.T) {
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://a.localhost:"+r.Host[strings.LastIndex(r.Host, ":")+1:]+"/"+secret)
		w.WriteHeader(http.StatusFound)
	})
	_, err := validator(t, plain).Validate(t.Context(), Question{Identifier: "a.localhost", Token: token, KeyAuthorization: keyAuth})
	wantProblem(t, err, TypeConnection, "did not agree on TLS", true)
}
