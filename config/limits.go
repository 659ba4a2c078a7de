package config

import (
	"strconv"
	"strings"
	"time"
)

// RateLimits are the rate limits of each ACME directory.
type RateLimits struct {
	AccountsPerNetwork  RateLimit
	OrdersPerAccount    RateLimit
	OrdersPerIdentifier RateLimit
	OrdersPerNetwork    RateLimit
}

// RateLimit is how often something may happen in each window of time; zero: any
// number of times.
type RateLimit struct {
	Count int64
	Per   time.Duration
}

const (
	mostCounted    = 1_000_000_000
	shortestWindow = time.Minute
	longestWindow  = 90 * 24 * time.Hour
)

// rateLimits checks the limits; what is not written gets a generous default.
func (c *checker) rateLimits(w writtenLimits) RateLimits {
	limit := func(key, text string, count int64) RateLimit {
		return c.rateLimit("acme.rate_limits."+key, text, RateLimit{count, time.Hour})
	}
	return RateLimits{
		AccountsPerNetwork:  limit("accounts_per_network", w.AccountsPerNetwork, 1000),
		OrdersPerAccount:    limit("orders_per_account", w.OrdersPerAccount, 10_000),
		OrdersPerIdentifier: limit("orders_per_identifier", w.OrdersPerIdentifier, 500),
		OrdersPerNetwork:    limit("orders_per_network", w.OrdersPerNetwork, 50_000),
	}
}

// rateLimit reads COUNT/DURATION, or none.
func (c *checker) rateLimit(path, text string, def RateLimit) RateLimit {
	if !c.given(path, text) {
		return def
	}
	if text == "none" {
		return RateLimit{}
	}
	before, after, _ := strings.Cut(text, "/")
	count, err := strconv.ParseInt(before, 10, 64)
	per, ok := parseDuration(after)
	if err != nil || !ok || count < 1 || count > mostCounted || per < shortestWindow || per > longestWindow {
		c.problem(path, "a limit is written as 500/1h, with a window of 1m to P90D, or as none")
		return def
	}
	return RateLimit{count, per}
}
