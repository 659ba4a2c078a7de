package profile

import (
	"testing"
	"time"
)

func TestParsePeriod(t *testing.T) {
	for text, want := range map[string]Period{
		"P1Y":          {Years: 1},
		"p7D":          {Days: 7},
		"P2W":          {Days: 14},
		"P1Y2M3DT4H5M": {Years: 1, Months: 2, Days: 3, Clock: 4*time.Hour + 5*time.Minute},
		"PT90S":        {Clock: 90 * time.Second},
		"PT0S":         {},
	} {
		if got, err := ParsePeriod(text); err != nil || got != want {
			t.Errorf("%s gave %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "P", "PT", "P1", "1Y", "P1S", "P1YT", "PT1Y", "P1D1Y", "P1Y1Y", "P1.5D", "P-1D", "P100000D", "P1DT1HT1M", "P1Ä", "P1Y "} {
		if got, err := ParsePeriod(text); err == nil {
			t.Errorf("%q gave %+v", text, got)
		}
	}
}

func TestPeriodFrom(t *testing.T) {
	leap := time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC)
	if got := (Period{Years: 1}).From(leap); !got.Equal(time.Date(2029, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("a year after 29 February is %s", got)
	}
}
