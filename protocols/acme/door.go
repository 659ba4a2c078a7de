package acme

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/recent"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Core is what the door asks of the Authority.
type Core interface {
	Check(ctx context.Context, r *ca.Request) (*ca.Decision, error)
	Enroll(ctx context.Context, requests ...*ca.Request) []ca.Result
	Revoke(ctx context.Context, r *ca.RevokeRequest) (*ca.Status, error)
	Methods(endpoint string, kind claim.Kind) []claim.Method
	RenewalTerms(c *ca.Certificate) ca.RenewalTerms
}

// Certificates finds what was issued, for the certificate resource and revocation.
type Certificates interface {
	Certificate(ctx context.Context, tenant, ca string, serial ca.Serial) (*ca.Certificate, error)
}

// Options is what the door is made of. All fields are needed unless said otherwise.
type Options struct {
	BaseURL      string        // external https URL without trailing slash: what clients sign as "url" (RFC 8555 section 6.4)
	Endpoints    []ca.Endpoint // those of door "acme"; others are an error
	Core         Core
	Issuers      ca.Authorities // for the chain of a certificate
	Certificates Certificates
	Generations  func(tenant, ca string) []ca.Issuer                // every generation of a CA
	Alternates   func(tenant, ca string, chain [][]byte) [][][]byte // other chains than this one; nil: none
	Store        state.Store
	Callers      caller.Verifier
	Claims       claim.Verifier
	Nonces       NonceKeys
	Validators   map[claim.Method]Validator // the challenge types that are offered everywhere: http-01, dns-01, tls-alpn-01
	Own          map[string]Own             // what endpoints have of their own, by id
	Windows      ca.Renewals                // nil: operators set no renewal windows
	Log          *slog.Logger
	Now          func() time.Time

	OrderLifetime         time.Duration   // how long an order may stay unfinished; zero: 7 days
	AuthorizationLifetime time.Duration   // how long a proof counts; zero: 7 days
	ApprovalLifetime      time.Duration   // how long an order that waits for an operator stays processing
	Schedule              []time.Duration // waits before each retry of a validation; nil: 1, 2, 2, 2 s
	Validations           int             // validations at one time; zero: 64
	Patience              time.Duration   // how long the answer to a challenge waits for its validation; zero: 1 s
	Observer              Observer        // nil: nobody counts

	External    Credentials       // of external accounts; needed where an endpoint's policy names "eab"
	Terms       map[string]string // URL of the terms of service by endpoint id; those without have none
	MaxContacts int               // contacts of an account; zero: 10

	Rates  state.Rates // counters of the rate limits; nil: there are none
	Limits Limits

	// Previous is the door that this one replaces, whose seen nonces it goes on
	// with; nil for the first. Its owner closes it.
	Previous *Door
}

// Door serves every ACME endpoint of the configuration.
type Door struct {
	Options
	endpoints   map[string]*endpoint // by TENANT/CA/PROFILE, built at load, never split
	nonces      *noncer
	struck      *struckSet
	validations *validations
	issued      *recent.Memory[issuedKey, issued]
	keys        *recent.Memory[string, accountKey] // what parseJWK made of stored account keys
	renewals    *renewals
	rates       *rates // nil: nothing is counted
}

// endpoint is one directory with everything about it that never changes.
type endpoint struct {
	ca.Endpoint
	validators map[claim.Method]Validator
	caa        CAAChecker // nil: CAA records are not looked at
	persist    Persist
	subdomains bool
	standard   *variant            // what an order gets that names no profile
	variants   map[string]*variant // by the names of profiles
	base       string              // https://HOST/acme/TENANT/CA/PROFILE
	directory  []byte
	bindings   bindings
	terms      string // URL of the terms of service; empty: none
}

