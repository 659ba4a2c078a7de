package est

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/keygen"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Core is what the door asks of the Authority.
type Core interface {
	Enroll(ctx context.Context, requests ...*ca.Request) []ca.Result
	Offer(endpoint string) (ca.Offer, error)
	Poll(ctx context.Context, c caller.Caller, id string) ca.Result
}

// Archive finds what was issued to a requester.
type Archive interface {
	FindCertificates(ctx context.Context, f *ca.Filter) ([]ca.Certificate, error)
}

// Replies keeps the keys that were made for clients for as long as these may ask again.
type Replies interface {
	KeepReply(r *ca.KeptReply) ca.Effect
	KeptReply(ctx context.Context, tenant, id string) ([]byte, error)
}

// Credentials are the users that HTTP Basic lets in, and the keys that private
// keys are encrypted under.
type Credentials interface {
	User(ctx context.Context, e *ca.Endpoint, name, password string) (*credential.Credential, error)
	Key(ctx context.Context, tenant, id string) (*credential.Credential, credential.Secret, error)
	Burn(tenant, id string) ca.Effect
}

// Options is what the door is made of. All fields are needed unless said otherwise.
type Options struct {
	Endpoints    []ca.Endpoint  // those of door "est"; others are an error
	Default      string         // id of the endpoint that the path without tenant, CA and profile is for; empty: none
	Own          map[string]Own // what endpoints have of their own, by id
	Core         Core
	Issuers      ca.Authorities
	Generations  func(tenant, ca string) []ca.Issuer // every generation of a CA
	Certificates ca.Finder                           // what was issued, with its status now
	Credentials  Credentials
	Callers      caller.Verifier
	Claims       claim.Verifier
	Log          *slog.Logger
	Now          func() time.Time
	Observer     Observer // nil: nobody counts

	// Signer gives that of a CA, or nil where it has none: full CMC is not served
	// then, and no key encrypted. Nil: none has one.
	Signer func(tenant, ca string) Signer

	// For endpoints that make keys; needed where there is one.
	Keys    *keygen.Maker
	Replies Replies
	Sealing ca.Sealing // of kept replies
	Archive Archive
	Waiting time.Duration // how long a request can wait for an operator
}

// Own is what an endpoint has of its own.
type Own struct {
	DeviceRoots []*x509.Certificate // that device certificates are verified to
	Binding     Binding             // of requests to their TLS connection; "" is BindingOff
	Unfolded    bool                // answers are base64 in one line

	ServerKeygen bool // keys are made for clients
}

// Door serves every EST endpoint of the configuration.
type Door struct {
	Options
	paths    map[string]*endpoint // by TENANT/CA/PROFILE
	labels   map[string]*endpoint // by TENANT_CA_PROFILE, built at load, never split
	standard *endpoint            // nil: none
}

// endpoint is one endpoint with everything about it that never changes.
type endpoint struct {
	ca.Endpoint
	Own
	label      string
	roots      *x509.CertPool // nil: none
	attributes []byte         // DER of what a request must hold; empty: nothing
	window     time.Duration  // how long the same request gets the same answer
	made       []string       // types of keys that are made for clients
	signer     Signer         // nil: none
}

// Label is the one path segment that names an endpoint, for clients that can
// add no more than one.
func Label(e *ca.Endpoint) string { return e.Tenant + "_" + e.CA + "_" + e.Profile }

// How long the same request gets the same answer: long enough for a client that
// lost it, and where an operator decides, for one that comes back days later.
const (
	retryWindow    = 15 * time.Minute
	approvalWindow = 7 * 24 * time.Hour
)

