package profile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Period is an ISO 8601 duration of whole numbers. Years and months are
// calendar ones: P1Y from 1 March ends on 1 March.
type Period struct {
	Years, Months, Days int
	Clock               time.Duration // hours, minutes and seconds
}

// ParsePeriod reads PnYnMnWnDTnHnMnS with at least one part, each number at
// most 99999, in either case.
func ParsePeriod(text string) (Period, error) {
	var p Period
	rest, ok := strings.CutPrefix(strings.ToUpper(text), "P")
	if !ok {
		return p, fmt.Errorf("%q is not an ISO 8601 duration such as P1Y, P90D or PT1H", clip(text))
	}
	units, clock := "YMWD", false
	parts := 0
	for rest != "" {
		if rest[0] == 'T' && !clock {
			units, clock, rest = "HMS", true, rest[1:]
			if rest == "" {
				parts = 0
			}
			continue
		}
		digits := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if digits < 1 || digits > 5 {
			return Period{}, fmt.Errorf("%q is not an ISO 8601 duration of whole numbers up to 99999", clip(text))
		}
		n, err := strconv.Atoi(rest[:digits])
		at := strings.IndexByte(units, rest[digits])
		if err != nil || at < 0 {
			return Period{}, fmt.Errorf("%q is not an ISO 8601 duration: its parts are Y M W D, then T and H M S, each once and in that order", clip(text))
		}
		p.set(rest[digits], clock, n)
		units, rest = units[at+1:], rest[digits+1:]
		parts++
	}
	if parts == 0 {
		return Period{}, errors.New("the duration has no part; write for example P1Y, P90D or PT1H")
	}
	return p, nil
}

func (p *Period) set(unit byte, clock bool, n int) {
	switch {
	case clock:
		p.Clock += time.Duration(n) * map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}[unit]
	case unit == 'Y':
		p.Years = n
	case unit == 'M':
		p.Months = n
	case unit == 'W':
		p.Days += 7 * n
	default:
		p.Days += n
	}
}

// From gives the instant one period after t.
func (p Period) From(t time.Time) time.Time {
	return t.AddDate(p.Years, p.Months, p.Days).Add(p.Clock)
}

// IsZero tells whether the period has no length.
func (p Period) IsZero() bool { return p == Period{} }

func clip(s string) string {
	const most = 120
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || 0x7f <= r && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
