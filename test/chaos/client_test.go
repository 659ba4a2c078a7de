package chaos

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
)

const (
	profile     = "privatessl-tls-server"
	pause       = 50 * time.Millisecond // between two tries of a client
	longest     = time.Second           // that a client waits when told to try later
	pollEvery   = 20 * time.Millisecond
	patience    = 5 * time.Second  // with a validation; its daemon may be dead: then a new order
	requestTime = 60 * time.Second // for one request
)

// held is a certificate in a client's hands.
type held struct {
	name  string
	order string // the order's id
	der   []byte
}

// client is one ACME client with an account of its own.
type client struct {
	acme    *acme.Client
	answers *http01
	key     crypto.Signer // of every certificate: one less to make
}

func newClient(s *site, w *witness) (*client, error) {
	account, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &client{key: key, answers: s.answers, acme: &acme.Client{Key: account, DirectoryURL: s.directory(), HTTPClient: &http.Client{Transport: w, Timeout: requestTime},
		RetryBackoff: func(n int, _ *http.Request, answer *http.Response) time.Duration {
			if n > 2 {
				return -1
			}
			if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
				return min(time.Duration(seconds)*time.Second, longest)
			}
			return pause
		}}}, nil
}

func (s *site) directory() string {
	_, port, _ := net.SplitHostPort(s.https)
	return "https://localhost:" + port + "/acme/default/issuing/" + profile + "/directory"
}

// insist does something until it succeeds or is refused for good.
func insist(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || final(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

// errFinal wraps what no repetition mends.
var errFinal = errors.New("refused")

// final tells whether a client would give up: on a refusal that is its own
// fault. A lost connection, a 5xx and a used nonce are tried again.
func final(err error) bool {
	var refused *acme.Error
	if errors.As(err, &refused) {
		return refused.StatusCode < 500 && refused.StatusCode != http.StatusTooManyRequests && !strings.HasSuffix(refused.ProblemType, ":badNonce")
	}
	return errors.Is(err, errFinal)
}

func (c *client) register(ctx context.Context) error {
	return insist(ctx, func() error {
		_, err := c.acme.Register(ctx, &acme.Account{}, acme.AcceptTOS)
		if errors.Is(err, acme.ErrAccountAlreadyExists) { // the answer was lost, the account is there
			return nil
		}
		return err
	})
}

// enroll takes one name to a certificate. Until the order is ready a client may
// begin anew; from then on it keeps to its order, so that one name never gets
// two certificates by the client's own doing.
func (c *client) enroll(ctx context.Context, name string) (h held, err error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, c.key)
	if err != nil {
		return h, err
	}
	var order string
	if err := insist(ctx, func() (err error) { order, err = c.ready(ctx, name); return err }); err != nil {
		return h, fmt.Errorf("order %s: %w", name, err)
	}
	err = insist(ctx, func() error {
		o, err := c.acme.GetOrder(ctx, order)
		if err != nil {
			return err
		}
		var chain [][]byte
		switch o.Status {
		case acme.StatusReady:
			chain, _, err = c.acme.CreateOrderCert(ctx, o.FinalizeURL, csr, true)
		case acme.StatusValid: // finalized, and the answer was lost
			chain, err = c.acme.FetchCert(ctx, o.CertURL, true)
		default:
			return fmt.Errorf("%w: the order is %s", errFinal, o.Status)
		}
		if err == nil {
			h = held{name: name, order: path.Base(order), der: chain[0]}
		}
		return err
	})
	if err != nil {
		return h, fmt.Errorf("finalize %s: %w", name, err)
	}
	return h, nil
}

var errSlow = errors.New("the validation takes too long")

// ready makes an order and proves its name.
func (c *client) ready(ctx context.Context, name string) (order string, err error) {
	o, err := c.acme.AuthorizeOrder(ctx, acme.DomainIDs(name))
	if err != nil {
		return "", err
	}
	z, err := c.acme.GetAuthorization(ctx, o.AuthzURLs[0])
	if err != nil {
		return "", err
	}
	for _, challenge := range z.Challenges {
		if challenge.Type != "http-01" {
			continue
		}
		text, err := c.acme.HTTP01ChallengeResponse(challenge.Token)
		if err != nil {
			return "", err
		}
		c.answers.put(c.acme.HTTP01ChallengePath(challenge.Token), text)
		if _, err := c.acme.Accept(ctx, challenge); err != nil {
			return "", err
		}
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(pollEvery) {
		if z, err = c.acme.GetAuthorization(ctx, z.URI); err != nil {
			return "", err
		}
		switch z.Status {
		case acme.StatusValid:
			return o.URI, nil
		case acme.StatusPending:
		default:
			return "", fmt.Errorf("%w: the authorization is %s", errFinal, z.Status)
		}
	}
	return "", errSlow
}

// http01 answers challenges.
type http01 struct {
	port    int
	answers sync.Map // path to text
}

func newHTTP01(t *testing.T) *http01 {
	t.Helper()
	h := &http01{}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	h.port = server.Listener.Addr().(*net.TCPAddr).Port
	return h
}

func (h *http01) put(path, text string) { h.answers.Store(path, text) }

func (h *http01) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if text, ok := h.answers.Load(r.URL.Path); ok {
		io.WriteString(w, text.(string)) // an error means that the validator is dead
		return
	}
	http.NotFound(w, r)
}

// witness looks at every answer on its way to a client: a 5xx must be the "try
// later" of RFC 8555 section 6.7, a 503 problem document with Retry-After.
type witness struct {
	wire  *http.Transport
	mu    sync.Mutex
	later int      // times that a client was told to try later
	wrong []string // other answers of 500 and above
}

func newWitness(s *site) *witness {
	return &witness{wire: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.roots}, MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.https)
		},
	}}
}

// RoundTrip passes a request on.
func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.wire.RoundTrip(r)
	if err != nil || answer.StatusCode < 500 {
		return answer, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(strings.NewReader(string(body)))
	why := tryLater(answer, body)
	w.mu.Lock()
	defer w.mu.Unlock()
	if why != "" {
		w.wrong = append(w.wrong, fmt.Sprintf("%s: %d %s: %s", r.URL.Path, answer.StatusCode, body, why))
	} else {
		w.later++
	}
	return answer, nil
}

// tryLater says why an answer is no "try later", "" if it is.
func tryLater(answer *http.Response, body []byte) string {
	var p struct {
		Type, Detail string
		Status       int
	}
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	switch {
	case answer.StatusCode != http.StatusServiceUnavailable:
		return "not a 503"
	case err != nil || seconds < 1 || seconds > 60:
		return "Retry-After is " + strconv.Quote(answer.Header.Get("Retry-After"))
	case answer.Header.Get("Content-Type") != "application/problem+json":
		return "it has the type " + answer.Header.Get("Content-Type")
	case json.Unmarshal(body, &p) != nil || p.Type != "urn:ietf:params:acme:error:serverInternal" || p.Status != answer.StatusCode || !strings.Contains(p.Detail, "[trace "):
		return "not a problem document of RFC 8555"
	}
	return ""
}

// told gives how often clients were told to try later, and what else they were told.
func (w *witness) told() (later int, wrong []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.later, w.wrong
}
