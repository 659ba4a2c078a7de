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

// Validator proves control of an identifier by one type of challenge.
type Validator = va.Validator

// validation is one challenge on its way.
type validation struct {
	endpoint      *endpoint
	authorization *state.Authorization
	challenge     int
	account       *state.Account
	response      []byte // of the client to the challenge; nil: gone, or empty
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
	of      sync.Map // authorizations that are being validated here, with the index of the challenge
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
	v  *validations
	of string // the authorization
}

// reserve takes a slot for a challenge before anything is stored, so that none
// is marked as processing that nobody can process. Where the authorization has
// one running already it gives no slot but the index of that one's challenge.
func (v *validations) reserve(a *state.Authorization, challenge int) (s *slot, running int, err error) {
	if v.ctx.Err() != nil {
		return nil, 0, ca.UnavailableError(errors.New("validations are closing"), 5*time.Second)
	}
	s = &slot{v: v, of: a.Tenant + "/" + a.ID}
	if other, taken := v.of.LoadOrStore(s.of, challenge); taken {
		return nil, other.(int), nil
	}
	select {
	case v.slots <- struct{}{}:
		return s, challenge, nil
	default:
		v.of.Delete(s.of)
		return nil, 0, ca.UnavailableError(errors.New("every validation slot is taken"), 5*time.Second)
	}
}

// attempt is a validation that was started. Exactly one of store, keep, abandon
// and, where it was dropped, end gives its slot back.
type attempt struct {
	slot    *slot
	job     validation
	outcome chan *state.Authorization // one value: as it is to be stored, or nil where the validation was dropped
	cancel  context.CancelFunc
}

func (s *slot) start(job validation) *attempt {
	ctx, cancel := context.WithCancel(s.v.ctx)
	a := &attempt{slot: s, job: job, outcome: make(chan *state.Authorization, 1), cancel: cancel}
	s.v.running.Go(func() { a.outcome <- s.v.run(ctx, job) })
	return a
}

// await gives the outcome if there is one soon; ended tells so. It stops
// waiting when ctx ends.
func (a *attempt) await(ctx context.Context, patience time.Duration) (after *state.Authorization, ended bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case after = <-a.outcome:
		return after, true
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil, false
}

// store commits an outcome by what the caller gives.
func (a *attempt) store(ctx context.Context, after *state.Authorization, commit func(context.Context) error) error {
	defer a.end()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err := commit(ctx)
	c, d := after.Challenges[a.job.challenge], a.slot.v.door
	outcome := string(c.Status)
	if err != nil && !ca.IsKind(err, ca.Conflict) {
		outcome = ValidationLost
		d.Log.LogAttrs(ctx, slog.LevelError, "acme.validation.lost", slog.String("trace", a.job.trace), slog.String("error", err.Error()))
	}
	d.Observer.Validated(c.Type, outcome)
	return err
}

// keep lets the validation end in the background, which then stores its outcome.
func (a *attempt) keep() {
	v := a.slot.v
	v.running.Go(func() {
		after := <-a.outcome
		if after == nil {
			a.end()
			return
		}
		// What went wrong was logged; the challenge is begun again after its deadline.
		_ = a.store(v.ctx, after, func(ctx context.Context) error { return v.door.Store.EndChallenge(ctx, after) })
	})
}

// abandon drops the validation.
func (a *attempt) abandon() {
	a.cancel()
	a.slot.v.running.Go(func() {
		<-a.outcome
		a.end()
	})
}

func (a *attempt) end() {
	a.cancel()
	a.slot.v.of.Delete(a.slot.of)
	<-a.slot.v.slots
}

// run validates. It gives the authorization as it is to be stored, or nil where
// ctx ended first.
func (v *validations) run(ctx context.Context, job validation) *state.Authorization {
	d := v.door
	c := job.authorization.Challenges[job.challenge]
	validator := job.endpoint.validators[claim.Method(c.Type)]
	record, err := v.plan.Run(ctx, func(ctx context.Context) (va.Record, error) {
		ctx, cancel := context.WithTimeout(ctx, attemptTime)
		defer cancel()
		q, err := v.question(ctx, &job)
		if err != nil {
			return va.Record{}, err
		}
		record, err := validator.Validate(ctx, q)
		if err == nil {
			err = job.endpoint.checkCAA(ctx, job.authorization, c.Type)
		}
		return record, err
	}, func(n int, err error) {
		c.Attempts = n
		if err != nil {
			d.Log.LogAttrs(ctx, slog.LevelInfo, "acme.validation.attempt", slog.String("trace", job.trace), slog.Int("attempt", n),
				slog.String("name", job.authorization.Identifier.Value), slog.String("error", err.Error()))
		}
	})
	if err != nil && ctx.Err() != nil {
		d.Observer.Validated(c.Type, ValidationDropped)
		return nil
	}
	after := *job.authorization
	after.Challenges = append([]state.Challenge(nil), after.Challenges...)
	c.Deadline = time.Time{}
	v.conclude(&after, &c, record, err)
	after.Challenges[job.challenge] = c
	return &after
}

// question says what a challenge asks, from the account as it is now for those that
// look at more than the key that the client signed with.
func (v *validations) question(ctx context.Context, job *validation) (va.Question, error) {
	a, c := job.authorization, job.authorization.Challenges[job.challenge]
	thumbprint := base64.RawURLEncoding.EncodeToString(job.account.Thumbprint[:])
	q := va.Question{Identifier: a.Identifier.Value, Type: a.Identifier.Type, Wildcard: a.Wildcard, Subdomains: c.Subdomains,
		Token: c.Token, KeyAuthorization: c.Token + "." + thumbprint, // RFC 8555 section 8.1
		Account: job.endpoint.accountURL(a.Account), Thumbprints: []string{thumbprint}, Response: job.response}
	if claim.Method(c.Type) != claim.DNSPersist01 {
		return q, nil
	}
	// draft-ietf-acme-dns-persist-02 section 4.2: the live account and all its keys.
	account, err := v.door.Store.Account(ctx, a.Tenant, a.Endpoint, a.Account)
	if err != nil {
		return q, err
	}
	if account.Status != state.Valid {
		return q, &va.Problem{Type: va.TypeUnauthorized, Detail: "the account is " + string(account.Status)}
	}
	q.Thumbprints = []string{base64.RawURLEncoding.EncodeToString(account.Thumbprint[:])}
	for _, former := range account.Former {
		q.Thumbprints = append(q.Thumbprints, base64.RawURLEncoding.EncodeToString(former[:]))
	}
	return q, nil
}

// conclude writes an outcome into an authorization and its challenge (RFC 8555 section 7.1.6).
func (v *validations) conclude(a *state.Authorization, c *state.Challenge, record va.Record, err error) {
	seen, marshalErr := json.Marshal(record)
	if marshalErr == nil {
		c.Record = seen
	}
	if err == nil {
		a.Status, c.Status, c.Validated, c.Attestation = state.Valid, state.Valid, v.door.Now().UTC(), record.Attestation
		if !record.Until.IsZero() && record.Until.Before(a.Expires) { // dns-persist-01: persistUntil
			a.Expires = record.Until
		}
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
