package va

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Vantages is how many of several vantage points confirmed a challenge.
type Vantages struct {
	Asked     int `json:"asked"`
	Confirmed int `json:"confirmed"` // when the quorum was there, or of all
}

// Quorum validates a challenge at several vantage points at once, each with its
// own resolvers, and succeeds when enough of them confirm it. It is safe for
// concurrent use; the fields are set once.
type Quorum struct {
	Vantages []Validator
	Need     int // 1 to len(Vantages)
}

// Validate asks all vantage points and waits for as many as are needed. The record
// is that of the first of them in their order, and ends with the one that ends
// first. The error is a *Problem: that of the first in their order that did not
// confirm.
func (v Quorum) Validate(ctx context.Context, q Question) (Record, error) {
	records, err := quorum(ctx, len(v.Vantages), v.Need, func(ctx context.Context, i int) (Record, error) {
		return guarded(ctx, func(ctx context.Context) (Record, error) { return v.Vantages[i].Validate(ctx, q) })
	})
	seen := &Vantages{Asked: len(v.Vantages), Confirmed: len(records)}
	if err != nil {
		return Record{Vantages: seen}, err
	}
	record := records[0]
	record.Vantages = seen
	for _, r := range records {
		record.Until = sooner(record.Until, r.Until)
	}
	return record, nil
}

// QuorumCAA looks at CAA records from several vantage points; enough of them must
// let this CA issue.
type QuorumCAA struct {
	Vantages []*CAA
	Need     int
}

// Check asks all vantage points as Quorum does. The error is a *Problem.
func (v QuorumCAA) Check(ctx context.Context, q CAAQuestion) error {
	_, err := quorum(ctx, len(v.Vantages), v.Need, func(ctx context.Context, i int) (Record, error) {
		return guarded(ctx, func(ctx context.Context) (Record, error) { return Record{}, v.Vantages[i].Check(ctx, q) })
	})
	return err
}

// quorum asks n at once and gives what the first need of them found, in their
// order; the rest is broken off.
func quorum(ctx context.Context, n, need int, ask func(ctx context.Context, i int) (Record, error)) ([]Record, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		i      int
		record Record
		err    error
	}
	answers := make(chan answer, n)
	for i := range n {
		go func() {
			record, err := ask(ctx, i)
			answers <- answer{i, record, err}
		}()
	}
	found, failed, confirmed := make([]*Record, n), make([]error, n), 0
	for range n {
		a := <-answers
		if a.err != nil {
			failed[a.i] = a.err
			continue
		}
		if found[a.i], confirmed = &a.record, confirmed+1; confirmed == need {
			break
		}
	}
	var records []Record
	for _, r := range found {
		if r != nil {
			records = append(records, *r)
		}
	}
	if confirmed >= need {
		return records, nil
	}
	return records, noQuorum(failed, n, need, confirmed)
}

// noQuorum makes one problem of those of the vantage points.
func noQuorum(failed []error, n, need, confirmed int) error {
	var out *Problem
	for i, err := range failed {
		var p *Problem
		switch {
		case err == nil:
		case !errors.As(err, &p):
			return err
		case out == nil:
			out = &Problem{Type: p.Type, Retry: p.Retry, Err: p.Err, Detail: fmt.Sprintf(
				"confirmed from %d of %d vantage points, and %d are needed; from vantage point %d: %s", confirmed, n, need, i+1, p.Detail)}
		default:
			out.Retry = out.Retry || p.Retry
		}
	}
	if out == nil {
		return errors.New("a quorum of no vantage points")
	}
	return out
}

// sooner gives the earlier of two times, of which zero means never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