// New checks the options and builds the directories. Close ends the
// validations that run in the background.
func New(o Options) (*Door, error) {
	if o.Core == nil || o.Issuers == nil || o.Generations == nil || o.Certificates == nil || o.Store == nil || o.Nonces == nil || len(o.Validators) == 0 || o.Log == nil || o.Now == nil {
		return nil, errors.New("acme: a part is missing")
	}
	if err := checkValidators(o.Validators); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(o.BaseURL, "https://") || strings.HasSuffix(o.BaseURL, "/") {
		return nil, fmt.Errorf("acme: base URL %q must start with https:// and not end in a slash (RFC 8555 section 6.1)", o.BaseURL)
	}
	if o.OrderLifetime == 0 {
		o.OrderLifetime = 7 * 24 * time.Hour
	}
	if o.AuthorizationLifetime == 0 {
		o.AuthorizationLifetime = 7 * 24 * time.Hour
	}
	if o.Validations == 0 {
		o.Validations = 64
	}
	if o.Patience == 0 {
		o.Patience = time.Second
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	if o.MaxContacts == 0 {
		o.MaxContacts = defaultContacts
	}
	d := &Door{Options: o, endpoints: map[string]*endpoint{}, nonces: newNoncer(o.Nonces, o.Now), struck: newStruckSet(0, o.Now),
		issued: recent.NewMemory[issuedKey, issued](issuedLasts, issuedKept, o.Now), keys: recent.NewMemory[string, accountKey](keyLasts, keysKept, o.Now), renewals: newRenewals(o.Now)}
	if o.Rates != nil {
		d.rates = newRates(o.Rates, o.Now)
	}
	if o.Previous != nil {
		if d.rates != nil && o.Previous.rates != nil {
			d.rates = o.Previous.rates
		}
		d.struck, d.Previous = o.Previous.struck, nil
	}
	for _, e := range o.Endpoints {
		if e.Door != caller.ACME {
			return nil, fmt.Errorf("acme: endpoint %s is of door %s", e.ID, e.Door)
		}
		path := e.Tenant + "/" + e.CA + "/" + e.Profile
		if _, taken := d.endpoints[path]; taken {
			return nil, fmt.Errorf("acme: two endpoints share the path %s", path)
		}
		made, err := d.newEndpoint(e, o.BaseURL+"/acme/"+path, o.Terms[e.ID])
		if err != nil {
			return nil, err
		}
		if made.bindings != bindingsIgnored && o.External == nil {
			return nil, fmt.Errorf("acme: endpoint %s takes external account bindings, and nobody knows their keys", e.ID)
		}
		d.endpoints[path] = made
	}
	validations, err := newValidations(d)
	if err != nil {
		return nil, err
	}
	d.validations = validations
	return d, nil
}

// Close waits for running validations until ctx ends and then drops them; a
// dropped one is started again when its client asks for the authorization.
func (d *Door) Close(ctx context.Context) { d.validations.close(ctx) }

// handler is one resource: it answers or returns an error for the one table.
type handler func(w http.ResponseWriter, r *request) error

// resource is one row of the door's closed table of methods and paths.
type resource struct {
	method, path string
	serve        func(*Door) handler
}

// resources is everything the door answers; the rest is refused before
// anything is read.
var resources = []resource{
	{http.MethodGet, "/directory", func(d *Door) handler { return d.serveDirectory }},
	{http.MethodHead, "/directory", func(d *Door) handler { return d.serveDirectory }},
	{http.MethodPost, "/directory", func(d *Door) handler { return d.readDirectory }},
	{http.MethodHead, "/new-nonce", func(d *Door) handler { return d.newNonceOK }},
	{http.MethodGet, "/new-nonce", func(d *Door) handler { return d.newNonceEmpty }},
	{http.MethodPost, "/new-nonce", func(d *Door) handler { return d.readNonce }},
	{http.MethodPost, "/new-account", func(d *Door) handler { return d.newAccount }},
	{http.MethodPost, "/account/{id}", func(d *Door) handler { return d.account }},
	{http.MethodPost, "/account/{id}/orders", func(d *Door) handler { return d.orders }},
	{http.MethodPost, "/account/{id}/orders/{after}", func(d *Door) handler { return d.orders }},
	{http.MethodPost, "/key-change", func(d *Door) handler { return d.keyChange }},
	{http.MethodPost, "/new-authz", func(d *Door) handler { return d.newAuthz }},
	{http.MethodPost, "/new-order", func(d *Door) handler { return d.newOrder }},
	{http.MethodPost, "/order/{id}", func(d *Door) handler { return d.order }},
	{http.MethodPost, "/order/{id}/finalize", func(d *Door) handler { return d.finalize }},
	{http.MethodPost, "/authorization/{id}", func(d *Door) handler { return d.authorization }},
	{http.MethodPost, "/challenge/{id}/{type}", func(d *Door) handler { return d.challenge }},
	{http.MethodPost, "/certificate/{id}", func(d *Door) handler { return d.certificate }},
	{http.MethodPost, "/certificate/{id}/{chain}", func(d *Door) handler { return d.certificate }},
	{http.MethodPost, "/revoke-cert", func(d *Door) handler { return d.revokeCert }},
	{http.MethodGet, "/renewal-info/{id}", func(d *Door) handler { return d.renewalInfo }},
	{http.MethodHead, "/renewal-info/{id}", func(d *Door) handler { return d.renewalInfo }},
}

// Routes mounts the door under /acme of an https listener.
func (d *Door) Routes(r chi.Router) {
	r.Route("/acme", func(r chi.Router) {
		for _, res := range resources {
			r.Method(res.method, "/{tenant}/{ca}/{profile}"+res.path, d.serve(res.path, res.serve(d)))
		}
		r.NotFound(d.serve(unlisted, func(http.ResponseWriter, *request) error {
			return fail(http.StatusNotFound, typeMalformed, "there is no such resource")
		}))
		r.MethodNotAllowed(d.serve(unlisted, func(w http.ResponseWriter, q *request) error {
			w.Header().Set("Allow", allowed(q)) // RFC 9110 section 15.5.6
			return fail(http.StatusMethodNotAllowed, typeMalformed, "%s is not allowed here (RFC 8555 section 6.3)", q.Method)
		}))
	})
}

// allowed lists the methods of a path that is not for the one it was asked with.
func allowed(q *request) string {
	var out []string
	routes := chi.RouteContext(q.Context()).Routes
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		if routes.Match(chi.NewRouteContext(), method, q.URL.Path) {
			out = append(out, method)
		}
	}
	return strings.Join(out, ", ")
}

