package conformance

import (
	"slices"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// upkeepRates: counters add up, whoever adds and in whatever order, one tenant's
// alone, and go when their window has ended.
func upkeepRates(t T, open func() *Driver) {
	k := start(t, open)
	s := k.upkeep()
	until := k.now().UTC().Add(time.Hour)
	a, b := [32]byte{1}, [32]byte{2}
	add := func(tenant string, want []int64, rates ...state.Rate) {
		k.Helper()
		got, err := s.AddRates(t.Context(), tenant, rates)
		if err != nil || !slices.Equal(got, want) {
			k.Errorf("sums %v, %v; want %v", got, err, want)
		}
	}
	add(upkeepTenant, []int64{3, 1}, state.Rate{ID: b, Count: 3, Expires: until}, state.Rate{ID: a, Count: 1, Expires: until})
	add(upkeepTenant, []int64{2, 3}, state.Rate{ID: a, Count: 1, Expires: until}, state.Rate{ID: b, Count: 0, Expires: until})
	add(upkeepOther, []int64{5}, state.Rate{ID: a, Count: 5, Expires: until.Add(2 * time.Hour)})
	var all sync.WaitGroup
	failed := make(chan error, 8)
	for i := range 8 {
		all.Go(func() {
			rates := []state.Rate{{ID: a, Count: 1, Expires: until}, {ID: b, Count: 1, Expires: until}}
			if i%2 == 0 {
				slices.Reverse(rates)
			}
			if _, err := s.AddRates(t.Context(), upkeepTenant, rates); err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		k.Errorf("at once: %v", err)
	}
	add(upkeepTenant, []int64{10, 11}, state.Rate{ID: a, Expires: until}, state.Rate{ID: b, Expires: until})

	l := k.acquire("sweep", "one")
	k.changes("windows that are open", 0)(s.SweepRates(t.Context(), l, 10))
	k.Advance(time.Hour + time.Second)
	l = k.acquire("sweep", "one")
	k.changes("one of two", 1)(s.SweepRates(t.Context(), l, 1))
	k.changes("the other", 1)(s.SweepRates(t.Context(), l, 10))
	k.changes("nothing left", 0)(s.SweepRates(t.Context(), l, 10))
	_, err := s.SweepRates(t.Context(), l, 0)
	k.kind("a step without bound", err, ca.Internal)
	add(upkeepOther, []int64{5}, state.Rate{ID: a, Expires: until.Add(2 * time.Hour)})
}
