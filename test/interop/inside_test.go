package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/test/harness"
)

const insideSecret = "SECRET-OF-AN-INNER-SERVICE"

// TestInsideStaysInside asks a daemon without allow_targets to validate names that
// lead to its own network, and one that may ask 127.0.0.1 to go on from there. Not
// one request arrives; the client is told neither what a service says nor an address
// that it did not name itself, in no answer of the conversation. The log says it.
func TestInsideStaysInside(t *testing.T) {
	harness.NeedPrograms(t)
	inside := map[string]string{ // where names lead
		"loopback.example":   "127.9.8.7",
		"mapped.example":     "::ffff:127.9.8.7",
		"private.example":    "10.20.30.40",
		"linklocal.example":  "fe80::1234",
		"metadata.example":   "169.254.169.254",
		"translated.example": "64:ff9b::a9fe:a9fe",
		"some.localhost":     "127.9.8.8",
	}
	for name, c := range map[string]struct{ allow, prefix string }{
		"named":      {"", ""},
		"redirected": {", allow_targets: [127.0.0.1/32]", "to-"}, // the host to-X redirects to X
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			on := install(t, "", c.allow)
			for name, address := range inside {
				if a := netip.MustParseAddr(address); a.Is4() {
					on.dns.SetA(name, a)
				} else {
					on.dns.SetA(name)
					on.dns.SetAAAA(name, a)
				}
			}
			daemon := harness.Start(t, "serve", "--config", on.config)
			service := &innerService{port: on.port, asked: map[string]int{}}
			service.listen(t)
			heard := &listener{RoundTripper: trusting(t, on.root).Transport}
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			client := &acme.Client{Key: newKey(t), DirectoryURL: on.directory, HTTPClient: &http.Client{Transport: heard}}
			if _, err := client.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
				t.Fatal(err)
			}
			orders := map[string]*acme.Order{}
			for name := range inside {
				orders[name] = asking(t, ctx, client, c.prefix+name)
			}
			for name, order := range orders {
				problem := refused(t, ctx, client, order)
				if problem.ProblemType != "urn:ietf:params:acme:error:connection" || !strings.Contains(problem.Detail, fmt.Sprintf("%s port %d is not a permitted target", name, on.port)) {
					t.Errorf("%s: %s: %s", name, problem.ProblemType, problem.Detail)
				}
			}
			if c.prefix != "" { // what a permitted target says is not repeated either
				problem := refused(t, ctx, client, asking(t, ctx, client, "refusing.example"))
				if !strings.Contains(problem.Detail, "status 403") {
					t.Errorf("a target that refuses: %s", problem.Detail)
				}
			}
			service.mu.Lock()
			for host, n := range service.asked {
				if c.prefix == "" || !strings.HasPrefix(host, c.prefix) && host != "refusing.example" || n != 1 {
					t.Errorf("%d requests arrived for %s", n, host)
				}
			}
			service.mu.Unlock()
			for name, address := range inside {
				if strings.Contains(heard.all(), address) {
					t.Errorf("the client was told the address of %s:\n%s", name, heard.all())
				}
				if !strings.Contains(daemon.Stderr(), address) {
					t.Errorf("the log lacks the address of %s", name)
				}
			}
			if strings.Contains(heard.all(), on.dns.Addr()) {
				t.Errorf("the client was told who is asked for names:\n%s", heard.all())
			}
			if strings.Contains(heard.all()+daemon.Stderr(), insideSecret[:10]) {
				t.Errorf("what the target said is repeated:\n%s\n%s", heard.all(), daemon.Stderr())
			}
		})
	}
}

// asking orders a certificate for a name and has it validated by http-01.
func asking(t *testing.T, ctx context.Context, c *acme.Client, name string) *acme.Order {
	t.Helper()
	order, err := c.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		t.Fatal(err)
	}
	z, err := c.GetAuthorization(ctx, order.AuthzURLs[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, challenge := range z.Challenges {
		if challenge.Type == "http-01" {
			if _, err := c.Accept(ctx, challenge); err != nil {
				t.Fatal(err)
			}
			return order
		}
	}
	t.Fatalf("%s: no http-01 among %d challenges", name, len(z.Challenges))
	return nil
}

// refused waits for the validation to fail and gives the challenge's problem.
func refused(t *testing.T, ctx context.Context, c *acme.Client, order *acme.Order) *acme.Error {
	t.Helper()
	_, err := c.WaitAuthorization(ctx, order.AuthzURLs[0])
	var failed *acme.AuthorizationError
	var problem *acme.Error
	if !errors.As(err, &failed) || len(failed.Errors) != 1 || !errors.As(failed.Errors[0], &problem) {
		t.Fatalf("%v: %v", order.Identifiers, err)
	}
	if _, err := c.WaitOrder(ctx, order.URI); err == nil { // its problem is heard too
		t.Fatalf("%v: the order is not invalid", order.Identifiers)
	}
	return problem
}

// innerService is what must not be reached: it counts who asks and says a secret.
type innerService struct {
	port  int
	mu    sync.Mutex
	asked map[string]int // by host
}

func (s *innerService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[host]++
	w.Header().Set("X-Inner", insideSecret)
	if to, ok := strings.CutPrefix(host, "to-"); ok {
		w.Header().Set("Location", fmt.Sprintf("http://%s:%d/%s", to, s.port, insideSecret))
		w.WriteHeader(http.StatusFound)
	} else {
		w.WriteHeader(http.StatusForbidden)
	}
	io.WriteString(w, insideSecret)
}

// listen waits on the loopback addresses of this test.
func (s *innerService) listen(t *testing.T) {
	t.Helper()
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	t.Cleanup(func() { server.Close() })
	for _, host := range []string{"127.0.0.1", "127.9.8.7", "127.9.8.8"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(s.port)))
		if err != nil {
			t.Fatal(err)
		}
		go server.Serve(l)
	}
}

// listener keeps the headers and bodies of all answers that a client gets.
type listener struct {
	http.RoundTripper
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *listener) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := answer.Header.Write(&l.text); err != nil {
		return nil, err
	}
	l.text.Write(body)
	return answer, nil
}

func (l *listener) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
