package retention

import (
	"context"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Standing says what becomes of a month.
type Standing struct {
	Month        string     `json:"month"`                  // YYYY-MM, or "no expiry"
	State        string     `json:"state"`                  // kept, due, waits, dropping, dropped
	Due          *time.Time `json:"due,omitempty"`          // when it may be dropped
	Waits        string     `json:"waits,omitempty"`        // which lists are missing
	Dropped      *time.Time `json:"dropped,omitempty"`      // when it was
	Certificates *int64     `json:"certificates,omitempty"` // how many a dropped month had
}

// List tells where every month stands, oldest first.
func (k *Keeper) List(ctx context.Context) ([]Standing, error) {
	all, err := k.Store.Months(ctx)
	if err != nil {
		return nil, err
	}
	now, err := k.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	out := []Standing{}
	for i := range all {
		r := &all[i]
		s := Standing{Month: r.Month.String(), State: "kept"}
		due, ok := Due(r.Month, k.Keep)
		switch {
		case !r.Dropped.IsZero():
			s.State, s.Dropped, s.Certificates = "dropped", &r.Dropped, &r.Certificates
			if r.Cleared.IsZero() {
				s.State = "dropping"
			}
		case ok:
			if s.Due = &due; now.Before(due) {
				break
			}
			waits, err := k.Store.MonthWaits(ctx, r.Month)
			if err != nil {
				return nil, err
			}
			if s.State = "due"; len(waits) > 0 {
				s.State, s.Waits = "waits", WaitsFor(waits)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// ParseMonth reads YYYY-MM.
func ParseMonth(text string) (ca.Month, error) {
	at, err := time.Parse("2006-01", strings.TrimSpace(text))
	if _, _, ends := ca.MonthOf(at).Range(); err != nil || !ends {
		return 0, ca.Errorf(ca.BadRequest, "%q is not a month: write it as 2024-07", text)
	}
	return ca.MonthOf(at), nil
}