// New checks the options and builds the endpoints.
func New(o Options) (*Door, error) {
	if o.Core == nil || o.Issuers == nil || o.Generations == nil || o.Certificates == nil || o.Credentials == nil || o.Log == nil || o.Now == nil {
		return nil, errors.New("est: a part is missing")
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	d := &Door{Options: o, paths: map[string]*endpoint{}, labels: map[string]*endpoint{}}
	for _, e := range o.Endpoints {
		if e.Door != caller.EST {
			return nil, fmt.Errorf("est: endpoint %s is of door %s", e.ID, e.Door)
		}
		made, err := d.newEndpoint(e)
		if err != nil {
			return nil, err
		}
		where := e.Tenant + "/" + e.CA + "/" + e.Profile
		if d.paths[where] != nil || d.labels[made.label] != nil {
			return nil, fmt.Errorf("est: two endpoints share the path %s or the label %s", where, made.label)
		}
		d.paths[where], d.labels[made.label] = made, made
		if e.ID == o.Default {
			d.standard = made
		}
	}
	if o.Default != "" && d.standard == nil {
		return nil, fmt.Errorf("est: the default endpoint %s is none of this door", o.Default)
	}
	return d, nil
}

func (d *Door) newEndpoint(e ca.Endpoint) (*endpoint, error) {
	out := &endpoint{Endpoint: e, Own: d.Own[e.ID], label: Label(&e), window: retryWindow}
	if caller.Named(e.Policies, caller.DeviceCertificate) != (len(out.DeviceRoots) > 0) {
		return nil, fmt.Errorf("est: endpoint %s lets in by device certificate and has no roots for them, or has roots for nothing", e.ID)
	}
	if len(out.DeviceRoots) > 0 {
		out.roots = x509.NewCertPool()
		for _, c := range out.DeviceRoots {
			out.roots.AddCert(c)
		}
	}
	if err := out.Binding.check(); err != nil {
		return nil, fmt.Errorf("est: endpoint %s: %w", e.ID, err)
	}
	offer, err := d.Core.Offer(e.ID)
	if err != nil {
		return nil, err
	}
	if offer.Manual {
		out.window = approvalWindow
	}
	if out.made = offer.Made; d.Signer != nil {
		out.signer = d.Signer(e.Tenant, e.CA)
	}
	switch {
	case !out.ServerKeygen:
	case len(out.made) == 0:
		return nil, fmt.Errorf("est: endpoint %s makes keys for clients, and its profile names none that are made", e.ID)
	case d.Keys == nil || d.Replies == nil || d.Sealing == nil || d.Archive == nil:
		return nil, fmt.Errorf("est: endpoint %s makes keys for clients, and a part for that is missing", e.ID)
	}
	out.attributes, err = marshalAttributes(offer, out.Binding == BindingRequired)
	return out, err
}

// handler is one operation: it answers or returns an error for the one table.
type handler func(w http.ResponseWriter, r *request) error

// operations is everything the door answers; the rest is refused before anything
// is read.
var operations = []struct {
	name, method string
	serve        func(*Door) handler
}{
	{"cacerts", http.MethodGet, func(d *Door) handler { return d.cacerts }},
	{"csrattrs", http.MethodGet, func(d *Door) handler { return d.csrattrs }},
	{"simpleenroll", http.MethodPost, func(d *Door) handler { return d.simpleenroll }},
	{"simplereenroll", http.MethodPost, func(d *Door) handler { return d.simplereenroll }},
	{"serverkeygen", http.MethodPost, func(d *Door) handler { return d.serverkeygen }},
	{"fullcmc", http.MethodPost, func(d *Door) handler { return d.fullcmc }},
}

// Operations lists the names of the operations that are served.
func Operations() (names []string) {
	for _, o := range operations {
		names = append(names, o.name)
	}
	return names
}

// Prefix is where EST is served (RFC 7030 section 3.2.2).
const Prefix = "/.well-known/est"

// Routes mounts the door on the listener that asks for client certificates.
func (d *Door) Routes(r chi.Router) {
	r.Route(Prefix, func(r chi.Router) {
		for _, o := range operations {
			h := o.serve(d)
			r.Method(o.method, "/"+o.name, d.serve(o.name, h, func(*http.Request) *endpoint { return d.standard }))
			r.Method(o.method, "/{label}/"+o.name, d.serve(o.name, h, func(r *http.Request) *endpoint { return d.labels[chi.URLParam(r, "label")] }))
			r.Method(o.method, "/{tenant}/{ca}/{profile}/"+o.name, d.serve(o.name, h, func(r *http.Request) *endpoint {
				return d.paths[chi.URLParam(r, "tenant")+"/"+chi.URLParam(r, "ca")+"/"+chi.URLParam(r, "profile")]
			}))
		}
		nowhere := func(*http.Request) *endpoint { return nil }
		r.NotFound(d.serve(unlisted, nil, nowhere))
		r.MethodNotAllowed(d.serve(unlisted, func(w http.ResponseWriter, q *request) error {
			for _, o := range operations {
				if o.name == path.Base(q.URL.Path) {
					w.Header().Set("Allow", o.method)
				}
			}
			return httpx.Fail(http.StatusMethodNotAllowed, "%s is not allowed here (RFC 7030 section 3.2.2)", httpx.Clip(q.Method))
		}, nil))
	})
}

// request is one HTTP request on its way through the door.
type request struct {
	*http.Request
	endpoint *endpoint
	trace    string
}

// serve wraps a handler with what every reply of the door has; panics are answered
// as every other error. Without find, the handler needs no endpoint.
func (d *Door) serve(operation string, h handler, find func(*http.Request) *endpoint) http.HandlerFunc {
	return func(hw http.ResponseWriter, hr *http.Request) {
		defer httpx.Drain(hw, hr)
		w, started := &httpx.StatusWriter{ResponseWriter: hw}, time.Now()
		r := &request{Request: hr, trace: ca.NewTrace()}
		w.Header().Set("Cache-Control", "no-store")
		defer func() {
			var of *ca.Endpoint
			if r.endpoint != nil {
				of = &r.endpoint.Endpoint
			}
			d.Observer.Answered(of, operation, w.Status(), time.Since(started))
		}()
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				d.Observer.Panicked()
				d.refuse(w, r, ca.InternalError(fmt.Errorf("panic: %v", p)))
			}
		}()
		if find != nil {
			if r.endpoint = find(hr); r.endpoint == nil {
				d.refuse(w, r, missing())
				return
			}
		}
		if err := h(w, r); err != nil {
			d.refuse(w, r, err)
		}
	}
}
