package broken

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/conformance"
)

// recorder is a store whose Record is another one.
type recorder struct {
	conformance.Store
	record func(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error)
}

func (r *recorder) Record(ctx context.Context, entries ...*ca.Entry) ([]ca.Recorded, error) {
	return r.record(ctx, r.Store, entries)
}

func recording(f func(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error)) func(*conformance.Driver) {
	return func(d *conformance.Driver) { d.Store = &recorder{d.Store, f} }
}

// changing records entries that were changed first.
func changing(change func(next conformance.Store, e *ca.Entry)) func(*conformance.Driver) {
	return recording(func(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error) {
		changed := make([]*ca.Entry, len(entries))
		for i, e := range entries {
			c := *e
			change(next, &c)
			changed[i] = &c
		}
		return next.Record(ctx, changed...)
	})
}

// pretended is the answer to entries that were not recorded.
func pretended(entries []*ca.Entry) (all []ca.Recorded) {
	for _, e := range entries {
		c := e.Certificate
		c.State, c.IssuedAt = ca.Issued, time.Now()
		all = append(all, ca.Recorded{Certificate: c})
	}
	return all
}

func recordFlaws() []flaw {
	return []flaw{
		{"row lost", []string{"IssueAndReadBack", "DecisionReadBack", "AltNamesReadBack", "Months", "AuditRow", "AuditChain", "Revoke"},
			recording(func(_ context.Context, _ conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error) {
				return pretended(entries), nil
			})},
		{"bytes changed", []string{"IssueAndReadBack"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Certificate.DER = slices.Clone(e.Certificate.DER[1:]) })},
		{"decision changed", []string{"DecisionReadBack"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Decision = []byte("[]") })},
		{"names reordered", []string{"AltNamesReadBack"}, changing(func(_ conformance.Store, e *ca.Entry) {
			e.AltNames = slices.Clone(e.AltNames)
			slices.Reverse(e.AltNames)
		})},
		{"audit row changed", []string{"AuditRow"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Audit.Actor = "" })},
		{"effects ignored", []string{"EffectTakesPlace", "FirstEffectLost", "LaterEffectLost", "ForeignEffect", "OneEffectManyRecords", "BurnRace",
			"BurnExpired", "LeaseHeld", "EntriesWholeOrNothing", "Outbox"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Effects = nil })},
		{"last effect ignored", []string{"LaterEffectLost", "ForeignEffect"}, changing(func(_ conformance.Store, e *ca.Entry) {
			if n := len(e.Effects); n > 1 {
				e.Effects = e.Effects[:n-1]
			}
		})},
		{"earlier effect stays", []string{"LaterEffectLost"}, recording(earlierEffectStays)},
		{"place of the lost effect wrong", []string{"FirstEffectLost", "EntriesWholeOrNothing"}, recording(placeWrong)},
		{"entries one by one", []string{"EntriesWholeOrNothing", "SeveralKeys"}, recording(oneByOne)},
		{"errors swallowed", []string{"SerialTaken", "ProfileMissing", "ForeignEffect", "FirstEffectLost"},
			recording(func(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error) {
				got, err := next.Record(ctx, entries...)
				if err != nil {
					return pretended(entries), nil
				}
				return got, nil
			})},
		{"idempotency ignored", []string{"Replay", "ReplayBeforeEffects", "OtherDigest", "WindowEnds", "SameKeyTogether", "SeveralKeys"},
			changing(func(_ conformance.Store, e *ca.Entry) { e.Idempotency.Window = 0 })},
		{"window too long", []string{"WindowEnds", "Answered"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Idempotency.Window *= 2 })},
		{"window too short", []string{"Replay", "Answered"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Idempotency.Window /= 2 })},
		{"window always", []string{"NoWindow"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Idempotency.Window += time.Hour })},
		{"digest ignored", []string{"OtherDigest", "Answered"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Idempotency.Digest = [32]byte{} })},
		{"key of all tenants", []string{"TenantSwapRecord"}, recording(keyOfAllTenants)},
		{"block in one tenant only", []string{"BlockedKey"}, changing(func(_ conformance.Store, e *ca.Entry) {
			if e.Certificate.Tenant == conformance.OtherTenant {
				e.KeyHash = [32]byte{1}
			}
		})},
		{"one after the other", []string{"GroupCommit"}, oneAfterTheOther()},
		{"more commits than records", []string{"AloneAtOnce", "GroupCommit"},
			recording(func(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error) {
				if err := next.Delivered(ctx, conformance.Tenant, 0); err != nil {
					return nil, err
				}
				return next.Record(ctx, entries...)
			})},
	}
}

// earlierEffectStays keeps what the effects before a lost one changed.
func earlierEffectStays(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error) {
	got, err := next.Record(ctx, entries...)
	var lost *ca.LostEffect
	if errors.As(err, &lost) && lost.Index > 0 {
		e := *entries[lost.Entry]
		e.Certificate.Serial, e.Audit.Trace = ca.NewSerial(e.Certificate.NotAfter), ca.NewTrace()
		e.Effects = e.Effects[:lost.Index]
		if _, err := next.Record(ctx, &e); err != nil {
			return nil, err
		}
	}
	return got, err
}

func placeWrong(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error) {
	got, err := next.Record(ctx, entries...)
	var lost *ca.LostEffect
	if errors.As(err, &lost) {
		return nil, &ca.LostEffect{Entry: lost.Entry + 1, Index: lost.Index}
	}
	return got, err
}

func oneByOne(ctx context.Context, next conformance.Store, entries []*ca.Entry) (all []ca.Recorded, err error) {
	for _, e := range entries {
		got, err := next.Record(ctx, e)
		if err != nil {
			return nil, err
		}
		all = append(all, got...)
	}
	return all, nil
}

// keyOfAllTenants answers one tenant with what was recorded for another.
func keyOfAllTenants(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error) {
	if entries[0].Certificate.Tenant == conformance.OtherTenant {
		got := pretended(entries)
		got[0].Replayed = true
		return got, nil
	}
	return next.Record(ctx, entries...)
}

func oneAfterTheOther() func(*conformance.Driver) {
	var mu sync.Mutex
	return recording(func(ctx context.Context, next conformance.Store, entries []*ca.Entry) ([]ca.Recorded, error) {
		mu.Lock()
		defer mu.Unlock()
		return next.Record(ctx, entries...)
	})
}
