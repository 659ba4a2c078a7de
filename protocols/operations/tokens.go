package operations

import "github.com/prometheus/client_golang/prometheus"

// Token is what the workers of a PKCS#11 token do.
type Token struct {
	Label, Serial, Module                     string // what tells it from others; UTF-8
	Workers, Lost                             int
	Accepted, Refused, Lapses, ModuleRestarts uint64
}

var (
	tokenWorkers  = scrape("token_workers", "Workers of a token.", "token", "serial", "module", "state")
	tokenLogins   = scrape("token_logins_total", "Logins into a token.", "token", "serial", "module", "outcome")
	tokenLapses   = scrape("token_lapses_total", "Losses of a session, a login or the token itself that were noticed.", "token", "serial", "module")
	tokenRestarts = scrape("token_module_restarts_total", "Times that the token's module was initialised again.", "token", "serial", "module")
)

// collectTokens sends the metrics of each token.
func collectTokens(tokens []Token, send func(s scraped, t prometheus.ValueType, v float64, labels ...string)) {
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	for _, t := range tokens {
		send(tokenWorkers, gauge, float64(t.Workers), t.Label, t.Serial, t.Module, "serving")
		send(tokenWorkers, gauge, float64(t.Lost), t.Label, t.Serial, t.Module, "lost")
		send(tokenLogins, counter, float64(t.Accepted), t.Label, t.Serial, t.Module, "accepted")
		send(tokenLogins, counter, float64(t.Refused), t.Label, t.Serial, t.Module, "refused")
		send(tokenLapses, counter, float64(t.Lapses), t.Label, t.Serial, t.Module)
		send(tokenRestarts, counter, float64(t.ModuleRestarts), t.Label, t.Serial, t.Module)
	}
}
