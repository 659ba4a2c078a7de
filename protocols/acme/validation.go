package acme

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

// Validator proves control of a name by one type of challenge (RFC 8555 section 8).
type Validator interface {
	// Validate asks once. An error that is a *va.Problem is the requester's to read.
	Validate(ctx context.Context, domain, token, keyAuthorization string) (va.Record, error)
}

// validation is one challenge on its way.
type validation struct {
	authorization *state.Authorization
	challenge     int
	thumbprint    [32]byte
	trace         string
}

// validations runs validations in the background, a bounded number at a time.
type validations struct {
	door    *Door
	plan    va.Attempts
	slots   chan struct{}
	longest time.Duration // after this a running validation counts as lost
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

// attemptTime bounds one attempt, all its hops included.
const attemptTime = 20 * time.Second

func newValidations(d *Door) (*validations, error) {
	plan, err := va.NewAttempts(d.Schedule)
	if err != nil {
		return nil, err
	}
	v := &validations{door: d, plan: plan, slots: make(chan struct{}, d.Validations), longest: 10*time.Second + plan.Longest(attemptTime)}
	v.ctx, v.stop = context.WithCancel(context.Background())
	return v, nil
}

// close lets running validations finish until ctx ends.
func (v *validations) close(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		v.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	v.stop()
	<-done
}

// slot is the right to run one validation.
type slot struct {
	v    *validations
	used bool
}

// reserve takes a slot before anything is stored, so that no challenge is
// marked as processing that nobody can process.
func (v *validations) reserve() (*slot, error) {
	if v.ctx.Err() != nil {
		return nil, ca.UnavailableError(errors.New("validations are closing"), 5*time.Second)
	}
	select {
	case v.slots <- struct{}{}:
		return &slot{v: v}, nil
	default:
		return nil, ca.UnavailableError(errors.New("every validation slot is taken"), 5*time.Second)
	}
}

func (s *slot) release() {
	if !s.used {
		<-s.v.slots
	}
}

func (s *slot) start(job validation) {
	s.used = true
	s.v.running.Go(func() {
		defer func() { <-s.v.slots }()
		s.v.run(job)
	})
}

// run validates and stores the outcome.
func (v *validations) run(job validation) {
	d := v.door
	c := job.authorization.Challenges[job.challenge]
	keyAuthorization := c.Token + "." + base64.RawURLEncoding.EncodeToString(job.thumbprint[:]) // RFC 8555 section 8.1
	validator := d.Validators[claim.Method(c.Type)]
	record, err := v.plan.Run(v.ctx, func(ctx context.Context) (va.Record, error) {
		ctx, cancel := context.WithTimeout(ctx, attemptTime)
		defer cancel()
		return validator.Validate(ctx, job.authorization.Identifier.Value, c.Token, keyAuthorization)
	}, func(n int, err error) {
		c.Attempts = n
		if err != nil {
			d.Log.LogAttrs(v.ctx, slog.LevelInfo, "acme.validation.attempt", slog.String("trace", job.trace), slog.Int("attempt", n),
				slog.String("name", job.authorization.Identifier.Value), slog.String("error", err.Error()))
		}
	})
	if err != nil && v.ctx.Err() != nil {
		d.Observer.Validated(c.Type, ValidationDropped)
		return // we are stopping: the challenge stays processing and is begun again after its deadline
	}
	after := *job.authorization
	after.Challenges = append([]state.Challenge(nil), after.Challenges...)
	c.Deadline = time.Time{}
	v.conclude(&after, &c, record, err)
	after.Challenges[job.challenge] = c
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), 30*time.Second)
	defer cancel()
	outcome := string(c.Status)
	if err := d.Store.EndChallenge(ctx, &after); err != nil && !ca.IsKind(err, ca.Conflict) {
		outcome = ValidationLost
		d.Log.LogAttrs(ctx, slog.LevelError, "acme.validation.lost", slog.String("trace", job.trace), slog.String("error", err.Error()))
	}
	d.Observer.Validated(c.Type, outcome)
}

// conclude writes an outcome into an authorization and its challenge (RFC 8555 section 7.1.6).
func (v *validations) conclude(a *state.Authorization, c *state.Challenge, record va.Record, err error) {
	seen, marshalErr := json.Marshal(record)
	if marshalErr == nil {
		c.Record = seen
	}
	if err == nil {
		a.Status, c.Status, c.Validated = state.Valid, state.Valid, v.door.Now()
		return
	}
	a.Status, c.Status = state.Invalid, state.Invalid
	p := problem{Type: urn + typeServerInternal, Detail: "the validation could not be done"}
	var told *va.Problem
	if errors.As(err, &told) {
		p.Type, p.Detail = urn+told.Type, told.Detail
	}
	if c.Error, marshalErr = json.Marshal(p); marshalErr != nil {
		c.Error = nil
	}
}