// request is one HTTP request on its way through the door.
type request struct {
	*http.Request
	endpoint *endpoint // nil outside a known directory
	trace    string
}

// param gives a path parameter.
func (r *request) param(name string) string { return chi.URLParam(r.Request, name) }

// serve wraps a handler with what every reply of the door has: a fresh nonce,
// the index link, no caching, and errors as problem documents, panics included.
func (d *Door) serve(resource string, h handler) http.HandlerFunc {
	return func(hw http.ResponseWriter, hr *http.Request) {
		defer httpx.Drain(hw, hr)
		w, started := &httpx.StatusWriter{ResponseWriter: hw}, time.Now()
		r := &request{Request: hr, trace: ca.NewTrace()}
		r.endpoint = d.endpoints[directoryPath(hr.URL.Path)]
		w.Header().Set("Replay-Nonce", d.nonces.mint()) // RFC 8555 section 6.5
		w.Header().Set("Cache-Control", "no-store")
		if r.endpoint != nil && resource != "/directory" {
			w.Header().Set("Link", "<"+r.endpoint.base+`/directory>;rel="index"`) // RFC 8555 section 7.1
		}
		defer func() { d.answered(r.endpoint, resource, w.Status(), time.Since(started)) }()
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				d.Observer.Panicked()
				d.refuse(w, r, ca.InternalError(fmt.Errorf("panic: %v", p)))
			}
		}()
		if r.endpoint == nil {
			d.refuse(w, r, fail(http.StatusNotFound, typeMalformed, "there is no such ACME directory"))
			return
		}
		if err := h(w, r); err != nil {
			d.refuse(w, r, err)
		}
	}
}

// directoryPath is TENANT/CA/PROFILE of a path below /acme/, also where no
// resource matched and the router knows no parameters.
func directoryPath(path string) string {
	parts := strings.SplitN(path, "/", 6) // "", "acme", tenant, ca, profile, rest
	if len(parts) < 5 {
		return ""
	}
	return strings.Join(parts[2:5], "/")
}

func (d *Door) serveDirectory(w http.ResponseWriter, r *request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Write(r.endpoint.directory) // an error means that the client is gone
	return nil
}

// newNonceOK and newNonceEmpty answer HEAD with 200 and GET with 204 (RFC 8555 section 7.2).
func (d *Door) newNonceOK(w http.ResponseWriter, _ *request) error {
	w.WriteHeader(http.StatusOK)
	return nil
}

func (d *Door) newNonceEmpty(w http.ResponseWriter, _ *request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}
