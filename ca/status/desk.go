package status

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Outcome is what an answer said, or why there was none.
type Outcome string

// The outcomes.
const (
	Good         Outcome = "good"
	Revoked      Outcome = "revoked" // or held
	Unknown      Outcome = "unknown" // never issued, whatever the answer said of that
	Several      Outcome = "several"
	Malformed    Outcome = "malformed"
	Unauthorized Outcome = "unauthorized"
	TryLater     Outcome = "busy" // tryLater
	Failed       Outcome = "internal"
)

// Outcomes lists them all.
func Outcomes() []Outcome {
	return []Outcome{Good, Revoked, Unknown, Several, Malformed, Unauthorized, TryLater, Failed}
}

// Observer counts answers. Tenant and CA are empty where nobody of ours was asked for.
type Observer interface {
	OCSPAnswered(tenant, ca string, outcome Outcome, fromCache bool)
}

// Bounds of what is signed on demand.
const (
	coldAtOnce   = 64  // questions that need the store or a signature, at once
	liveEvery    = 200 // answers a second and CA about never issued certificates or about several
	refreshEvery = 15 * time.Second
	signTime     = 10 * time.Second
	unknownLife  = 5 * time.Minute
)

// Options are what every responder of a replica shares.
type Options struct {
	View         *View
	Certificates Certificates
	Observer     Observer
	Log          *slog.Logger
	Now          func() time.Time
	// Prepare makes of a freshly signed answer what the door sends with it; may be nil.
	Prepare func(*Answer) any
}

// Certificates says whether a serial number was issued.
type Certificates interface {
	Certificate(ctx context.Context, tenant, ca string, serial ca.Serial) (*ca.Certificate, error)
	// Month gives the record of a month whose certificates were dropped; NotFound for any other.
	Month(ctx context.Context, m ca.Month) (*ca.MonthRecord, error)
}

// Desk is where the responders of one replica share cache and bounds.
type Desk struct {
	Options
	cache *cache[key] // answers about issued certificates and nothing else: made-up serial numbers take no place
	cold  chan struct{}
	again chan key // answers whose certificate changed, to be signed ahead
}

// NewDesk makes one without responders.
func NewDesk(o Options) *Desk {
	return &Desk{Options: o, cache: newCache[key](CacheSize), cold: make(chan struct{}, coldAtOnce), again: make(chan key, 1024)}
}

// Kept counts the signed answers that are kept.
func (d *Desk) Kept() int { return d.cache.len() }

// Keep signs ahead what was asked for lately or is revoked, until ctx ends.
func (d *Desk) Keep(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case k := <-d.again:
			d.refresh(ctx, k)
		case <-tick.C:
			for _, k := range d.cache.due(d.Now()) {
				if ctx.Err() != nil {
					return
				}
				d.refresh(ctx, k)
			}
		}
	}
}

// refresh signs one answer again. What fails is signed when somebody asks.
func (d *Desk) refresh(ctx context.Context, k key) {
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	f, first := d.cache.join(k)
	if !first {
		return
	}
	a, err := k.responder.make(ctx, k)
	if ca.IsKind(err, ca.NotFound) { // its month was dropped
		d.cache.drop(k)
	}
	d.cache.land(k, f, a, err)
	if err != nil && !ca.IsKind(err, ca.NotFound) {
		d.Log.Warn("ocsp.refresh", "tenant", k.responder.Tenant, "ca", k.responder.CA, "error", err)
	}
}

var errBusy = ca.UnavailableError(errors.New("too many questions need a signature at once"), time.Second)

// enter takes a place among those that need the store or a signature.
func (d *Desk) enter() (leave func(), err error) {
	select {
	case d.cold <- struct{}{}:
		return func() { <-d.cold }, nil
	default:
		return nil, errBusy
	}
}

// OutcomeOf names an error's outcome.
func OutcomeOf(err error) Outcome {
	switch ca.AsError(err).Kind {
	case ca.BadRequest:
		return Malformed
	case ca.NotFound:
		return Unauthorized
	case ca.Unavailable, ca.RateLimited:
		return TryLater
	}
	return Failed
}

// ErrorAnswer encodes the OCSPResponse of an outcome without an answer (RFC 6960 section 2.3).
func ErrorAnswer(o Outcome) []byte {
	switch o {
	case Malformed:
		return pkix.MarshalOCSPError(pkix.OCSPMalformedRequest)
	case Unauthorized:
		return pkix.MarshalOCSPError(pkix.OCSPUnauthorized)
	case TryLater:
		return pkix.MarshalOCSPError(pkix.OCSPTryLater)
	}
	return pkix.MarshalOCSPError(pkix.OCSPInternalError)
}
