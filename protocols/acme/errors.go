package acme

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Error types of RFC 8555 section 6.7, without their URN prefix.
const (
	typeAccountDoesNotExist     = "accountDoesNotExist"
	typeAlreadyReplaced         = "alreadyReplaced" // RFC 9773 section 7.4
	typeAlreadyRevoked          = "alreadyRevoked"
	typeBadCSR                  = "badCSR"
	typeBadNonce                = "badNonce"
	typeBadPublicKey            = "badPublicKey"
	typeBadRevocationReason     = "badRevocationReason"
	typeBadSignatureAlgorithm   = "badSignatureAlgorithm"
	typeCAA                     = "caa"
	typeExternalAccountRequired = "externalAccountRequired"
	typeInvalidContact          = "invalidContact"
	typeInvalidProfile          = "invalidProfile" // draft-ietf-acme-profiles
	typeMalformed               = "malformed"
	typeOrderNotReady           = "orderNotReady"
	typeRateLimited             = "rateLimited"
	typeRejectedIdentifier      = "rejectedIdentifier"
	typeServerInternal          = "serverInternal"
	typeUnauthorized            = "unauthorized"
	typeUnsupportedContact      = "unsupportedContact"
	typeUnsupportedIdentifier   = "unsupportedIdentifier"
	typeUserActionRequired      = "userActionRequired"
)

// requestTypes are the types that reading a JWS gives in ca.Error.Field.
var requestTypes = map[string]bool{
	typeMalformed: true, typeUnauthorized: true, typeBadNonce: true, typeBadPublicKey: true, typeBadSignatureAlgorithm: true,
}

const urn = "urn:ietf:params:acme:error:"

// problem is a problem document (RFC 7807, RFC 8555 section 6.7) and the error
// that handlers return when they know the ACME type themselves.
type problem struct {
	Type        string            `json:"type"`
	Detail      string            `json:"detail"`
	Status      int               `json:"status,omitempty"`
	Instance    string            `json:"instance,omitempty"`    // of userActionRequired: what the user must read (section 7.3.3)
	Algorithms  []string          `json:"algorithms,omitempty"`  // of badSignatureAlgorithm (section 6.2)
	Identifier  *state.Identifier `json:"identifier,omitempty"`  // of a subproblem
	Subproblems []problem         `json:"subproblems,omitempty"` // never null: some clients fail on it
	retryAfter  time.Duration
	limit       string // of rateLimited: which one
	location    string // of the Location header
	cause       error
}

func (p *problem) Error() string {
	text := p.Type + ": " + p.Detail
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

func (p *problem) Unwrap() error { return p.cause }

// fail makes a problem with a type of RFC 8555 section 6.7.
func fail(status int, typ, format string, args ...any) *problem {
	return &problem{Type: urn + typ, Detail: fmt.Sprintf(format, args...), Status: status}
}

func badNonce() *problem {
	return fail(http.StatusBadRequest, typeBadNonce, "the nonce is unknown, expired or was used before; take the one of this reply")
}

// wire is the one table from the core's kinds to ACME.
var wire = map[ca.Kind]struct {
	status int
	typ    string
}{
	ca.Internal:    {http.StatusInternalServerError, typeServerInternal},
	ca.BadRequest:  {http.StatusBadRequest, typeMalformed},
	ca.BadProof:    {http.StatusForbidden, typeUnauthorized},
	ca.Denied:      {http.StatusForbidden, typeUnauthorized},
	ca.Pending:     {http.StatusForbidden, typeOrderNotReady},
	ca.NotFound:    {http.StatusNotFound, typeMalformed},
	ca.Conflict:    {http.StatusConflict, typeMalformed},
	ca.RateLimited: {http.StatusTooManyRequests, typeRateLimited},
	ca.Unavailable: {http.StatusServiceUnavailable, typeServerInternal},
}

// problemOf translates any error. A refusal that is about a name or the key
// gets the type that RFC 8555 has for it.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		copied := *p
		return &copied
	}
	if errors.Is(err, state.ErrNonce) {
		return badNonce()
	}
	e := ca.AsError(err)
	row := wire[e.Kind]
	p = fail(row.status, row.typ, "%s", e.Public)
	p.retryAfter, p.cause = e.RetryAfter, e.Err
	switch {
	case requestTypes[e.Field] && (e.Kind == ca.BadRequest || e.Kind == ca.BadProof): // said by the JWS reader
		p.Type = urn + e.Field
		if e.Field == typeBadNonce || e.Field == typeMalformed { // section 6.5; a signature that does not verify
			p.Status = http.StatusBadRequest
		}
		if e.Field == typeBadSignatureAlgorithm { // section 6.2
			p.Status, p.Algorithms = http.StatusBadRequest, supportedAlgorithms()
		}
	case e.Kind != ca.Denied, e.Field == "renewal":
	case slices.ContainsFunc([]string{"dns:", "ip:", "permanent:", "hardware:"}, func(kind string) bool { return strings.HasPrefix(e.Field, kind) }):
		p.Type, p.Status = urn+typeRejectedIdentifier, http.StatusBadRequest
	default:
		p.Type, p.Status = urn+typeBadCSR, http.StatusBadRequest
	}
	return p
}

// refuse writes an error as a problem document. The text of an internal error
// stays in the log, under the trace id that the client reads.
func (d *Door) refuse(w http.ResponseWriter, r *request, err error) {
	p := problemOf(err)
	trace := r.trace
	level := slog.LevelInfo
	if p.Status >= 500 {
		level = slog.LevelError
	}
	d.Log.LogAttrs(r.Context(), level, "acme.refused", slog.String("trace", trace), slog.String("path", r.URL.Path), slog.String("client", httpx.ClientAddress(r.RemoteAddr).String()),
		slog.Int("status", p.Status), slog.String("error", err.Error()))
	p.Detail += " [trace " + trace + "]"
	body, marshalErr := json.Marshal(p)
	if marshalErr != nil { // only strings and numbers: cannot happen, and must not hide the refusal
		body = []byte(`{"type":"` + urn + typeServerInternal + `","detail":"[trace ` + trace + `]"}`)
	}
	if p.retryAfter > 0 || p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", seconds(max(p.retryAfter, time.Second)))
	}
	w.Header().Del("Location")
	if p.location != "" {
		w.Header().Set("Location", p.location)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	w.Write(body) // an error means that the client is gone
}

// seconds writes a Retry-After as delta-seconds: an HTTP-date breaks deployed clients.
func seconds(d time.Duration) string {
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}
