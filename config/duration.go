package config

import (
	"regexp"
	"strconv"
	"time"
)

// span bounds a duration and says what it is where nothing is written.
type span struct {
	def, min, max time.Duration
}

const day = 24 * time.Hour

var (
	drainTimes  = span{30 * time.Second, 0, time.Hour}
	http01Times = span{30 * time.Second, time.Second, 5 * time.Minute}
	retryWaits  = span{0, 0, 5 * time.Minute}
	crlTimes    = span{time.Hour, time.Minute, 90 * day}
	crlLives    = span{7 * day, 10 * time.Minute, 366 * day}
	crlOverlaps = span{day, time.Minute, 90 * day}
	crlDelays   = span{time.Minute, time.Second, day}
	deltaTimes  = span{0, time.Minute, 30 * day}
	deltaLives  = span{day, 10 * time.Minute, 90 * day}
	ndesTimes   = span{time.Hour, time.Minute, 30 * day}
	orderTimes  = span{7 * day, time.Minute, 90 * day}
)

// duration checks a duration; nothing written is the default.
func (c *checker) duration(path, text string, s span) time.Duration {
	if !c.given(path, text) {
		return s.def
	}
	d, ok := parseDuration(text)
	switch {
	case !ok:
		c.problem(path, "a duration is written as 30s, 5m or 12h, or in ISO 8601 as PT30S, PT12H or P7D")
	case d < s.min || d > s.max:
		c.problem(path, "the duration must be between %s and %s", s.min, s.max)
	}
	return d
}

// isoDuration is what is read of ISO 8601: weeks alone, or days and a time.
// Months and years are left out: they have no fixed length.
var isoDuration = regexp.MustCompile(`^(?i:P(?:([0-9]{1,4})W|(?:([0-9]{1,4})D)?(?:(T)(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,6})S)?)?))$`)

// parseDuration reads an ISO 8601 duration in any case, or one of Go's.
func parseDuration(text string) (time.Duration, bool) {
	m := isoDuration.FindStringSubmatch(text)
	if m == nil {
		d, err := time.ParseDuration(text)
		return d, err == nil && d >= 0
	}
	var total time.Duration
	parts := 0
	for i, unit := range map[int]time.Duration{1: 7 * day, 2: day, 4: time.Hour, 5: time.Minute, 6: time.Second} {
		if n, err := strconv.Atoi(m[i]); err == nil {
			total += time.Duration(n) * unit
			parts++
		}
	}
	timed := m[4]+m[5]+m[6] != ""
	return total, parts > 0 && (m[3] == "" || timed)
}
